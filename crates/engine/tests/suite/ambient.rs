//! The clock and the generator of these tests.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy, EntropyError};
use keywright_core::timestamp::Timestamp;
use uuid::Uuid;

/// Sunday, 2026-11-22T09:00:00Z.
const START: i64 = 1_795_338_000_000_000;

/// A clock that stands until it is moved.
pub(crate) struct ManualClock {
    now: AtomicI64,
    uptime: AtomicU64,
    /// By how much the uptime jumps when it is read next.
    jump: AtomicU64,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self {
            now: AtomicI64::new(START),
            uptime: AtomicU64::new(1_000_000_000),
            jump: AtomicU64::new(0),
        }
    }

    /// Moves wall clock and uptime on together.
    pub(crate) fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap();
        self.now
            .fetch_add(i64::try_from(micros).unwrap(), Ordering::SeqCst);
        self.uptime.fetch_add(micros, Ordering::SeqCst);
    }

    /// Whoever asks for the uptime next is told of a later one, and so is everybody after.
    pub(crate) fn jump_when_asked(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap();
        self.jump.store(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        let jump = self.jump.swap(0, Ordering::SeqCst);
        Duration::from_micros(self.uptime.fetch_add(jump, Ordering::SeqCst) + jump)
    }
}

/// A generator whose every draw differs (`SplitMix64`), also between two of them.
pub(crate) struct Counting;

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&draw().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A number that no other call gives.
fn draw() -> u64 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let mut z = DRAWN.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An id that no other call gives, later than all before it.
pub(crate) fn id() -> Uuid {
    static MADE: AtomicU64 = AtomicU64::new(1_795_338_000_123);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&draw().to_le_bytes());
    uuid::Builder::from_unix_timestamp_millis(MADE.fetch_add(1, Ordering::Relaxed), &random)
        .into_uuid()
}
