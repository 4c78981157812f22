//! What keys are made with and changed to, as arguments.

use clap::Args;
use keywright_core::ambient::Clock;
use serde_json::{Map, Value};

use crate::command::duration;
use crate::system::SystemClock;

/// When a key expires.
#[derive(Debug, Args)]
pub(super) struct Expiry {
    /// From when on it is expired, such as 2031-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<String>,
    /// After how long it is expired, by this machine's clock, such as 90d, 12h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires_in: Option<std::time::Duration>,
}

impl Expiry {
    /// The time, if one is given.
    pub(super) fn at(self) -> Option<String> {
        let from_now = |duration| SystemClock.now().saturating_add(duration).to_string();
        self.expires_at.or_else(|| self.expires_in.map(from_now))
    }
}

/// Reads metadata: a JSON object.
pub(super) fn metadata(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("{error}; write a JSON object such as {{\"team\": \"blue\"}}"))
}
