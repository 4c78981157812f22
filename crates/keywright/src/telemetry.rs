//! What the program tells about itself while it runs: events on standard error, as text or as JSON.
//!
//! Standard output stays for answers: `listening on …`, and what commands print.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::configuration::{LogFilter, LogFormat};

/// Begins to write events. To be called once.
pub(crate) fn start(filter: &LogFilter, format: LogFormat) {
    let filter = EnvFilter::new(filter.as_str());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(is_coloured()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

fn is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
