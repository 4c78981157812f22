//! What a process remembers of keys and keyspaces, and the one gate through which it gets there and goes (DESIGN §5).
//!
//! Reading takes no lock that others hold for long and never waits for the gate. Filling and dropping meet under it.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use keywright_core::digest::Digest;
use keywright_store::{ChangeObserver, KeyFacts, KeyspaceFacts, Loaded, LoggedChange, Scope};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::history::History;
use crate::keyspaces::{KeyspaceNumbers, Keyspaces};
use crate::lease::Lease;
use crate::loads::Loads;
use crate::owner::Owners;
use crate::record::CachedKey;

/// What one key is reckoned to take, in bytes: some forty characters of name and owner's id, no metadata, and everything
/// around.
/// One that takes more counts as more.
pub(crate) const KEY_BYTES: u64 = 256;

/// What a key takes besides its texts, in bytes.
const OVERHEAD: u64 = 208;

/// How many unknown keys are remembered for each known one, as a fraction.
const ABSENT_SHARE: usize = 16;
/// The bounds of that.
const ABSENT: std::ops::RangeInclusive<usize> = 64..=65_536;

/// How much of the room is for what was asked for more than once. The rest takes what is new, so that many keys that
/// are asked for once do not push the others out.
const HOT_SHARE: f64 = 0.95;

/// How many keys that were dropped for want of room are remembered as having been there, as a part of all. They cost
/// memory as well.
const GHOST_SHARE: f64 = 0.1;

/// Keys and keyspaces in memory.
pub(crate) struct Memory {
    pub(crate) lease: Lease,
    pub(crate) numbers: KeyspaceNumbers,
    records: Cache<Slot, CachedKey, ByBytes, BySlot, CountEvictions>,
    /// Texts with right tags that are no keys.
    absent: Cache<Slot, (), quick_cache::UnitWeighter, BySlot>,
    keyspaces: ArcSwapOption<Keyspaces>,
    gate: Mutex<Gate>,
    evictions: Arc<AtomicU64>,
}

/// What is touched only by whoever fills or drops.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) loads: Loads,
    history: History,
    owners: Owners,
}

/// What was read is older than a change that was applied meanwhile, and must be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outdated;

/// How full memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Keys in memory.
    pub keys: usize,
    /// What they are reckoned to take, in bytes.
    pub bytes: u64,
    /// Texts that are known to be no keys.
    pub absent: usize,
    /// Keys that were dropped for want of room so far.
    pub evictions: u64,
}

