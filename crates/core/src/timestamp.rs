//! A moment in UTC, to the microsecond: what both databases keep and what the wire shows.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, in microseconds since 1970-01-01T00:00:00Z, between the years 0000 and 9999 when it was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is no RFC 3339 date and time with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 date and time with an offset, such as 2026-11-22T09:00:00.000000Z")]
pub struct NotATimestamp;

impl Timestamp {
    /// The moment `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and `duration` less; the beginning of time where that does not fit.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// This moment and `duration` more; the end of time where that does not fit.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// Parses RFC 3339 with any offset. Digits beyond the microsecond are cut off.
    ///
    /// # Errors
    /// [`NotATimestamp`] for anything else: no offset, a bracketed zone, a moment outside the years 0000–9999 in UTC.
    pub fn parse(text: &str) -> Result<Self, NotATimestamp> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotATimestamp)?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1_000);
        match i64::try_from(micros) {
            Ok(micros @ Self::EARLIEST..=Self::LATEST) => Ok(Self(micros)),
            _ => Err(NotATimestamp),
        }
    }

    /// 0000-01-01T00:00:00.000000Z, in microseconds.
    const EARLIEST: i64 = -62_167_219_200_000_000;
    /// 9999-12-31T23:59:59.999999Z, in microseconds.
    const LATEST: i64 = 253_402_300_799_999_999;
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with exactly six digits of fraction (CONTRACT §4); what lies outside the years 0000–9999 is
    /// shown as the nearest moment within them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.clamp(Self::EARLIEST, Self::LATEST);
        // infallible: those years are the library's own range
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
            .expect("the years 0000 to 9999 are representable");
        let (year, month, day) = moment.to_calendar_date();
        let (hour, minute, second, micro) = moment.to_hms_micro();
        let month = u8::from(month);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_with_six_digits_in_utc() {
        let shown = Timestamp::parse("2026-11-22T10:00:00+01:00")
            .unwrap()
            .to_string();
        assert_eq!(shown, "2026-11-22T09:00:00.000000Z");
    }

    #[test]
    fn what_is_shown_parses_to_the_same_moment() {
        for micros in [
            0,
            1,
            -1,
            1_795_338_000_123_456,
            Timestamp::EARLIEST,
            Timestamp::LATEST,
        ] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        }
    }

    #[test]
    fn the_last_second_that_can_be_written_is_taken() {
        let last = Timestamp::parse("9999-12-31T23:59:59Z").unwrap();
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.000000Z");
        assert_eq!(
            Timestamp::from_micros(i64::MAX).to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
    }

    #[test]
    fn digits_beyond_the_microsecond_are_cut_off() {
        assert_eq!(
            Timestamp::parse("1970-01-01T00:00:00.0000019Z"),
            Ok(Timestamp::from_micros(1))
        );
    }

    #[test]
    fn what_rfc_3339_does_not_know_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2026-11-22",
            "2026-11-22T09:00:00",
            "2026-11-22T09:00:00Z[UTC]",
            "-000001-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "20300101T000000Z",
            "2030-01-01T00Z",
            "2030-01-01T00:00:00+01",
            "2030-01-01T00:00:00,5Z",
            "2030-01-01T00:00:00.Z",
            "2030-01-01T00:00:00+25:00",
            "2030-01-01T24:00:00Z",
            "2030-01-01T00:00:00Z ",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(Timestamp::parse(text), Err(NotATimestamp), "{text}");
        }
    }
}
