//! What is noted of the use of keys, and what can be asked of it: counts by hour or by day, in UTC.

use std::collections::BTreeMap;

use keywright_core::decision::Code;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::timestamp::Timestamp;

const HOUR: i64 = 3_600_000_000;
const HOURS_OF_A_DAY: i64 = 24;

/// How many keys one [`Uses`] should be about at most: all of its counts are written in one transaction.
pub const MAX_KEYS_AT_ONCE: usize = 10_000;

/// How often verifications ended with one code, in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseCount {
    /// When the hour began.
    pub hour: Timestamp,
    /// Of which keyspace the text was; `None` for text that begins like no keyspace's keys.
    pub keyspace: Option<KeyspaceName>,
    /// Which key it was, and whose; `None` with [`Code::NotFound`].
    pub key: Option<(KeyId, UserId)>,
    /// What was answered.
    pub code: Code,
    /// How often.
    pub count: u64,
}

/// What is to be noted of the use of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// When keys were used last.
    pub last_used: Vec<(KeyId, Timestamp)>,
    /// What is to be added to the counts. Several about the same add up.
    pub counts: Vec<UseCount>,
}

impl Uses {
    /// Whether there is nothing to note.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last_used.is_empty() && self.counts.is_empty()
    }
}

/// How long one bucket of counts is. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Step {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// As the wire writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn micros(self) -> i64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => HOUR * HOURS_OF_A_DAY,
        }
    }

    /// In which bucket `at` is, counted from the Unix epoch.
    const fn number(self, at: Timestamp) -> i64 {
        at.as_micros().div_euclid(self.micros())
    }

    /// The first bucket that begins at `at` or later.
    const fn number_after(self, at: Timestamp) -> i64 {
        let number = self.number(at);
        if at.as_micros().rem_euclid(self.micros()) == 0 {
            number
        } else {
            number + 1
        }
    }

    const fn start(self, number: i64) -> Timestamp {
        Timestamp::from_micros(number.saturating_mul(self.micros()))
    }
}

/// A span of time in buckets of one step: at least one of them, at most [`Period::MAX_BUCKETS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    step: Step,
    first: i64,
    end: i64,
}

/// There is no such [`Period`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPeriod {
    /// It ends when it begins, or earlier.
    #[error("from must be earlier than to")]
    Empty,
    /// It has too many buckets.
    #[error(
        "from and to are {buckets} steps apart, and at most {} are answered",
        Period::MAX_BUCKETS
    )]
    TooLong {
        /// How many it would have.
        buckets: u64,
    },
}

impl Period {
    /// How many buckets there may be.
    pub const MAX_BUCKETS: u64 = 1000;

    /// All buckets that hold a moment from `from` on and before `to`.
    ///
    /// # Errors
    /// [`BadPeriod`] where these are none, or too many.
    pub fn new(step: Step, from: Timestamp, to: Timestamp) -> Result<Self, BadPeriod> {
        if from >= to {
            return Err(BadPeriod::Empty);
        }
        let (first, end) = (step.number(from), step.number_after(to));
        match end.abs_diff(first) {
            ..=Self::MAX_BUCKETS => Ok(Self { step, first, end }),
            buckets => Err(BadPeriod::TooLong { buckets }),
        }
    }

    /// The last `buckets` buckets (at least one, at most [`Self::MAX_BUCKETS`]) before `to`, the one that holds it
    /// included unless `to` is its beginning.
    #[must_use]
    pub fn before(step: Step, to: Timestamp, buckets: u32) -> Self {
        let end = step.number_after(to);
        let buckets = u64::from(buckets).clamp(1, Self::MAX_BUCKETS);
        Self {
            step,
            first: end.saturating_sub_unsigned(buckets),
            end,
        }
    }

    /// How long each bucket is.
    #[must_use]
    pub const fn step(self) -> Step {
        self.step
    }

    /// When each bucket begins, in ascending order.
    pub fn starts(self) -> impl Iterator<Item = Timestamp> {
        (self.first..self.end).map(move |number| self.step.start(number))
    }

    /// The first and the last day of which it holds an hour.
    pub(crate) fn days(self) -> (i32, i32) {
        let day = |number| hour_of_day(self.step.start(number)).0;
        (day(self.first), day(self.end - 1))
    }

    /// When the bucket begins that `at` is in.
    pub(crate) fn bucket_of(self, at: Timestamp) -> Timestamp {
        self.step.start(self.step.number(at))
    }

    /// Whether it holds the bucket that begins at `start`.
    pub(crate) fn holds(self, start: Timestamp) -> bool {
        (self.first..self.end).contains(&self.step.number(start))
    }
}

/// Whose use is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageOf {
    /// That of one key.
    Key(KeyId),
    /// That of all keys of one user.
    User(UserId),
    /// That of all keys of one keyspace, and of text that only looked like one.
    Keyspace(KeyspaceName),
    /// All there is.
    Everything,
}