impl Memory {
    /// Room for so many keys, at least one, or fewer that take more.
    pub(crate) fn new(keys: usize, lease: Lease, numbers: KeyspaceNumbers) -> Self {
        let keys = keys.max(1);
        let absent = (keys / ABSENT_SHARE).clamp(*ABSENT.start(), *ABSENT.end());
        let by_slot = BySlot::default();
        let evictions = Arc::new(AtomicU64::new(0));
        let options = OptionsBuilder::new()
            .estimated_items_capacity(keys)
            .weight_capacity(KEY_BYTES * keys as u64)
            .hot_allocation(HOT_SHARE)
            .ghost_allocation(GHOST_SHARE)
            .build()
            // infallible: both capacities are given
            .expect("the options are complete");
        Self {
            lease,
            numbers,
            records: Cache::with_options(
                options,
                ByBytes,
                by_slot.clone(),
                CountEvictions(evictions.clone()),
            ),
            absent: Cache::with(
                absent,
                absent as u64,
                quick_cache::UnitWeighter,
                by_slot,
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            keyspaces: ArcSwapOption::empty(),
            gate: Mutex::default(),
            evictions,
        }
    }

    /// The key of this digest, if it is known.
    pub(crate) fn recall(&self, digest: &Digest) -> Option<CachedKey> {
        self.records
            .get(digest.as_bytes())
            .filter(|key| !key.is_gone())
    }

    /// Whether it is known that there is no key of this digest.
    pub(crate) fn knows_absent(&self, digest: &Digest) -> bool {
        self.absent.get(digest.as_bytes()).is_some()
    }

    /// All keyspaces, if they are known.
    pub(crate) fn keyspaces(&self) -> arc_swap::Guard<Option<Arc<Keyspaces>>> {
        self.keyspaces.load()
    }

    /// Remembers what was read of a key, and has no load of it under way any longer.
    ///
    /// # Errors
    /// [`Outdated`], and nothing is remembered and the load goes on.
    pub(crate) fn fill(
        &self,
        digest: &Digest,
        loaded: &Loaded<Option<KeyFacts>>,
    ) -> Result<Option<CachedKey>, Outdated> {
        let mut gate = self.gate();
        let found = loaded.found.as_ref();
        if !gate.history.has_key_as_of(loaded.seq, digest, found) {
            return Err(Outdated);
        }
        // I3: within the gate, so that whoever comes later finds either the record or, after a change, nothing.
        gate.loads.end(digest);
        let Some(found) = found else {
            self.absent.insert(*digest.as_bytes(), ());
            return Ok(None);
        };
        let owner = gate.owners.intern(&found.user_id);
        let key = CachedKey::new(found, owner, self.numbers.of(&found.keyspace));
        self.records.insert(*digest.as_bytes(), key.clone());
        Ok(Some(key))
    }

    /// Remembers what was read of all keyspaces, and has no load of them under way any longer.
    ///
    /// # Errors
    /// [`Outdated`], and nothing is remembered and the load goes on.
    pub(crate) fn fill_keyspaces(
        &self,
        loaded: Loaded<Vec<KeyspaceFacts>>,
    ) -> Result<(), Outdated> {
        let mut gate = self.gate();
        if !gate.history.has_keyspaces_as_of(loaded.seq) {
            return Err(Outdated);
        }
        gate.loads.end_keyspaces();
        let keyspaces = Keyspaces::new(loaded.found, &self.numbers);
        self.keyspaces.store(Some(Arc::new(keyspaces)));
        Ok(())
    }

    /// The keyspaces that are known are not all there are.
    pub(crate) fn forget_keyspaces(&self) {
        let _gate = self.gate();
        self.keyspaces.store(None);
    }

    /// Drops what a change was about.
    fn apply(&self, gate: &mut Gate, change: &LoggedChange) {
        match &change.scope {
            Scope::Key(digest) => {
                self.records.remove(digest.as_bytes());
                self.absent.remove(digest.as_bytes());
            }
            Scope::User(id) => gate.owners.delete(id),
            Scope::Keyspace(_) => self.keyspaces.store(None),
        }
        gate.history.note(change.clone());
    }

    /// The gate. Nobody waits for anything while they hold it.
    pub(crate) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        Occupancy {
            keys: self.records.len(),
            bytes: self.records.weight(),
            absent: self.absent.len(),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }
}

impl ChangeObserver for Memory {
    fn committed(&self, changes: &[LoggedChange]) {
        let mut gate = self.gate();
        for change in changes {
            self.apply(&mut gate, change);
        }
    }
}

/// A digest as a place in a table. Whoever compares two of them this way learns nothing they could use: the digests
/// they choose are those of texts they made up.
type Slot = [u8; 32];

#[derive(Clone)]
struct ByBytes;

impl Weighter<Slot, CachedKey> for ByBytes {
    fn weight(&self, _: &Slot, key: &CachedKey) -> u64 {
        KEY_BYTES.max(OVERHEAD + key.text_len() as u64)
    }
}

#[derive(Clone)]
struct CountEvictions(Arc<AtomicU64>);

impl Lifecycle<Slot, CachedKey> for CountEvictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Slot, _: CachedKey) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes eight bytes of a digest for its hash: they are as good as random. The seed keeps somebody who looks for texts
/// whose digests begin alike from knowing which ones fall together.
#[derive(Clone)]
struct BySlot {
    seed: u64,
}

impl Default for BySlot {
    fn default() -> Self {
        Self {
            seed: std::hash::RandomState::new().hash_one(0),
        }
    }
}

impl BuildHasher for BySlot {
    type Hasher = SlotHasher;

    fn build_hasher(&self) -> SlotHasher {
        SlotHasher(self.seed)
    }
}

struct SlotHasher(u64);

impl Hasher for SlotHasher {
    fn write(&mut self, bytes: &[u8]) {
        // The length comes first, as a number, and is the same for all.
        if let Some(first) = bytes.first_chunk() {
            let mixed = u128::from(self.0 ^ u64::from_le_bytes(*first))
                * u128::from(0x9e37_79b9_7f4a_7c15_u64);
            // Both halves, so that every bit of the digest's counts in every bit of the hash.
            let (high, low) = (mixed >> 64, mixed & u128::from(u64::MAX));
            // infallible: both halves have 64 bits
            self.0 = u64::try_from(high ^ low).expect("64 bits");
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod interleavings;
