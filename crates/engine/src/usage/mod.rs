//! Who used which key, written behind: a verification counts in memory, and a task writes in batches.
//!
//! The way of a use: two atomics in the key's own record ([`CachedKey::count_use`]); a queue of the records that have
//! something to tell; [`Pending`], by hour; the store. Nothing on the way grows without bound, and what finds no room
//! is counted.

mod busiest;
mod minutes;
mod pending;

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use keywright_core::decision::Code;
use keywright_core::identifier::KeyId;
use keywright_core::timestamp::Timestamp;
use keywright_store::{MAX_KEYSPACES, Store, StoreError};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::sync::Notify;

use crate::keyspaces::{KeyspaceNumber, KeyspaceNumbers};
use crate::record::CachedKey;
use crate::tally::Tally;

use busiest::Busiest;
use minutes::Minutes;
pub use minutes::{LIVE_MINUTES, Minute};
use pending::Pending;

/// How many records may wait for their uses to be taken.
const QUEUE: usize = 1 << 16;

/// How many may, before somebody takes them out of turn.
const HASTE: usize = QUEUE / 2;

/// How many keys one write is about at most: it locks their rows, and a revocation waits for it.
const BATCH: usize = 1000;

/// Uses on their way to the store. Cheap to clone.
#[derive(Clone)]
pub struct UseLog(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    numbers: KeyspaceNumbers,
    /// Records with uses, and when the first of those was.
    used: ArrayQueue<(CachedKey, Timestamp)>,
    /// Texts that were no keys: by the keyspace whose keys begin so, the last place for none.
    not_found: Box<[AtomicU64]>,
    taken: Mutex<Taken>,
    /// Held by whoever writes.
    writing: tokio::sync::Mutex<()>,
    haste: Notify,
    /// Uses that were noted although the key was not in memory.
    missed: AtomicU64,
    hits: Tally,
    dropped: Counter,
    waiting: Gauge,
}

/// What was taken from the records.
#[derive(Default)]
struct Taken {
    pending: Pending,
    minutes: Minutes,
    busiest: Busiest,
}

impl UseLog {
    /// An empty log in front of `store`.
    pub(crate) fn new(store: Arc<dyn Store>, numbers: KeyspaceNumbers) -> Self {
        Self(Arc::new(Inner {
            store,
            numbers,
            used: ArrayQueue::new(QUEUE),
            not_found: (0..=MAX_KEYSPACES).map(|_| AtomicU64::new(0)).collect(),
            taken: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            haste: Notify::new(),
            missed: AtomicU64::new(0),
            hits: Tally::shown_as(counter!("keywright_cache_hits_total")),
            dropped: counter!("keywright_uses_dropped_total"),
            waiting: gauge!("keywright_uses_waiting"),
        }))
    }

    /// Notes that a key was asked about at `now`, and what was answered.
    pub(crate) fn note(&self, key: &CachedKey, code: Code, now: Timestamp) {
        if key.count_use(code, now) {
            self.enqueue(key, now);
        }
    }

