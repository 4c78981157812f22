//! Until when a process may decide from memory (DESIGN §5).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywright_core::ambient::Clock;

use crate::rules::Rule;

/// No lease at all.
const NONE: u64 = 0;
/// A lease that no clock ends.
const ENDLESS: u64 = u64::MAX;

/// What allows this process to decide from memory.
///
/// A decision loads the deadline first, reads memory then, and compares *that* deadline with the clock last: so a
/// renewal that slips in between cannot make something older look as new as itself, and a pause of the process counts
/// against it.
#[derive(Debug)]
pub struct Lease(AtomicU64);

impl Lease {
    /// For a process that alone changes its database and learns of every change before it is answered.
    pub const fn endless() -> Self {
        Self(AtomicU64::new(ENDLESS))
    }

    /// For a process that others would have to tell of their changes. It asks the store every time.
    pub const fn none() -> Self {
        Self(AtomicU64::new(NONE))
    }

    /// Makes the lease end at `uptime`, as [`Clock::uptime`] of this process counts it.
    ///
    /// Every change that the lease is to cover must have been applied before.
    pub fn extend_to(&self, uptime: Duration) {
        let micros = u64::try_from(uptime.as_micros()).unwrap_or(ENDLESS - 1);
        self.0
            .store(micros.clamp(NONE, ENDLESS - 1), Ordering::Release);
    }

    /// Ends it at once.
    pub fn end(&self) {
        self.0.store(NONE, Ordering::Release);
    }

    /// When it ends, as of now. To be loaded before memory is read.
    pub fn deadline(&self) -> Deadline {
        Deadline(self.0.load(Ordering::Acquire))
    }
}

/// When a lease ends, by this process's own clock. Never compared with another's.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(u64);

impl Deadline {
    /// Whether it is not reached yet. To be asked after memory was read.
    pub fn is_ahead(self, clock: &dyn Clock) -> bool {
        match self.0 {
            NONE => false,
            ENDLESS => true,
            deadline => {
                clock.uptime().as_micros() < u128::from(deadline) || !Rule::LeasesEnd.is_kept()
            }
        }
    }

    /// How long it is until then: nothing where it has passed, and `None` where there is no end.
    pub fn left(self, clock: &dyn Clock) -> Option<Duration> {
        match self.0 {
            ENDLESS => None,
            deadline => Some(Duration::from_micros(deadline).saturating_sub(clock.uptime())),
        }
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::timestamp::Timestamp;

    use super::*;

    struct At(Duration);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }

        fn uptime(&self) -> Duration {
            self.0
        }
    }

    fn holds(lease: &Lease, micros: u64) -> bool {
        lease
            .deadline()
            .is_ahead(&At(Duration::from_micros(micros)))
    }

    #[test]
    fn it_ends_at_its_deadline_and_not_after() {
        let lease = Lease::none();
        assert!(!holds(&lease, 0));
        lease.extend_to(Duration::from_micros(10));
        assert!(holds(&lease, 9));
        assert!(!holds(&lease, 10));
        lease.end();
        assert!(!holds(&lease, 0));
    }

    #[test]
    fn one_without_end_has_none() {
        assert!(holds(&Lease::endless(), u64::MAX));
        assert_eq!(Lease::endless().deadline().left(&At(Duration::MAX)), None);
    }

    #[test]
    fn what_is_left_of_it_is_the_time_until_its_deadline_and_never_less_than_nothing() {
        let lease = Lease::none();
        let left = |micros| {
            let at = At(Duration::from_micros(micros));
            lease.deadline().left(&at).map(|left| left.as_micros())
        };
        assert_eq!(left(0), Some(0));
        lease.extend_to(Duration::from_micros(10));
        assert_eq!((left(3), left(10), left(11)), (Some(7), Some(0), Some(0)));
    }

    #[test]
    fn a_deadline_that_was_loaded_stays_what_it_was() {
        let lease = Lease::none();
        lease.extend_to(Duration::from_micros(10));
        let deadline = lease.deadline();
        lease.extend_to(Duration::from_micros(20));
        assert!(!deadline.is_ahead(&At(Duration::from_micros(15))));
    }
}
