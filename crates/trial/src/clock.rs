//! The time of the one process that judges.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_methods,
    reason = "real processes are watched in real time"
)]
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How long ago that was.
pub(crate) fn since(then: Duration) -> Duration {
    now().saturating_sub(then)
}

/// Since this process first asked.
#[expect(
    clippy::disallowed_methods,
    reason = "real processes are watched in real time"
)]
pub(crate) fn now() -> Duration {
    Instant::now().saturating_duration_since(*BEGINNING)
}
