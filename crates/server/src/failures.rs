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
    /// How many failures there were in each minute of the last hour, of all sources.
    minutes: Minutes,
}

/// How many minutes are remembered.
const HOUR: u64 = 60;

/// The number of each minute, by its place in the hour, and how often something happened in it.
struct Minutes([(u64, u64); 60]);

impl Default for Minutes {
    fn default() -> Self {
        Self([(0, 0); 60])
    }
}

impl Minutes {
    fn count(&mut self, now: Duration) {
        let number = now.as_secs() / 60;
        // infallible: a remainder is smaller than what was divided by
        let place = usize::try_from(number % HOUR).expect("a remainder is small");
        let (minute, count) = &mut self.0[place];
        if *minute != number {
            (*minute, *count) = (number, 0);
        }
        *count += 1;
    }

    fn last_hour(&self, now: Duration) -> u64 {
        let last = now.as_secs() / 60;
        let within = |minute: u64| minute <= last && last - minute < HOUR;
        let counts = self.0.iter().filter(|(minute, _)| within(*minute));
        counts.map(|(_, count)| count).sum()
    }
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
        table.minutes.count(now);
        let window = table.window_of(subscriber(source), now);
        if window.failures >= ALLOWED {
            return Err(WINDOW.saturating_sub(now.saturating_sub(window.began)));
        }
        window.failures += 1;
        Ok(())
    }

    /// How often somebody failed in the last hour before `now` (an uptime), to a minute.
    pub(crate) fn last_hour(&self, now: Duration) -> u64 {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.minutes.last_hour(now)
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
    fn the_failures_of_the_last_hour_are_told() {
        let table = FailureTable::default();
        assert_eq!(table.last_hour(START), 0);
        let minute = Duration::from_mins(1);
        for (at, source) in [(0, 1), (0, 2), (59, 1)] {
            table.count(ip(source), START + at * minute).unwrap();
        }
        assert_eq!(table.last_hour(START + 59 * minute), 3);
        assert_eq!(table.last_hour(START + 60 * minute), 1);
        // Those that were told to wait are failures as well.
        for _ in 0..200 {
            let _ = table.count(ip(1), START + 60 * minute);
        }
        assert_eq!(table.last_hour(START + 60 * minute), 201);
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
