//! The keys that were asked about most in the last hour: live figures of this one process, in bounded memory.

use std::collections::HashMap;

use keywright_core::identifier::KeyId;
use keywright_core::timestamp::Timestamp;

const TEN_MINUTES: i64 = 600_000_000;

/// How many parts of ten minutes are remembered, the one that is going on included.
const PARTS: i64 = 6;

/// How many keys a part tells apart at least. Of more than twice as many, those that were asked about least are
/// forgotten, and begin anew: who is among the busiest is not.
const TOLD_APART: usize = 1000;

/// Counts of one part, by key.
#[derive(Default)]
struct Part {
    number: i64,
    counts: HashMap<KeyId, u64>,
}

/// How often keys were asked about, in each part of the last hour.
#[derive(Default)]
pub(super) struct Busiest([Part; 6]);

impl Busiest {
    /// Counts what was answered at `at`. What is older than the parts is not counted.
    pub(super) fn count(&mut self, at: Timestamp, key: KeyId, count: u64) {
        let number = at.as_micros().div_euclid(TEN_MINUTES);
        // infallible: a remainder is smaller than what was divided by
        let place = usize::try_from(number.rem_euclid(PARTS)).expect("a remainder is small");
        let part = &mut self.0[place];
        if part.number > number {
            return;
        }
        if part.number < number {
            *part = Part {
                number,
                counts: HashMap::new(),
            };
        }
        *part.counts.entry(key).or_default() += count;
        if part.counts.len() > 2 * TOLD_APART {
            part.forget_the_least();
        }
    }

    /// So many of those that were asked about most, with how often, the first of them first.
    pub(super) fn until(&self, now: Timestamp, limit: usize) -> Vec<(KeyId, u64)> {
        let last = now.as_micros().div_euclid(TEN_MINUTES);
        let mut sums: HashMap<KeyId, u64> = HashMap::new();
        for part in &self.0 {
            if (last - PARTS + 1..=last).contains(&part.number) {
                for (&key, &count) in &part.counts {
                    *sums.entry(key).or_default() += count;
                }
            }
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_unstable_by_key(|&(key, count)| (std::cmp::Reverse(count), key));
        sums.truncate(limit);
        sums
    }
}

impl Part {
    fn forget_the_least(&mut self) {
        let mut counts: Vec<_> = self.counts.drain().collect();
        counts.select_nth_unstable_by_key(TOLD_APART, |&(key, count)| {
            (std::cmp::Reverse(count), key)
        });
        counts.truncate(TOLD_APART);
        self.counts.extend(counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key(number: usize) -> KeyId {
        KeyId(Uuid::from_u128(number as u128))
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_micros(minutes * 60_000_000)
    }

    #[test]
    fn the_busiest_come_first_and_as_many_as_were_asked_for() {
        let mut busiest = Busiest::default();
        for (minute, number, count) in [(0, 1, 5), (0, 2, 3), (10, 2, 3), (20, 3, 1)] {
            busiest.count(at(minute), key(number), count);
        }
        assert_eq!(busiest.until(at(20), 2), [(key(2), 6), (key(1), 5)]);
    }

    #[test]
    fn what_is_older_than_an_hour_does_not_count() {
        let mut busiest = Busiest::default();
        busiest.count(at(0), key(1), 5);
        busiest.count(at(59), key(2), 3);
        assert_eq!(busiest.until(at(59), 9).len(), 2);
        assert_eq!(busiest.until(at(60), 9), [(key(2), 3)]);
        // Nor what comes late, into the place of something newer.
        busiest.count(at(60), key(3), 1);
        busiest.count(at(0), key(1), 5);
        assert_eq!(busiest.until(at(60), 9), [(key(2), 3), (key(3), 1)]);
        assert_eq!(busiest.until(at(200), 9), []);
    }

    #[test]
    fn memory_is_bounded_and_the_busiest_stay() {
        let mut busiest = Busiest::default();
        for number in 0..10 * TOLD_APART {
            busiest.count(at(0), key(number), 1);
            busiest.count(at(0), key(7), 1);
            assert!(busiest.0[0].counts.len() <= 2 * TOLD_APART);
        }
        let first = busiest.until(at(0), 1);
        assert_eq!(first, [(key(7), 10 * TOLD_APART as u64 + 1)]);
    }
}
