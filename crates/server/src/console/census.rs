//! How many keys there are. It is counted in the background, and for those who look at most once a minute: with very many
//! keys it takes long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use tokio::sync::Notify;

use crate::state::AppState;

/// How old what was counted may be before it is counted anew.
const GOOD_FOR: Duration = Duration::from_mins(1);

/// How long whoever looks first of all waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was counted last.
#[derive(Default)]
pub(crate) struct Census {
    last: ArcSwapOption<Counted>,
    counting: AtomicBool,
    counted: Notify,
}

/// How many keys there were.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) keys: BTreeMap<Status, u64>,
    pub(super) at: Timestamp,
}

/// How many keys there were within the last minute; longer ago where they are being counted, and nothing where they are
/// counted for the first time.
pub(super) async fn count(state: &AppState) -> Option<Counted> {
    let census = &state.census;
    let known = || census.last.load_full().map(|last| Counted::clone(&last));
    let counted = census.counted.notified();
    match known() {
        Some(last) if last.at > state.clock.now().saturating_sub(GOOD_FOR) => Some(last),
        Some(last) => {
            begin(state);
            Some(last)
        }
        None => {
            begin(state);
            // Whether it was in time or not: what is there is shown.
            let _ = tokio::time::timeout(PATIENCE, counted).await;
            known()
        }
    }
}

/// Counts, unless somebody does already; whoever asked for it may go away.
fn begin(state: &AppState) {
    if state.census.counting.swap(true, Ordering::AcqRel) {
        return;
    }
    let counting = Counting(state.clone());
    tokio::spawn(async move {
        let Counting(state) = &counting;
        let at = state.clock.now();
        match state.store.count_keys().await {
            Ok(keys) => state.census.last.store(Some(Counted { keys, at }.into())),
            Err(error) => tracing::warn!(%error, "keys could not be counted"),
        }
    });
}

/// Somebody who counts, until the end of it, whatever that is.
struct Counting(AppState);

impl Drop for Counting {
    fn drop(&mut self) {
        let Self(state) = self;
        state.census.counting.store(false, Ordering::Release);
        state.census.counted.notify_waiters();
    }
}
