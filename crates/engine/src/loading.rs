//! Reading from the store into memory.
//!
//! What is read is as of some seq. Where a change that was applied meanwhile makes it old, it is read again (I3).

use std::sync::Arc;

use keywright_core::digest::Digest;
use keywright_store::{Store, StoreError};
use tokio::sync::watch;

use crate::absences::Absences;
use crate::lane::Lane;
use crate::loads::{Loads, Outcome};
use crate::memory::{Memory, Outdated};
use crate::record::CachedKey;
use crate::verifier::VerifyError;

/// How often something is read again. A key that changes faster than that is nobody's key.
const TRIES: usize = 16;

/// From where, and into what.
pub(crate) struct Source {
    pub(crate) memory: Arc<Memory>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) absences: Arc<Absences>,
}

/// What can be read from the store into memory.
pub(crate) trait Wanted: Send + Sync + 'static {
    /// What whoever waits for it gets.
    type Found: Clone + Send + Sync + 'static;

    /// Reads it once, and puts it into memory unless a change has made it old.
    fn read(
        &self,
        from: &Source,
    ) -> impl Future<Output = Result<Result<Self::Found, Outdated>, StoreError>> + Send;

    /// Has nobody find a load of it any more.
    fn end(&self, loads: &mut Loads);
}

/// The key of this digest, if there is one.
pub(crate) struct KeyOf {
    pub(crate) digest: Digest,
    pub(crate) lane: Lane,
}

impl Wanted for KeyOf {
    type Found = Option<CachedKey>;

    async fn read(&self, from: &Source) -> Result<Result<Self::Found, Outdated>, StoreError> {
        let place = from.absences.place(self.lane).await;
        let history = from.memory.history();
        let loaded = from.store.load_key(&self.digest).await?;
        if loaded.found.is_none() {
            place.use_up();
        }
        Ok(from.memory.fill(history, &self.digest, &loaded))
    }

    fn end(&self, loads: &mut Loads) {
        loads.end(&self.digest);
    }
}

/// All keyspaces.
pub(crate) struct AllKeyspaces;

impl Wanted for AllKeyspaces {
    type Found = ();

    async fn read(&self, from: &Source) -> Result<Result<(), Outdated>, StoreError> {
        let history = from.memory.history();
        let loaded = from.store.load_keyspaces().await?;
        Ok(from.memory.fill_keyspaces(history, loaded))
    }

    fn end(&self, loads: &mut Loads) {
        loads.end_keyspaces();
    }
}

/// Something on its way from the store into memory. However it ends, nobody finds it going on afterwards.
pub(crate) struct Load<W: Wanted> {
    pub(crate) from: Source,
    pub(crate) wanted: W,
    pub(crate) tell: watch::Sender<Outcome<W::Found>>,
}

impl<W: Wanted> Load<W> {
    /// Reads it, and tells all who wait.
    pub(crate) async fn run(self) {
        let outcome = self.read().await;
        if outcome.is_err() {
            self.end();
        }
        self.tell.send_replace(Some(outcome));
    }

    async fn read(&self) -> Result<W::Found, VerifyError> {
        for _ in 0..TRIES {
            if let Ok(found) = self.wanted.read(&self.from).await? {
                return Ok(found);
            }
        }
        Err(VerifyError::Busy)
    }

    fn end(&self) {
        self.wanted.end(&mut self.from.memory.gate().loads);
    }
}

impl<W: Wanted> Drop for Load<W> {
    fn drop(&mut self) {
        // The store panicked, or the process is ending.
        if self.tell.borrow().is_none() {
            self.end();
        }
    }
}
