//! A clock that stands still until a test moves it, and a generator that gives the same bytes in every run.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy, EntropyError};
use keywright_core::timestamp::Timestamp;

/// Sunday, 2026-11-22T09:00:00Z.
const START: i64 = 1_795_338_000_000_000;

/// A clock that stands still until it is moved.
pub(crate) struct ManualClock {
    now: AtomicI64,
    uptime: AtomicU64,
    panics: AtomicBool,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self {
            now: AtomicI64::new(START),
            uptime: AtomicU64::new(1_000_000_000),
            panics: AtomicBool::new(false),
        }
    }

    /// Who asks for the uptime next panics.
    pub(crate) fn panic_once(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    /// Whether nobody has asked since [`Self::panic_once`].
    pub(crate) fn will_panic(&self) -> bool {
        self.panics.load(Ordering::SeqCst)
    }

    /// Moves wall clock and uptime on together.
    pub(crate) fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap();
        self.now
            .fetch_add(i64::try_from(micros).unwrap(), Ordering::SeqCst);
        self.uptime.fetch_add(micros, Ordering::SeqCst);
    }

    /// The moment `by` later than now, as the wire writes it.
    pub(crate) fn later(&self, by: Duration) -> String {
        self.now().saturating_add(by).to_string()
    }

    /// Now, as the wire writes it.
    pub(crate) fn text(&self) -> String {
        self.now().to_string()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        assert!(
            !self.panics.swap(false, Ordering::SeqCst),
            "a test wants it"
        );
        Duration::from_micros(self.uptime.load(Ordering::SeqCst))
    }
}

/// `SplitMix64` from a fixed seed: distinct values, the same in every run of a test that does one thing at a time.
pub(crate) struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0x6b65_7977_7269_6768))
    }

    fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.0.fetch_add(step, Ordering::SeqCst).wrapping_add(step);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
