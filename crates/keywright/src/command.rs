//! The commands, one file each.

pub(crate) mod admin_key;
pub(crate) mod audit;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod keys;
pub(crate) mod keyspaces;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod verify;

use std::future::Future;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use uuid::Uuid;

use crate::failure::Failure;

/// Runs a command that waits for a network or a database; one thread is enough for it.
fn wait_for<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(format!("the runtime could not be started: {error}")))?
        .block_on(command)
}

/// Reads a length of time such as `90d`, `1h 30m` or `PT1H`; a day is 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a length of time such as 30s, 15m, 1h or 90d".to_owned())
}

/// Reads the id of a key. Whoever gives its text instead has it quoted nowhere, which clap would do.
fn key_id(text: &str, argument: &str) -> Result<String, Failure> {
    text.parse::<Uuid>().map(|id| id.to_string()).map_err(|_| {
        Failure::usage(format!(
            "{argument} is the id of a key, not its text or name: `keywright keys list` shows ids, such as \
             0193c0f1-7a43-7000-8000-000000000000"
        ))
    })
}

/// Reads the greatest number of entries to list.
fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| "write a whole number, at least 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        for wrong in ["", "1", "0s", "-1h", "1 month", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
