//! What is counted for the metrics and is told to other nodes as well.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;

/// A counter of the metrics that can be read. (Theirs belongs to the process, and this to one verifier.)
pub(crate) struct Tally {
    shown: Counter,
    count: AtomicU64,
}

impl Tally {
    pub(crate) fn shown_as(shown: Counter) -> Self {
        Self {
            shown,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn increment(&self, by: u64) {
        self.shown.increment(by);
        self.count.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
