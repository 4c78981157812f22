//! What was answered in each of the last minutes: live figures of this one process.

use keywright_core::decision::Code;
use keywright_core::timestamp::Timestamp;

/// How many minutes are remembered, the one that is going on included.
pub const LIVE_MINUTES: usize = 60;

const MICROS: i64 = 60_000_000;

/// One minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute {
    /// When it began.
    pub start: Timestamp,
    /// How often each code was answered, in the order of [`Code::ALL`].
    pub counts: [u64; Code::ALL.len()],
}

/// A ring of minutes.
pub(super) struct Minutes([Option<Minute>; LIVE_MINUTES]);

/// How long the ring is, in minutes.
const RING: i64 = 60;

fn start_of(at: Timestamp) -> Timestamp {
    let micros = at.as_micros();
    Timestamp::from_micros(micros - micros.rem_euclid(MICROS))
}

fn place_of(start: Timestamp) -> usize {
    let minute = start.as_micros().div_euclid(MICROS);
    // infallible: a remainder is smaller than what was divided by
    usize::try_from(minute.rem_euclid(RING)).expect("a remainder is small")
}

impl Default for Minutes {
    fn default() -> Self {
        Self([None; LIVE_MINUTES])
    }
}

impl Minutes {
    /// Counts what was answered at `at`. What is older than the ring is not counted.
    pub(super) fn count(&mut self, at: Timestamp, code: Code, count: u64) {
        let start = start_of(at);
        let place = &mut self.0[place_of(start)];
        let minute = match place {
            Some(minute) if minute.start > start => return,
            Some(minute) if minute.start == start => minute,
            _ => place.insert(Minute {
                start,
                counts: [0; Code::ALL.len()],
            }),
        };
        let number = Code::ALL.iter().position(|known| *known == code);
        // infallible: all of them are there
        minute.counts[number.expect("a code is one of all")] += count;
    }

    /// The last minutes, oldest first; the last one is that of `now`. Those without answers are there too.
    pub(super) fn until(&self, now: Timestamp) -> Vec<Minute> {
        let last = start_of(now).as_micros();
        (0..RING)
            .rev()
            .map(|ago| Timestamp::from_micros(last - ago * MICROS))
            .map(|start| match self.0[place_of(start)] {
                Some(minute) if minute.start == start => minute,
                _ => Minute {
                    start,
                    counts: [0; Code::ALL.len()],
                },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_micros(number * MICROS + 1)
    }

    fn counted(minutes: &Minutes, now: i64) -> Vec<(i64, u64)> {
        let all = minutes.until(minute(now));
        assert_eq!(all.len(), LIVE_MINUTES);
        all.iter()
            .map(|one| (one.start.as_micros() / MICROS, one.counts.iter().sum()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    #[test]
    fn a_minute_adds_up_by_code() {
        let mut minutes = Minutes::default();
        minutes.count(minute(5), Code::Valid, 2);
        minutes.count(minute(5), Code::Valid, 1);
        minutes.count(minute(5), Code::NotFound, 4);
        let last = minutes.until(minute(5))[LIVE_MINUTES - 1];
        assert_eq!(last.start, Timestamp::from_micros(5 * MICROS));
        assert_eq!(last.counts, [4, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn what_is_older_than_an_hour_is_gone() {
        let mut minutes = Minutes::default();
        for number in [0, 1, 59, 60] {
            minutes.count(minute(number), Code::Valid, 1);
        }
        assert_eq!(counted(&minutes, 60), [(1, 1), (59, 1), (60, 1)]);
        assert_eq!(counted(&minutes, 119), [(60, 1)]);
        assert_eq!(counted(&minutes, 1000), []);
    }

    #[test]
    fn a_clock_that_goes_back_overwrites_nothing_newer() {
        let mut minutes = Minutes::default();
        minutes.count(minute(60), Code::Valid, 1);
        minutes.count(minute(0), Code::Valid, 1);
        assert_eq!(counted(&minutes, 60), [(60, 1)]);
    }
}
