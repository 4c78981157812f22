//! When keys were used last, written behind: a request only notes it in memory, and a task writes in batches.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keywright_core::identifier::KeyId;
use keywright_core::timestamp::Timestamp;
use keywright_store::{Store, StoreError, Uses};

/// How many keys' last uses wait in memory at most; more are dropped, and counted.
const CAPACITY: usize = 100_000;

/// Notes of last uses on their way to the store. Cheap to clone.
#[derive(Clone)]
pub struct UseLog {
    store: Arc<dyn Store>,
    waiting: Arc<Mutex<Waiting>>,
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
        if !self.waiting().note(key, at) {
            metrics::counter!("keywright_uses_dropped_total").increment(1);
        }
    }

    /// Writes what waits. A note is forgotten only after it is written, so neither an error nor a caller that goes
    /// away loses any.
    ///
    /// # Errors
    /// [`StoreError`] where something could not be written; all of it waits for the next time.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let uses = self.waiting().snapshot();
        let written = Uses {
            last_used: uses.clone(),
            ..Uses::default()
        };
        self.store.record_use(written).await?;
        self.waiting().forget(&uses);
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

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest use of each key that is not written yet, at most [`CAPACITY`] of them.
#[derive(Default)]
struct Waiting(HashMap<KeyId, Timestamp>);

impl Waiting {
    /// Notes a use; `false` where there was no room for another key.
    fn note(&mut self, key: KeyId, at: Timestamp) -> bool {
        let full = self.0.len() >= CAPACITY;
        match self.0.entry(key) {
            Entry::Occupied(mut noted) => {
                let latest = at.max(*noted.get());
                noted.insert(latest);
                true
            }
            Entry::Vacant(_) if full => false,
            Entry::Vacant(free) => {
                free.insert(at);
                true
            }
        }
    }

    fn snapshot(&self) -> Vec<(KeyId, Timestamp)> {
        self.0.iter().map(|(&key, &at)| (key, at)).collect()
    }

    /// Forgets what was written, but not a later use that came meanwhile.
    fn forget(&mut self, written: &[(KeyId, Timestamp)]) {
        for (key, at) in written {
            if self.0.get(key) == Some(at) {
                self.0.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> KeyId {
        KeyId(uuid::Uuid::from_u128(number as u128))
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn of_several_uses_the_latest_waits() {
        let mut waiting = Waiting::default();
        for micros in [2, 3, 1] {
            assert!(waiting.note(key(1), at(micros)));
        }
        assert_eq!(waiting.snapshot(), [(key(1), at(3))]);
    }

    #[test]
    fn a_use_that_came_while_others_were_written_still_waits() {
        let mut waiting = Waiting::default();
        waiting.note(key(1), at(1));
        waiting.note(key(2), at(1));
        let written = waiting.snapshot();
        waiting.note(key(2), at(2));
        waiting.forget(&written);
        assert_eq!(waiting.snapshot(), [(key(2), at(2))]);
    }

    #[test]
    fn memory_is_bounded_and_known_keys_are_still_noted() {
        let mut waiting = Waiting::default();
        assert!((0..CAPACITY).all(|number| waiting.note(key(number), at(1))));
        assert!(!waiting.note(key(CAPACITY), at(1)));
        assert!(waiting.note(key(0), at(2)));
        assert_eq!(waiting.0.len(), CAPACITY);
    }
}
