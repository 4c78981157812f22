//! When this node had no lease while it ran: one line in the log for each one lost and regained, and a sum for the
//! metrics.

use std::time::Duration;

/// What is told where no attempt to renew has failed.
const HELD_UP: &str = "it ran out before its renewal came to an end: the process was held up";

/// Without a lease from here to there. All times are those of this process's own clock.
pub(super) struct Fence {
    /// Until when there is a lease, or was the last one.
    until: Duration,
    /// How long there was none, up to the present lease.
    without: Duration,
    /// By what it was lost, or else why the last attempt to renew failed, if it did.
    cause: Option<String>,
    /// Whether the log says that there is none.
    is_told: bool,
    /// Whether there was one at all.
    has_begun: bool,
}

impl Fence {
    /// A node that begins at `now`, without one.
    pub(super) fn begun(now: Duration) -> Self {
        Self {
            until: now,
            without: Duration::ZERO,
            cause: None,
            is_told: false,
            has_begun: false,
        }
    }

    /// An attempt to renew the lease failed.
    pub(super) fn failed(&mut self, now: Duration, cause: &str) {
        if self.is_told {
            // What it was lost by is told again when it is back.
            return tracing::debug!(cause, "the lease is not renewed");
        }
        self.cause = Some(cause.to_owned());
        self.is_told = now >= self.until;
        if self.is_told {
            tracing::warn!(
                cause,
                "the lease is lost: every verification asks the database"
            );
        } else {
            tracing::debug!(cause, "the lease is not renewed");
        }
    }

    /// It was given up at `now`.
    pub(super) fn ended(&mut self, now: Duration) {
        self.until = self.until.min(now);
    }

    /// It was renewed at `now`, and may be used until then.
    pub(super) fn renewed(&mut self, now: Duration, until: Duration) {
        let lasted = now.saturating_sub(self.until);
        self.without += lasted;
        let cause = self.cause.take();
        if !self.is_told && self.has_begun && !lasted.is_zero() {
            self.is_told = true;
            let cause = cause.as_deref().unwrap_or(HELD_UP);
            tracing::warn!(
                cause,
                "the lease was lost: every verification asked the database"
            );
        }
        if self.is_told {
            let cause = cause.as_deref().unwrap_or(HELD_UP);
            tracing::info!(cause, ?lasted, "the lease is back");
        }
        self.is_told = false;
        self.has_begun = true;
        self.until = until.max(now);
    }

    /// How long there was no lease so far, also where there is none now.
    pub(super) fn without_lease(&self, now: Duration) -> Duration {
        self.without + now.saturating_sub(self.until)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::Level;

    use super::*;

    /// What is logged, without the debugging.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn of(work: impl FnOnce()) -> Vec<String> {
            let log = Self::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_writer(move || writer.clone())
                .with_max_level(Level::INFO)
                .with_target(false)
                .with_ansi(false)
                .without_time()
                .finish();
            tracing::subscriber::with_default(subscriber, work);
            let text = log.0.lock().unwrap().clone();
            let text = String::from_utf8(text).unwrap();
            text.lines().map(|line| line.trim().to_owned()).collect()
        }
    }

    #[test]
    fn a_lease_that_is_lost_and_regained_is_one_line_each_with_the_cause_it_was_lost_by() {
        let mut fence = Fence::begun(at(100));
        let lines = Log::of(|| {
            fence.renewed(at(100), at(103));
            fence.renewed(at(101), at(104));
            fence.failed(at(102), "an attempt that costs nothing");
            fence.failed(at(104), "gone");
            fence.failed(at(105), "still gone");
            fence.renewed(at(106), at(109));
            fence.renewed(at(107), at(110));
        });
        let expected = [
            "WARN the lease is lost: every verification asks the database cause=\"gone\"",
            "INFO the lease is back cause=\"gone\" lasted=2s",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_lease_that_ran_out_unnoticed_is_told_of_when_it_is_back() {
        let mut fence = Fence::begun(at(100));
        let lines = Log::of(|| {
            fence.renewed(at(100), at(103));
            fence.renewed(at(110), at(113));
            fence.failed(at(112), "slow");
            fence.renewed(at(115), at(118));
        });
        let held_up = format!("cause=\"{HELD_UP}\"");
        let expected = [
            format!("WARN the lease was lost: every verification asked the database {held_up}"),
            format!("INFO the lease is back {held_up} lasted=7s"),
            "WARN the lease was lost: every verification asked the database cause=\"slow\""
                .to_owned(),
            "INFO the lease is back cause=\"slow\" lasted=2s".to_owned(),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_lease_that_is_given_up_is_lost_at_once() {
        let mut fence = Fence::begun(at(100));
        let lines = Log::of(|| {
            fence.renewed(at(100), at(103));
            fence.ended(at(101));
            fence.failed(at(101), "restored");
            fence.renewed(at(101), at(104));
        });
        let expected = [
            "WARN the lease is lost: every verification asks the database cause=\"restored\"",
            "INFO the lease is back cause=\"restored\" lasted=0ns",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_first_lease_is_told_of_only_where_it_was_hard_to_get() {
        assert_eq!(
            Log::of(|| Fence::begun(at(100)).renewed(at(101), at(104))),
            [] as [&str; 0]
        );
        let lines = Log::of(|| {
            let mut fence = Fence::begun(at(100));
            fence.failed(at(101), "not there");
            fence.renewed(at(102), at(105));
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_time_without_a_lease_goes_on_while_there_is_none_and_stands_while_there_is_one() {
        let mut fence = Fence::begun(at(100));
        assert_eq!(fence.without_lease(at(101)), at(1), "it joins");
        fence.renewed(at(102), at(105));
        assert_eq!(fence.without_lease(at(102)), at(2));
        assert_eq!(fence.without_lease(at(105)), at(2));
        assert_eq!(fence.without_lease(at(107)), at(4));
        fence.failed(at(108), "why");
        assert_eq!(fence.without_lease(at(109)), at(6));
        fence.renewed(at(110), at(113));
        assert_eq!(fence.without_lease(at(112)), at(7));
        fence.renewed(at(112), at(115));
        fence.ended(at(113));
        assert_eq!(fence.without_lease(at(114)), at(8));
    }

    #[test]
    fn a_renewal_that_took_longer_than_the_lease_it_gave_leaves_none() {
        let mut fence = Fence::begun(at(100));
        fence.renewed(at(110), at(104));
        assert_eq!(fence.without_lease(at(111)), at(11));
    }
}
