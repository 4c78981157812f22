//! Times as people read them.

use keywright_core::timestamp::Timestamp;

/// A time, exact and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339, for programs and on hover.
    pub(super) exact: String,
    /// How long ago it was, or how long it is until then.
    pub(super) words: String,
}

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl Moment {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let between = now.as_micros().saturating_sub(at.as_micros());
        let words = if between.abs() < MINUTE {
            "just now".to_owned()
        } else if between > 0 {
            format!("{} ago", length(between))
        } else {
            format!("in {}", length(-between))
        };
        Self {
            exact: at.to_string(),
            words,
        }
    }
}

/// The largest unit that it has one of, and how many, to the nearest.
fn length(micros: i64) -> String {
    let (unit, name) = [
        (365 * DAY, "year"),
        (30 * DAY, "month"),
        (DAY, "day"),
        (HOUR, "hour"),
        (MINUTE, "minute"),
    ]
    .into_iter()
    .find(|(unit, _)| micros >= *unit)
    .unwrap_or((SECOND, "second"));
    let count = micros.saturating_add(unit / 2) / unit;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {name}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(at: i64, now: i64) -> String {
        Moment::new(Timestamp::from_micros(at), Timestamp::from_micros(now)).words
    }

    #[test]
    fn a_time_is_told_by_its_distance() {
        assert_eq!(words(0, 59 * SECOND), "just now");
        assert_eq!(words(0, MINUTE), "1 minute ago");
        assert_eq!(words(0, 89 * MINUTE), "1 hour ago");
        assert_eq!(words(0, 90 * MINUTE), "2 hours ago");
        assert_eq!(words(0, 3 * DAY), "3 days ago");
        assert_eq!(words(0, 400 * DAY), "1 year ago");
        assert_eq!(words(3 * DAY - SECOND, 0), "in 3 days");
        assert_eq!(words(30 * SECOND, 0), "just now");
        assert_eq!(words(i64::MIN, i64::MAX), "292471 years ago");
    }
}
