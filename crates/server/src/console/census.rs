//! How many keys there are. It is counted in the background, and for those who look at most once a minute: with very many
//! keys it takes long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;

use crate::problem::Problem;
use crate::state::AppState;

/// How old what was counted may be before it is counted anew.
const GOOD_FOR: Duration = Duration::from_mins(1);

/// What was counted last.
#[derive(Default)]
pub(crate) struct Census {
    last: ArcSwapOption<Counted>,
    counting: AtomicBool,
}

/// How many keys there were.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) keys: BTreeMap<Status, u64>,
    pub(super) at: Timestamp,
}

/// How many keys there were within the last minute; longer ago where they are being counted. Only who is first of all
/// waits.
pub(super) async fn count(state: &AppState) -> Result<Counted, Problem> {
    let Some(last) = state.census.last.load_full() else {
        return counted(state).await;
    };
    let is_old = last.at <= state.clock.now().saturating_sub(GOOD_FOR);
    if is_old && !state.census.counting.swap(true, Ordering::AcqRel) {
        let state = state.clone();
        tokio::spawn(async move {
            // It has told the log why not.
            let _ = counted(&state).await;
            state.census.counting.store(false, Ordering::Release);
        });
    }
    Ok(Counted::clone(&last))
}

async fn counted(state: &AppState) -> Result<Counted, Problem> {
    let counted = Counted {
        at: state.clock.now(),
        keys: state.store.count_keys().await?,
    };
    state.census.last.store(Some(counted.clone().into()));
    Ok(counted)
}