/// Which counts to add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Whose.
    pub of: UsageOf,
    /// When, and in which steps.
    pub over: Period,
}

/// What was counted in one hour or day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBucket {
    /// When it began.
    pub start: Timestamp,
    /// How often each code was answered: those that were.
    pub counts: BTreeMap<Code, u64>,
}

/// The day (from the Unix epoch) and the hour of it that `at` is in, as the tables write them.
pub(crate) fn hour_of_day(at: Timestamp) -> (i32, i16) {
    let hour = Step::Hour.number(at);
    // infallible: 64 bits of microseconds are some 10^8 days, and a day has 24 hours
    let day = i32::try_from(hour.div_euclid(HOURS_OF_A_DAY)).expect("a day that is a number");
    let hour = i16::try_from(hour.rem_euclid(HOURS_OF_A_DAY)).expect("an hour of a day");
    (day, hour)
}

/// When that hour of that day began.
pub(crate) fn start_of(day: i32, hour: i16) -> Timestamp {
    Step::Hour.start(i64::from(day) * HOURS_OF_A_DAY + i64::from(hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn starts(period: Period) -> Vec<String> {
        period.starts().map(|start| start.to_string()).collect()
    }

    #[test]
    fn a_period_is_rounded_outwards_to_whole_buckets() {
        let (from, to) = (
            at("2026-11-21T23:59:59.999999Z"),
            at("2026-11-22T01:00:00.000001Z"),
        );
        assert_eq!(
            starts(Period::new(Step::Hour, from, to).unwrap()),
            [
                "2026-11-21T23:00:00.000000Z",
                "2026-11-22T00:00:00.000000Z",
                "2026-11-22T01:00:00.000000Z"
            ]
        );
        assert_eq!(
            starts(Period::new(Step::Day, from, to).unwrap()),
            ["2026-11-21T00:00:00.000000Z", "2026-11-22T00:00:00.000000Z"]
        );
    }

    #[test]
    fn what_begins_with_a_bucket_and_ends_with_one_is_not_rounded() {
        let period = Period::new(
            Step::Hour,
            at("2026-11-22T09:00:00Z"),
            at("2026-11-22T10:00:00Z"),
        );
        assert_eq!(starts(period.unwrap()), ["2026-11-22T09:00:00.000000Z"]);
    }

    #[test]
    fn hours_before_1970_are_rounded_as_those_after_it() {
        let moment = Timestamp::from_micros(-1);
        assert_eq!(hour_of_day(moment), (-1, 23));
        assert_eq!(start_of(-1, 23), Timestamp::from_micros(-HOUR));
        let period = Period::new(Step::Hour, moment, Timestamp::from_micros(0)).unwrap();
        assert_eq!(starts(period), ["1969-12-31T23:00:00.000000Z"]);
        assert_eq!(period.days(), (-1, -1));
    }

    #[test]
    fn a_period_has_at_least_one_bucket_and_at_most_a_thousand() {
        let from = at("2026-11-22T00:00:00Z");
        let hours = |hours| Timestamp::from_micros(from.as_micros() + hours * HOUR);
        assert_eq!(Period::new(Step::Hour, from, from), Err(BadPeriod::Empty));
        assert_eq!(
            Period::new(Step::Hour, from, hours(-1)),
            Err(BadPeriod::Empty)
        );
        let longest = Period::new(Step::Hour, from, hours(1000)).unwrap();
        assert_eq!(longest.starts().count(), 1000);
        assert_eq!(
            Period::new(
                Step::Hour,
                from,
                Timestamp::from_micros(hours(1000).as_micros() + 1)
            ),
            Err(BadPeriod::TooLong { buckets: 1001 })
        );
        let all = Period::new(
            Step::Hour,
            at("0000-01-01T00:00:00Z"),
            at("9999-12-31T23:59:59.999999Z"),
        );
        assert_eq!(
            all,
            Err(BadPeriod::TooLong {
                buckets: 87_658_200
            })
        );
    }

    #[test]
    fn the_last_buckets_are_those_with_the_one_that_is_now() {
        let now = at("2026-11-22T09:30:00Z");
        assert_eq!(
            starts(Period::before(Step::Hour, now, 2)),
            ["2026-11-22T08:00:00.000000Z", "2026-11-22T09:00:00.000000Z"]
        );
        let midnight = at("2026-11-22T00:00:00Z");
        assert_eq!(
            starts(Period::before(Step::Day, midnight, 1)),
            ["2026-11-21T00:00:00.000000Z"]
        );
    }

    #[test]
    fn a_period_knows_its_days_and_its_buckets() {
        let period = Period::before(Step::Hour, at("2026-11-22T01:30:00Z"), 3);
        let (first, last) = period.days();
        assert_eq!(last, first + 1);
        assert!(period.holds(at("2026-11-21T23:00:00Z")));
        assert!(!period.holds(at("2026-11-21T22:00:00Z")));
        assert!(!period.holds(at("2026-11-22T02:00:00Z")));
    }
}
