//! The bound on failed authentications from one source (CONTRACT §4.5): 100 in a minute, then 429 for further
//! failures. A good credential is never refused, so nobody can lock others out by failing in their name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::source::subscriber;

/// Failures of one source that are answered 401 within one window.
const ALLOWED: u32 = 100;

/// How long a window lasts, from a source's first failure.
const WINDOW: Duration = Duration::from_mins(1);

/// How many sources are told apart at most. Further ones share one count.
const SOURCES: usize = 16_384;

/// Counts failed authentications by source, in bounded memory.
#[derive(Default)]
pub(crate) struct FailureTable(Mutex<Table>);

#[derive(Default)]
struct Table {
    windows: HashMap<IpAddr, Window>,
    /// For the sources that found the table full.
    shared: Option<Window>,
    /// When ended windows were last cleared away.
    swept: Duration,
}

#[derive(Clone, Copy)]
struct Window {
    began: Duration,
    failures: u32,
}

impl Window {
    fn ended(self, now: Duration) -> bool {
        now.saturating_sub(self.began) >= WINDOW
    }
}

impl FailureTable {
    /// Counts a failure of `source` at `now` (an uptime).
    ///
    /// # Errors
    /// How long the window still lasts, where the source has failed too often in it.
    pub(crate) fn count(&self, source: IpAddr, now: Duration) -> Result<(), Duration> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = table.window_of(subscriber(source), now);
        if window.failures >= ALLOWED {
            return Err(WINDOW.saturating_sub(now.saturating_sub(window.began)));
        }
        window.failures += 1;
        Ok(())
    }
}

impl Table {
    fn window_of(&mut self, source: IpAddr, now: Duration) -> &mut Window {
        let fresh = Window {
            began: now,
            failures: 0,
        };
        if self.windows.len() >= SOURCES && !self.windows.contains_key(&source) {
            // Once a second at most, or a flood from many sources would pay for a walk each time.
            if now.saturating_sub(self.swept) >= Duration::from_secs(1) {
                self.swept = now;
                self.windows.retain(|_, window| !window.ended(now));
            }
            if self.windows.len() >= SOURCES {
                let shared = self.shared.get_or_insert(fresh);
                if shared.ended(now) {
                    *shared = fresh;
                }
                return shared;
            }
        }
        let window = self.windows.entry(source).or_insert(fresh);
        if window.ended(now) {
            *window = fresh;
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn the_hundred_and_first_failure_in_a_minute_is_told_to_wait() {
        let table = FailureTable::default();
        assert!((0..100).all(|_| table.count(ip(1), START).is_ok()));
        assert_eq!(
            table.count(ip(1), START + Duration::from_secs(18)),
            Err(Duration::from_secs(42))
        );
    }

    #[test]
    fn after_the_minute_it_counts_anew() {
        let table = FailureTable::default();
        (0..100).for_each(|_| table.count(ip(1), START).unwrap());
        assert!(table.count(ip(1), START + WINDOW).is_ok());
    }

    #[test]
    fn one_source_does_not_count_for_another() {
        let table = FailureTable::default();
        (0..100).for_each(|_| table.count(ip(1), START).unwrap());
        assert!(table.count(ip(2), START).is_ok());
    }

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let table = FailureTable::default();
        for host in 0..100 {
            let source = format!("2001:db8::{host:x}").parse().unwrap();
            table.count(source, START).unwrap();
        }
        assert!(
            table
                .count("2001:db8::ffff".parse().unwrap(), START)
                .is_err()
        );
    }

    #[test]
    fn the_table_is_bounded_and_the_rest_share_a_count() {
        let table = FailureTable::default();
        let sources = u32::try_from(SOURCES).unwrap();
        (0..sources).for_each(|n| table.count(ip(n), START).unwrap());
        (0..100).for_each(|n| table.count(ip(sources + n), START).unwrap());
        assert!(table.count(ip(2 * sources), START).is_err());
        assert_eq!(table.0.lock().unwrap().windows.len(), SOURCES);
        // The known sources still have their own.
        assert!(table.count(ip(0), START).is_ok());
        // And when the windows end there is room again.
        assert!(table.count(ip(2 * sources), START + WINDOW).is_ok());
        assert_eq!(table.0.lock().unwrap().windows.len(), 1);
    }
}
