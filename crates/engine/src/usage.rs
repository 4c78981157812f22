//! When keys were used last, written behind: a request only notes it in memory, and a task writes in batches.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keywright_core::identifier::KeyId;
use keywright_core::timestamp::Timestamp;
use keywright_store::{Store, StoreError};

/// How many keys' last uses wait in memory at most; more are dropped, and counted.
const CAPACITY: usize = 100_000;

/// How many rows one transaction writes, so that other writers get their turn.
const BATCH: usize = 1_000;

/// Notes of last uses on their way to the store. Cheap to clone.
#[derive(Clone)]
pub struct UseLog {
    store: Arc<dyn Store>,
    waiting: Arc<Mutex<HashMap<KeyId, Timestamp>>>,
}

impl UseLog {
    /// An empty log in front of `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            waiting: Arc::default(),
        }
    }

    /// Notes that a key was used at `at`.
    pub fn note(&self, key: KeyId, at: Timestamp) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let full = waiting.len() >= CAPACITY;
        match waiting.entry(key) {
            Entry::Occupied(mut noted) => {
                let latest = at.max(*noted.get());
                noted.insert(latest);
            }
            Entry::Vacant(free) if !full => {
                free.insert(at);
            }
            Entry::Vacant(_) => metrics::counter!("keywright_uses_dropped_total").increment(1),
        }
    }

    /// Writes what waits. What could not be written waits again.
    ///
    /// # Errors
    /// [`StoreError`] of the first batch that failed.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let taken =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut taken: Vec<_> = taken.into_iter().collect();
        while !taken.is_empty() {
            let batch = taken.split_off(taken.len().saturating_sub(BATCH));
            if let Err(error) = self.store.record_use(batch.clone()).await {
                for (key, at) in taken.into_iter().chain(batch) {
                    self.note(key, at);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Flushes every `interval`, for as long as the returned future is polled.
    pub async fn flush_every(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "last uses could not be written and wait for the next try");
            }
        }
    }
}