    /// Tells that a use is about to be noted of a key that was not in memory: every other one is a hit.
    pub(crate) fn expect_a_miss(&self) {
        self.0.missed.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    fn enqueue(&self, key: &CachedKey, now: Timestamp) {
        let inner = &*self.0;
        if inner.used.push((key.clone(), now)).is_err() {
            // Taken back, so that the next use tries again.
            let lost: u64 = key.take_uses().map(|(_, count)| u64::from(count)).sum();
            inner.dropped.increment(lost);
        }
        // Several may add one between this one's and here.
        if inner.used.len() >= HASTE {
            inner.haste.notify_one();
        }
    }

    /// Notes that a text was no key; `keyspace` is the one whose keys begin like it.
    pub(crate) fn note_not_found(&self, keyspace: Option<KeyspaceNumber>) {
        let place = keyspace.map_or(MAX_KEYSPACES, KeyspaceNumber::index);
        // More names than there may be keyspaces: of a database that was exchanged under this process.
        let place = place.min(MAX_KEYSPACES);
        self.0.not_found[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what was counted so far from the records. `now` is the time for what has none of its own.
    pub fn take(&self, now: Timestamp) {
        let inner = &*self.0;
        let mut taken = self.taken();
        let Taken {
            pending,
            minutes,
            busiest,
        } = &mut *taken;
        let mut uses = 0;
        let mut decisions = Decisions::default();
        // No more than are there now: whoever goes on noting must not keep this going.
        for _ in 0..inner.used.len() {
            let Some((key, at)) = inner.used.pop() else {
                break;
            };
            for (code, count) in key.take_uses() {
                let count = u64::from(count);
                uses += count;
                *decisions.entry((code, Some(key.keyspace()))).or_default() += count;
                minutes.count(at, code, count);
                if !key.owner().id().is_empty() {
                    busiest.count(at, key.id(), count);
                }
                if !pending.count_key(&key, at, code, count) {
                    inner.dropped.increment(count);
                }
            }
        }
        // A miss that was told of may not be noted yet: the rest is for the next time.
        let missed = inner.missed.swap(0, Ordering::Relaxed);
        inner.hits.increment(uses.saturating_sub(missed));
        inner
            .missed
            .fetch_add(missed.saturating_sub(uses), Ordering::Relaxed);
        for (place, count) in inner.not_found.iter().enumerate() {
            let count = count.swap(0, Ordering::Relaxed);
            if count > 0 {
                let number = KeyspaceNumber::at(place).filter(|_| place < MAX_KEYSPACES);
                decisions.insert((Code::NotFound, number), count);
                minutes.count(now, Code::NotFound, count);
                if !pending.count_not_found(number, now, count) {
                    inner.dropped.increment(count);
                }
            }
        }
        inner.show(&decisions);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge is a double, and these are bounded"
        )]
        inner.waiting.set(pending.keys() as f64);
    }

    /// How many uses were taken so far of keys that were in memory.
    pub(crate) fn hits(&self) -> u64 {
        self.0.hits.count()
    }

    /// What was answered in each of the last minutes, by this process.
    pub fn minutes(&self, now: Timestamp) -> Vec<Minute> {
        self.taken().minutes.until(now)
    }

    /// The keys that were asked about most in the last hour (to ten minutes), with how often, by this process. Service
    /// keys are not among them: each request presents one.
    pub fn busiest(&self, now: Timestamp, limit: usize) -> Vec<(KeyId, u64)> {
        self.taken().busiest.until(now, limit)
    }

    /// Takes what was counted, and writes all that waits. What was not written waits on; a caller that goes away
    /// loses nothing and has nothing written twice.
    ///
    /// # Errors
    /// [`StoreError`] where something could not be written.
    pub async fn flush(&self, now: Timestamp) -> Result<(), StoreError> {
        let log = self.clone();
        // A task of its own: between the write and what is known of it, nobody may go away.
        match tokio::spawn(async move { log.write(now).await }).await {
            Ok(written) => written,
            Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
            // Nobody else holds a handle that could cancel it; so the runtime is ending.
            Err(_) => Err(StoreError::Unavailable("the process is ending".to_owned())),
        }
    }

    async fn write(&self, now: Timestamp) -> Result<(), StoreError> {
        let _alone = self.0.writing.lock().await;
        self.take(now);
        loop {
            let batch = self.taken().pending.take(BATCH);
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = self
                .0
                .store
                .record_use(batch.to_uses(&self.0.numbers))
                .await
            {
                let lost = self.taken().pending.put_back(batch);
                self.0.dropped.increment(lost);
                return Err(error);
            }
        }
    }

    /// Flushes every `interval`, for as long as the returned future is polled. `now` tells the time.
    pub async fn flush_every(self, interval: Duration, now: impl Fn() -> Timestamp) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.0.haste.notified() => {
                    // Only out of the records, which have little room; the store keeps its pace.
                    self.take(now());
                    continue;
                }
            }
            let mut flush = pin!(self.flush(now()));
            let written = loop {
                tokio::select! {
                    written = &mut flush => break written,
                    // A store that takes its time must not fill the records' queue, nor make uses those of an hour
                    // that is over.
                    _ = ticks.tick() => {}
                    () = self.0.haste.notified() => {}
                }
                self.take(now());
            };
            if let Err(error) = written {
                tracing::warn!(%error, "uses could not be written and wait for the next try");
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often which code was answered, by keyspace.
type Decisions = HashMap<(Code, Option<KeyspaceNumber>), u64>;

impl Inner {
    /// Shows them in the metrics. The name of a keyspace goes into a label only where there is one: what strangers send
    /// makes no series.
    fn show(&self, decisions: &Decisions) {
        let names = self.numbers.names();
        for (&(code, number), &count) in decisions {
            let keyspace = number.map_or("", |number| names[number.index()].as_str());
            counter!("keywright_decisions_total", "code" => code.as_str(), "keyspace" => keyspace.to_owned())
                .increment(count);
        }
    }
}
