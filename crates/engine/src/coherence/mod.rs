//! One truth on several nodes: after a change has answered, no verification that starts later on any node uses the
//! older state (I2), whatever messages are lost and whatever processes stop.
//!
//! A node decides from memory only under a lease: it renews it in the database, *then* reads the log of changes and
//! applies it, and may use its memory until a lease after it *began* to renew. A change is committed, and answered when
//! every node has told that it applied it, or when every lease that may not know of it has run out. Why that holds is in
//! ARCHITECTURE.md; it is model-checked in `models/`.

mod fence;
mod following;
mod node;
mod outlook;
mod sightings;
mod waiting;

pub use node::{Changes, Membership, NodeOptions, NodeState, RenewalFailure, RenewalFailureKind};
pub use waiting::Settled;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_core::ambient::Clock;
use keywright_store::cluster::NodeId;
use tokio::sync::{Notify, watch};

use self::fence::Fence;
use self::sightings::Sightings;

/// What the tasks of one node share.
struct Shared {
    clock: Arc<dyn Clock>,
    id: NodeId,
    /// Every change up to this one, in the order of the log, is applied in this process.
    applied: AtomicU64,
    /// The newest change of which there was word. It only makes it fast.
    heard: watch::Sender<u64>,
    /// Somebody waits for a change of which perhaps no word comes.
    asked: Notify,
    sightings: Mutex<Sightings>,
    fence: Mutex<Fence>,
}

impl Shared {
    fn new(clock: Arc<dyn Clock>, id: NodeId) -> Self {
        Self {
            fence: Mutex::new(Fence::begun(clock.uptime())),
            clock,
            id,
            applied: AtomicU64::new(0),
            heard: watch::Sender::new(0),
            asked: Notify::new(),
            sightings: Mutex::default(),
        }
    }

    fn note_applied(&self, seq: u64) {
        self.applied.store(seq, Ordering::Release);
    }

    fn applied(&self) -> u64 {
        // Acquire: whoever sees it sees memory without what was changed.
        self.applied.load(Ordering::Acquire)
    }

    fn fence(&self) -> MutexGuard<'_, Fence> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sightings(&self) -> MutexGuard<'_, Sightings> {
        self.sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
