//! What a process remembers of keys and keyspaces, and the one gate through which it gets there and goes (DESIGN §5).
//!
//! Reading takes no lock that others hold for long and never waits for the gate. Filling and dropping meet under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use keywright_core::digest::Digest;
use keywright_store::{ChangeObserver, KeyFacts, KeyspaceFacts, Loaded, LoggedChange, Scope};

use crate::history::History;
use crate::keyspaces::{KeyspaceNumbers, Keyspaces};
use crate::lease::Lease;
use crate::loads::Loads;
use crate::owner::Owners;
use crate::record::{CachedKey, KEY_BYTES};
use crate::rules::Rule;
use crate::table::{Entry, Heat, Reading, Table};

/// How many unknown keys are remembered for each known one, as a fraction.
const ABSENT_SHARE: usize = 16;
/// The bounds of that.
const ABSENT: std::ops::RangeInclusive<usize> = 64..=65_536;

/// Keys and keyspaces in memory.
pub(crate) struct Memory {
    pub(crate) lease: Lease,
    pub(crate) numbers: KeyspaceNumbers,
    records: Table<CachedKey>,
    /// Texts with right tags that are no keys.
    absent: Table<Unknown>,
    keyspaces: ArcSwapOption<Keyspaces>,
    gate: Mutex<Gate>,
    evictions: AtomicU64,
    generation: AtomicU64,
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
        Self {
            lease,
            numbers,
            records: Table::new(keys, KEY_BYTES * keys as u64),
            absent: Table::new(absent, absent as u64),
            keyspaces: ArcSwapOption::empty(),
            gate: Mutex::default(),
            evictions: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        }
    }

    /// Where the key of this digest is, if it is known. Nothing that fills or drops may be done while this is held.
    pub(crate) fn read(&self, digest: &Digest) -> Reading<'_, CachedKey> {
        self.records.read(digest)
    }

    /// The key of this digest, if it is known.
    pub(crate) fn recall(&self, digest: &Digest) -> Option<CachedKey> {
        let reading = self.read(digest);
        reading.entry(digest).filter(|key| !key.is_gone()).cloned()
    }

    /// Whether it is known that there is no key of this digest.
    pub(crate) fn knows_absent(&self, digest: &Digest) -> bool {
        self.absent.read(digest).entry(digest).is_some()
    }

    /// All keyspaces, if they are known.
    pub(crate) fn keyspaces(&self) -> arc_swap::Guard<Option<Arc<Keyspaces>>> {
        self.keyspaces.load()
    }

    /// Which history memory follows. What was read before it began is of another.
    pub(crate) fn history(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Forgets everything, and follows the history that goes on after `seq`.
    pub(crate) fn begin_anew(&self, seq: u64) {
        let mut gate = self.gate();
        // Within the gate, so that what is on its way from the store finds itself outdated.
        self.generation.fetch_add(1, Ordering::Release);
        gate.history = History::after(seq);
        gate.owners = Owners::default();
        self.records.clear();
        self.absent.clear();
        self.keyspaces.store(None);
    }

    /// The highest seq of a change that was applied, of this process's own perhaps ahead of the log.
    pub(crate) fn furthest(&self) -> u64 {
        self.gate().history.furthest()
    }

    /// Applies what the log says. What this process committed itself is applied already.
    pub(crate) fn follow(&self, changes: &[LoggedChange]) {
        let mut gate = self.gate();
        for change in changes {
            if !gate.history.knows(change) {
                self.apply(&mut gate, change);
            }
        }
    }

    /// Remembers what was read of a key, and has no load of it under way any longer.
    ///
    /// # Errors
    /// [`Outdated`], and nothing is remembered and the load goes on.
    pub(crate) fn fill(
        &self,
        history: u64,
        digest: &Digest,
        loaded: &Loaded<Option<KeyFacts>>,
    ) -> Result<Option<CachedKey>, Outdated> {
        let mut gate = self.gate();
        let found = loaded.found.as_ref();
        let is_current =
            history == self.history() && gate.history.has_key_as_of(loaded.seq, digest, found);
        if !is_current && Rule::FillsAreGated.is_kept() {
            return Err(Outdated);
        }
        // I3: within the gate, so that whoever comes later finds either the record or, after a change, nothing.
        gate.loads.end(digest);
        let Some(found) = found else {
            // Of an owner who is gone.
            self.records.remove(digest);
            self.absent.insert(Unknown {
                digest: *digest,
                heat: Heat::default(),
            });
            return Ok(None);
        };
        let owner = gate.owners.intern(&found.user_id);
        let key = CachedKey::new(digest, found, owner, self.numbers.of(&found.keyspace));
        let evicted = self.records.insert(key.clone());
        self.evictions.fetch_add(evicted, Ordering::Relaxed);
        Ok(Some(key))
    }

    /// Remembers what was read of all keyspaces, and has no load of them under way any longer.
    ///
    /// # Errors
    /// [`Outdated`], and nothing is remembered and the load goes on.
    pub(crate) fn fill_keyspaces(
        &self,
        history: u64,
        loaded: Loaded<Vec<KeyspaceFacts>>,
    ) -> Result<(), Outdated> {
        let mut gate = self.gate();
        if history != self.history() || !gate.history.has_keyspaces_as_of(loaded.seq) {
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
                self.records.remove(digest);
                self.absent.remove(digest);
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
        let (keys, bytes) = self.records.fill();
        Occupancy {
            keys,
            bytes,
            absent: self.absent.fill().0,
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

/// A text with a right tag that is no key.
struct Unknown {
    digest: Digest,
    heat: Heat,
}

impl Entry for Unknown {
    fn digest(&self) -> &Digest {
        &self.digest
    }

    /// There is room for so many, whatever each takes.
    fn bytes(&self) -> u64 {
        1
    }

    fn heat(&self) -> &Heat {
        &self.heat
    }
}

#[cfg(test)]
mod interleavings;
