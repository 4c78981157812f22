//! Counts of use are kept for a time that the operator chooses. Every node removes what is older, at its start and
//! then every hour: whichever comes first does it, and the others find nothing to do.

use std::time::Duration;

use keywright_core::timestamp::Timestamp;

use crate::state::AppState;

const INTERVAL: Duration = Duration::from_hours(1);

/// Removes what is older than `retention` (nothing for its age, where there is none) and what is left of deleted keys,
/// for as long as the returned future is polled.
pub(crate) async fn keep_for(retention: Option<Duration>, state: AppState) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
