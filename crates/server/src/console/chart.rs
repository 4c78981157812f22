//! How often keys were used, as pages show it: a table, which a script draws a chart of, and a small line in lists.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use keywright_core::decision::Code;
use keywright_core::identifier::KeyId;
use keywright_core::keyspace::Operation;
use keywright_core::timestamp::Timestamp;
use keywright_store::{Period, Step, UsageBucket, UsageOf, UsageQuery};

use super::visitor::Visitor;
use crate::problem::Problem;
use crate::state::AppState;

/// What a verification can come to, in the order of the columns: its name in the style sheet, and in words.
const OUTCOMES: [(Code, &str, &str); 6] = [
    (Code::Valid, "accepted", "Accepted"),
    (
        Code::InsufficientPermissions,
        "lacking",
        "Lacking a permission",
    ),
    (Code::Expired, "expired", "Expired"),
    (Code::Suspended, "suspended", "Suspended"),
    (Code::Revoked, "revoked", "Revoked"),
    (Code::NotFound, "unknown", "Unknown"),
];

/// Counts over time, by outcome.
pub(super) struct Chart {
    /// What it is of, for whoever listens to the page.
    pub(super) title: String,
    /// What happened at all, and acceptance: the columns.
    pub(super) outcomes: Vec<Outcome>,
    /// Oldest first.
    pub(super) rows: Vec<Row>,
    pub(super) library: &'static str,
    pub(super) library_style: &'static str,
}

/// A column.
pub(super) struct Outcome {
    pub(super) class: &'static str,
    pub(super) words: &'static str,
    pub(super) sum: u64,
}

/// What was counted from one moment to the next.
pub(super) struct Row {
    /// When it begins: seconds since the Unix epoch.
    pub(super) seconds: i64,
    /// For people: the hour or the day, in UTC.
    pub(super) words: String,
    /// One for each column.
    pub(super) counts: Vec<u64>,
}

/// How long the rows are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Minute,
    Hour,
    Day,
}

impl Chart {
    /// Of what was counted from each moment on.
    pub(super) fn new<'c>(
        title: impl Into<String>,
        width: Width,
        counted: impl IntoIterator<Item = (Timestamp, Option<&'c BTreeMap<Code, u64>>)>,
    ) -> Self {
        let counted: Vec<_> = counted.into_iter().collect();
        let of = |counts: Option<&BTreeMap<Code, u64>>, code| {
            counts
                .and_then(|counts| counts.get(&code))
                .copied()
                .unwrap_or_default()
        };
        let sum = |code| {
            counted
                .iter()
                .map(|(_, counts)| of(*counts, code))
                .sum::<u64>()
        };
        let columns: Vec<_> = OUTCOMES
            .into_iter()
            .map(|(code, class, words)| {
                (
                    code,
                    Outcome {
                        class,
                        words,
                        sum: sum(code),
                    },
                )
            })
            .filter(|(code, outcome)| outcome.sum > 0 || *code == Code::Valid)
            .collect();
        let row = |(start, counts): &(Timestamp, Option<&BTreeMap<Code, u64>>)| Row {
            seconds: start.as_micros().div_euclid(1_000_000),
            words: width.words(*start),
            counts: columns.iter().map(|(code, _)| of(*counts, *code)).collect(),
        };
        Self {
            title: title.into(),
            rows: counted.iter().map(row).collect(),
            outcomes: columns.into_iter().map(|(_, outcome)| outcome).collect(),
            library: super::assets::CHARTS.path(),
            library_style: super::assets::CHARTS_STYLE.path(),
        }
    }

    /// All that was counted.
    pub(super) fn sum(&self) -> u64 {
        self.outcomes.iter().map(|outcome| outcome.sum).sum()
    }
}

impl Width {
    /// `2026-11-28`, `2026-11-28 09:00` or `09:41`.
    fn words(self, at: Timestamp) -> String {
        let text = at.to_string();
        match self {
            Self::Day => text[..10].to_owned(),
            Self::Hour => format!("{} {}", &text[..10], &text[11..16]),
            Self::Minute => text[11..16].to_owned(),
        }
    }
}

/// Over which time a chart goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Day,
    Week,
    Month,
}

impl Over {
    pub(super) const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The one that an address names; the shortest where it names none.
    pub(super) fn named(name: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|over| over.name() == name).unwrap_or(Self::Day)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
        }
    }

    /// Up to now: what is being counted belongs to it.
    fn period(self, now: Timestamp) -> Period {
        let end = now.saturating_add(Duration::from_micros(1));
        match self {
            Self::Day => last_day(now),
            Self::Week => Period::before(Step::Day, end, 7),
            Self::Month => Period::before(Step::Day, end, 30),
        }
    }
}

