//! What grows is cut. Counts of use are kept for a time that the operator chooses; of the change log, what a node may
//! still ask for. Every node does it, at its start and then again and again: whichever comes first does it, and the
//! others find nothing to do.

use std::time::Duration;

use keywright_core::timestamp::Timestamp;
use tokio::time::{Interval, MissedTickBehavior};

use crate::console::LIFETIME;
use crate::state::AppState;

/// How often counts of use are removed.
const OF_USE: Duration = Duration::from_hours(1);

/// How often ended sessions of the console are forgotten.
const OF_CONSOLE: Duration = Duration::from_hours(1);

/// How often the change log is trimmed. A burst of changes is long gone before it takes room worth naming.
const OF_LOG: Duration = Duration::from_mins(1);

/// How many changes are kept, for nodes that come back after they were taken for gone.
const KEPT_CHANGES: u64 = 10_000;

/// Cuts what grows, counts of use to those of `retention` (of any age, where there is none), for as long as the returned
/// future is polled.
pub(crate) async fn keep_small(retention: Option<Duration>, state: AppState) {
    tokio::join!(
        keep_counts(retention, &state),
        keep_log(&state),
        keep_console(&state)
    );
}

/// Sessions that have ended, and forms that were sent: one is good only within the session that it was made for.
async fn keep_console(state: &AppState) {
    let mut ticks = every(OF_CONSOLE);
    loop {
        ticks.tick().await;
        let now = state.clock.now();
        let console = state.store.clone().console();
        let trimmed = console.trim_console(now, now.saturating_sub(2 * LIFETIME));
        if let Err(error) = trimmed.await {
            tracing::debug!(%error, "ended sessions could not be forgotten");
        }
    }
}

fn every(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn keep_log(state: &AppState) {
    let mut ticks = every(OF_LOG);
    loop {
        ticks.tick().await;
        match state.store.trim_log(KEPT_CHANGES).await {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            Ok(left) => metrics::gauge!("keywright_change_log_rows").set(left as f64),
            // Nothing depends on it, and what is the matter with the database is told by those on whom something does.
            Err(error) => tracing::debug!(%error, "the change log could not be trimmed"),
        }
    }
}

/// What is left of deleted keys goes the same way.
async fn keep_counts(retention: Option<Duration>, state: &AppState) {
    let mut ticks = every(OF_USE);
    loop {
        ticks.tick().await;
        let before = oldest(retention, state.clock.now());
        match state.store.trim_usage(before).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old counts of use were removed"),
            Err(error) => {
                tracing::warn!(%error, "old counts of use could not be removed and wait for the next try");
            }
        }
    }
}

/// From when on counts are kept.
fn oldest(retention: Option<Duration>, now: Timestamp) -> Timestamp {
    let micros = retention.map(|kept| i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
    Timestamp::from_micros(micros.map_or(i64::MIN, |kept| now.as_micros().saturating_sub(kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_as_long_as_is_said_or_for_ever() {
        let now = Timestamp::from_micros(1_000_000);
        let oldest = |kept| oldest(kept, now).as_micros();
        assert_eq!(oldest(Some(Duration::from_secs(3))), -2_000_000);
        assert_eq!(oldest(Some(Duration::MAX)), 1_000_000 - i64::MAX);
        assert_eq!(oldest(None), i64::MIN);
    }
}
