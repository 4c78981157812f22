//! Something that is said once in a while, however often there is reason to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// At most once a second.
#[derive(Debug, Default)]
pub(crate) struct Sparing {
    /// The second that it was said last in, from 1.
    said: AtomicU64,
}

impl Sparing {
    /// Whether it is to be said at `uptime`; it counts as said then.
    pub(crate) fn is_due(&self, uptime: Duration) -> bool {
        let second = uptime.as_secs() + 1;
        self.said.fetch_max(second, Ordering::Relaxed) < second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_second() {
        let sparing = Sparing::default();
        let due = |millis| sparing.is_due(Duration::from_millis(millis));
        let all = [0, 1, 999, 1000, 1500, 5000].map(due);
        assert_eq!(all, [true, false, false, true, false, true]);
    }
}