fn last_day(now: Timestamp) -> Period {
    Period::before(Step::Hour, now.saturating_add(Duration::from_micros(1)), 24)
}

/// What was counted, as a chart.
pub(super) async fn chart(
    title: &str,
    of: UsageOf,
    over: Over,
    now: Timestamp,
    state: &AppState,
) -> Result<Chart, Problem> {
    let period = over.period(now);
    let buckets = state.store.usage(&UsageQuery { of, over: period }).await?;
    let by_start: BTreeMap<_, _> = buckets
        .iter()
        .map(|bucket| (bucket.start, &bucket.counts))
        .collect();
    let width = match over {
        Over::Day => Width::Hour,
        Over::Week | Over::Month => Width::Day,
    };
    let title = format!("{title}, last {}", over.words());
    let counted = period
        .starts()
        .map(|start| (start, by_start.get(&start).copied()));
    Ok(Chart::new(title, width, counted))
}

/// How often the keys of a user or a keyspace were verified in the last day, for whoever may read it.
pub(super) async fn last_day_for(
    visitor: &Visitor,
    of: UsageOf,
    now: Timestamp,
    state: &AppState,
) -> Result<Option<Chart>, Problem> {
    if !visitor.holds(Operation::AuditRead) {
        return Ok(None);
    }
    let chart = chart("Verifications", of, Over::Day, now, state).await?;
    Ok(Some(chart))
}

/// The last day of a key, hour by hour, in the room of a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sparkline {
    /// What to draw (SVG 2 §9.3), in a box of 96 by 20.
    pub(super) path: String,
    /// How often the key was asked about.
    pub(super) sum: u64,
}

impl Sparkline {
    pub(super) fn of(buckets: &[UsageBucket], now: Timestamp) -> Self {
        const HEIGHT: u64 = 20;
        let counts: Vec<u64> = last_day(now)
            .starts()
            .map(|start| {
                let bucket = buckets.iter().find(|bucket| bucket.start == start);
                bucket.map_or(0, |bucket| bucket.counts.values().sum())
            })
            .collect();
        let most = counts.iter().copied().max().unwrap_or_default().max(1);
        let mut path = String::new();
        for (hour, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // A little of what is there is always seen.
            let height = (count.saturating_mul(HEIGHT) / most).max(1);
            // infallible: a text takes what is written
            let _ = write!(path, "M{} {HEIGHT}V{}", hour * 4 + 2, HEIGHT - height);
        }
        Self {
            path,
            sum: counts.iter().sum(),
        }
    }
}

/// The last day of each of some keys; those that were not used are not there.
pub(super) async fn last_day_of(
    keys: &[KeyId],
    now: Timestamp,
    state: &AppState,
) -> Result<BTreeMap<KeyId, Sparkline>, Problem> {
    let counted = state.store.usage_by_key(keys, last_day(now)).await?;
    let line = |(key, buckets): (_, Vec<UsageBucket>)| (key, Sparkline::of(&buckets, now));
    Ok(counted.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn bucket(hour: i64, count: u64) -> UsageBucket {
        UsageBucket {
            start: Timestamp::from_micros(hour * HOUR),
            counts: [(Code::Valid, count)].into(),
        }
    }

    #[test]
    fn a_line_has_a_stroke_for_each_hour_in_which_something_was() {
        let now = Timestamp::from_micros(23 * HOUR + 1);
        let line = Sparkline::of(&[bucket(0, 1), bucket(22, 1000), bucket(23, 500)], now);
        assert_eq!(line.path, "M2 20V19M90 20V0M94 20V10");
        assert_eq!(line.sum, 1501);
        assert_eq!(Sparkline::of(&[], now).path, "");
    }

    #[test]
    fn a_chart_has_the_columns_of_what_happened_and_of_acceptance() {
        let counts = [(Code::Revoked, 2)].into();
        let rows = [
            (Timestamp::from_micros(0), None),
            (Timestamp::from_micros(HOUR), Some(&counts)),
        ];
        let chart = Chart::new("uses", Width::Hour, rows);
        let columns: Vec<_> = chart.outcomes.iter().map(|one| one.class).collect();
        assert_eq!(columns, ["accepted", "revoked"]);
        assert_eq!(chart.rows[0].counts, [0, 0]);
        assert_eq!(chart.rows[1].counts, [0, 2]);
        assert_eq!(chart.rows[1].words, "1970-01-01 01:00");
        assert_eq!(chart.sum(), 2);
    }
}
