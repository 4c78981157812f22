//! A moment in UTC, to the microsecond: what both databases keep and what the wire shows.

use std::fmt;
use std::time::Duration;

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

    /// This moment and `duration` more; the end of time where that does not fit.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// How long it is from `earlier` until now; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 with any offset; digits beyond the microsecond are cut off.
    ///
    /// # Errors
    /// [`NotATimestamp`] for anything else: no offset, a bracketed zone, a year outside 0000–9999.
    pub fn parse(text: &str) -> Result<Self, NotATimestamp> {
        // jiff also takes RFC 9557, whose bracketed zone RFC 3339 does not know, and signed years.
        if text.contains('[') || !text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return Err(NotATimestamp);
        }
        let parsed: jiff::Timestamp = text.parse().map_err(|_| NotATimestamp)?;
        let earliest = jiff::Timestamp::from_second(-62_167_219_200).map_err(|_| NotATimestamp)?;
        if parsed < earliest {
            return Err(NotATimestamp);
        }
        Ok(Self(
            parsed
                .as_nanosecond()
                .div_euclid(1_000)
                .try_into()
                .map_err(|_| NotATimestamp)?,
        ))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with exactly six digits of fraction (CONTRACT §4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTER: jiff::fmt::temporal::DateTimePrinter =
            jiff::fmt::temporal::DateTimePrinter::new().precision(Some(6));
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        f.write_str(&PRINTER.timestamp_to_string(&moment))
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
        for micros in [0, 1, -1, 1_795_338_000_123_456, -62_167_219_200_000_000] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        }
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
        ] {
            assert_eq!(Timestamp::parse(text), Err(NotATimestamp), "{text}");
        }
    }
}
