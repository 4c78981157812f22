//! From a presented text to a decision.
//!
//! The short way is [`Verifier::decide_from_memory`]: digest, memory, lease, decision, and nothing to wait for. The
//! long way, [`Verifier::verify`], is for what memory does not know.

use std::sync::Arc;

use keywright_core::ambient::Clock;
use keywright_core::decision::{Code, Question, decide};
use keywright_core::digest::Digest;
use keywright_core::key::KeyRecord;
use keywright_core::key_text::WellFormed;
use keywright_core::keyspace::Keyspace;
use keywright_store::cluster::NodeFigures;
use keywright_store::{KeyFacts, Store, StoreError};
use tokio::sync::{OnceCell, Semaphore};

use crate::absences::Absences;
use crate::decision::{Decision, Found};
use crate::figures::{Figures, Sample};
use crate::keyspaces::{Judgement, KeyspaceNumber, KeyspaceNumbers, Keyspaces};
use crate::lane::Lane;
use crate::lease::Lease;
use crate::loading::{AllKeyspaces, KeyOf, Load, Source, Wanted};
use crate::loads::{Joined, LoadBounds};
use crate::memory::{Memory, Occupancy};
use crate::owner::Owner;
use crate::record::CachedKey;
use crate::usage::UseLog;

/// How often a verification begins anew that a change came in between.
const TRIES: usize = 16;

/// How many verifications may ask the store themselves at once, where there is no lease. A few for each connection of a
/// pool, so that none of those rests and nobody waits long for one; who comes beyond that is told at once to come again.
/// Nothing remembers their answers, so a flood of them is one of queries: the database that could not be reached has to
/// take the renewal, for which this node waits, before it can take those.
pub const ASKING: usize = 64;

/// How many permissions are asked for while memory is held: as many as a catalogue has at most.
const FEW: usize = 64;

/// What bounds a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifierOptions {
    /// How many keys are kept in memory, reckoned at 256 bytes each.
    pub cache_keys: usize,
    /// How many keys may be read from the store at once.
    pub loads: LoadBounds,
    /// Whether uses are noted at all.
    pub note_uses: bool,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self {
            cache_keys: 1_000_000,
            loads: LoadBounds::default(),
            note_uses: true,
        }
    }
}

/// Why nothing was decided. No answer is ever guessed (CONTRACT §4.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The store cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// As many keys are being looked up as may be at once.
    #[error("too many keys are being looked up at once")]
    Busy,
}

/// Decides whether keys are good. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    memory: Arc<Memory>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    uses: UseLog,
    options: VerifierOptions,
    asking: Semaphore,
    prefixes: OnceCell<Keyspaces>,
    absences: Arc<Absences>,
    figures: Figures,
}

impl Verifier {
    /// A verifier over `store`, which learns of its changes, and notes uses in a log of its own.
    ///
    /// With [`Lease::endless`], every change of the store must come to its observers before it is answered.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        lease: Lease,
        options: VerifierOptions,
    ) -> Self {
        let numbers = KeyspaceNumbers::default();
        let memory = Arc::new(Memory::new(options.cache_keys, lease, numbers.clone()));
        store.observe(memory.clone());
        Self(Arc::new(Inner {
            memory,
            uses: UseLog::new(store.clone(), numbers),
            store,
            clock,
            options,
            asking: Semaphore::new(ASKING),
            prefixes: OnceCell::new(),
            absences: Arc::new(Absences::new(options.loads)),
            figures: Figures::register(),
        }))
    }

    /// The uses that this verifier notes.
    pub fn uses(&self) -> &UseLog {
        &self.0.uses
    }

    /// What allows it to decide from memory.
    pub fn lease(&self) -> &Lease {
        &self.0.memory.lease
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// How full memory is.
    pub fn occupancy(&self) -> Occupancy {
        self.0.memory.occupancy()
    }

    /// What a node tells of its memory: hits as far as [`UseLog::take`] has taken them.
    pub fn node_figures(&self) -> NodeFigures {
        NodeFigures {
            keys: self.occupancy().keys as u64,
            hits: self.0.uses.hits(),
            misses: self.0.figures.misses.count(),
        }
    }

    /// Shows in the metrics how full memory is.
    pub fn publish(&self) {
        let loads = self.0.memory.gate().loads.len();
        self.0.figures.publish(self.0.memory.occupancy(), loads);
    }

    /// Decides from memory alone, and notes the use. `None` where memory cannot tell: then nothing was noted, and
    /// `then` was not called.
    pub fn decide_from_memory<S, R>(
        &self,
        text: &str,
        question: &Question<'_, S>,
        then: impl FnOnce(Decision<'_>) -> R,
    ) -> Option<R>
    where
        S: AsRef<str>,
    {
        self.0.remembered(text, question, then).ok()
    }

    /// Decides about what was presented as a key (CONTRACT §4.2), and notes its use.
    ///
    /// # Errors
    /// [`VerifyError`] where neither memory nor the store can tell.
    pub async fn verify<S, R, F>(
        &self,
        text: &str,
        question: &Question<'_, S>,
        then: F,
    ) -> Result<R, VerifyError>
    where
        S: AsRef<str> + Sync,
        F: FnOnce(Decision<'_>) -> R + Send,
    {
        match self.0.remembered(text, question, then) {
            Ok(answer) => Ok(answer),
            Err(then) => self.0.find_out(text, question, then).await,
        }
    }

    /// Notes that a key was good for something else than a verification.
    pub fn note_use(&self, record: &KeyRecord) {
        let inner = &*self.0;
        if inner.options.note_uses {
            let key = inner.unshared(record);
            inner.uses.expect_a_miss();
            inner.uses.note(&key, Code::Valid, inner.clock.now());
        }
    }

    /// The key whose text this is, whatever its state, as the store knows it now. Made-up text costs no query.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot tell.
    pub async fn find(&self, text: &str) -> Result<Option<KeyRecord>, StoreError> {
        let inner = &*self.0;
        let deadline = inner.memory.lease.deadline();
        let judged = inner
            .memory
            .keyspaces()
            .as_ref()
            .map(|known| matches!(known.judge(text), Judgement::MadeUp(_)));
        let made_up = match judged {
            Some(made_up) if deadline.is_ahead(&*inner.clock) => made_up,
            _ => WellFormed::parse(text).is_none(),
        };
        if made_up {
            inner.figures.refused.increment(1);
            return Ok(None);
        }
        inner.store.find_key_by_digest(&Digest::of(text)).await
    }
}

impl Inner {
    /// The short way. Gives `then` back where memory cannot tell.
    fn remembered<S, R, F>(&self, text: &str, question: &Question<'_, S>, then: F) -> Result<R, F>
    where
        S: AsRef<str>,
        F: FnOnce(Decision<'_>) -> R,
    {
        let sample = Sample::draw(&*self.clock);
        // The deadline first, memory then, the clock last: see `Lease`.
        let deadline = self.memory.lease.deadline();
        let keyspaces = self.memory.keyspaces();
        let Some(keyspaces) = keyspaces.as_deref() else {
            return Err(then);
        };
        let digest = Digest::of(text);
        let reading = self.memory.read(&digest);
        let Some(key) = reading.entry(&digest).filter(|key| !key.is_gone()) else {
            drop(reading);
            let absent_from = match keyspaces.judge(text) {
                Judgement::MadeUp(keyspace) => {
                    self.figures.refused.increment(1);
                    keyspace
                }
                Judgement::Tagged(keyspace) | Judgement::Untagged(keyspace) => {
                    if !self.memory.knows_absent(&digest) {
                        return Err(then);
                    }
                    self.figures.known_absent.increment(1);
                    Some(keyspace)
                }
            };
            if !deadline.is_ahead(&*self.clock) {
                return Err(then);
            }
            return Ok(self.not_found(absent_from, then));
        };
        let Some(keyspace) = keyspaces.get(key.keyspace()) else {
            return Err(then);
        };
        if !keyspace.catalogue.holds(key.grants()) || !deadline.is_ahead(&*self.clock) {
            return Err(then);
        }
        let answer = if question.permissions.len() > FEW {
            // Whoever fills or drops must not wait for it.
            let key = key.clone();
            drop(reading);
            self.found(&key, keyspace, question, then)
        } else {
            self.found(key, keyspace, question, then)
        };
        if let Some(sample) = &sample {
            self.figures.decided(sample, &*self.clock);
        }
        Ok(answer)
    }

    /// Decides about a key that there is, and notes its use.
    fn found<S, R>(
        &self,
        key: &CachedKey,
        keyspace: &Keyspace,
        question: &Question<'_, S>,
        then: impl FnOnce(Decision<'_>) -> R,
    ) -> R
    where
        S: AsRef<str>,
    {
        let now = self.clock.now();
        let code = decide(key.facts(), keyspace, question, now);
        if code == Code::NotFound {
            return self.not_found(Some(key.keyspace()), then);
        }
        if self.options.note_uses {
            self.uses.note(key, code, now);
        }
        let found = Some(Found { key, keyspace });
        then(Decision { code, found })
    }

    fn not_found<R>(
        &self,
        keyspace: Option<KeyspaceNumber>,
        then: impl FnOnce(Decision<'_>) -> R,
    ) -> R {
        if self.options.note_uses {
            self.uses.note_not_found(keyspace);
        }
        let code = Code::NotFound;
        then(Decision { code, found: None })
    }

    /// The long way.
    async fn find_out<S, R, F>(
        &self,
        text: &str,
        question: &Question<'_, S>,
        mut then: F,
    ) -> Result<R, VerifyError>
    where
        S: AsRef<str> + Sync,
        F: FnOnce(Decision<'_>) -> R + Send,
    {
        self.figures.misses.increment(1);
        let digest = Digest::of(text);
        for _ in 0..TRIES {
            let deadline = self.memory.lease.deadline();
            if !deadline.is_ahead(&*self.clock) {
                break;
            }
            self.read_keyspaces().await?;
            then = match self.remembered(text, question, then) {
                Ok(answer) => return Ok(answer),
                Err(then) => then,
            };
            let lane = self
                .memory
                .keyspaces()
                .as_ref()
                .map(|known| known.lane(text));
            // Without one a change came in between, or the lease ended.
            let Some(Some((keyspace, lane))) = lane else {
                continue;
            };
            let loaded = self.load(&digest, lane).await?;
            // A load that others began is as new as the changes that were applied here, and so as the lease.
            if !deadline.is_ahead(&*self.clock) {
                break;
            }
            let Some(key) = loaded else {
                return Ok(self.not_found(Some(keyspace), then));
            };
            let keyspaces = self.memory.keyspaces();
            let Some(known) = keyspaces.as_ref() else {
                continue;
            };
            match known.get(key.keyspace()) {
                Some(keyspace) if keyspace.catalogue.holds(key.grants()) => {
                    self.uses.expect_a_miss();
                    return Ok(self.found(&key, keyspace, question, then));
                }
                // The key is newer than the keyspaces.
                _ => self.memory.forget_keyspaces(),
            }
        }
        self.ask(&digest, text, question, then).await
    }

    /// Without a lease: asks the store about this one verification, and remembers nothing.
    async fn ask<S, R>(
        &self,
        digest: &Digest,
        text: &str,
        question: &Question<'_, S>,
        then: impl FnOnce(Decision<'_>) -> R,
    ) -> Result<R, VerifyError>
    where
        S: AsRef<str> + Sync,
    {
        if WellFormed::parse(text).is_none() {
            self.figures.refused.increment(1);
            let keyspace = self.keyspace_of(text).await;
            return Ok(self.not_found(keyspace, then));
        }
        let _place = self.asking.try_acquire().map_err(|_| self.busy())?;
        self.figures.asked.increment(1);
        let found = self.store.find_key_by_digest(digest).await?;
        let Some(record) = found else {
            let keyspace = self.keyspace_of(text).await;
            return Ok(self.not_found(keyspace, then));
        };
        let key = self.unshared(&record);
        self.uses.expect_a_miss();
        Ok(self.found(&key, &record.keyspace, question, then))
    }

    /// Under which keyspace a text that is no key counts where there is no lease: by keyspaces that were read once, since
    /// prefixes stay as they are. Nothing is decided by them.
    async fn keyspace_of(&self, text: &str) -> Option<KeyspaceNumber> {
        let read = async || {
            let loaded = self.store.load_keyspaces().await?;
            Ok::<_, StoreError>(Keyspaces::new(loaded.found, &self.memory.numbers))
        };
        // Where they cannot be read it counts under none.
        let known = self.prefixes.get_or_try_init(read).await.ok()?;
        known.number_of(text)
    }

    /// A key as memory would keep it, for one use.
    fn unshared(&self, record: &KeyRecord) -> CachedKey {
        let keyspace = self.memory.numbers.of(&record.keyspace.name);
        let owner = Owner::alone(&record.key.user_id);
        CachedKey::new(
            &record.digest,
            &KeyFacts::from(&record.key),
            owner,
            keyspace,
        )
    }

    /// Sees to it that all keyspaces are known.
    async fn read_keyspaces(&self) -> Result<(), VerifyError> {
        if self.memory.keyspaces().is_some() {
            return Ok(());
        }
        let joined = {
            let mut gate = self.memory.gate();
            // A load may have ended since memory was asked.
            if self.memory.keyspaces().is_some() {
                return Ok(());
            }
            gate.loads.join_keyspaces()
        };
        self.outcome(joined, AllKeyspaces).await
    }

    /// What the store says of this key: read once for all who ask at the same time.
    async fn load(&self, digest: &Digest, lane: Lane) -> Result<Option<CachedKey>, VerifyError> {
        let joined = {
            let mut gate = self.memory.gate();
            if let Some(known) = self.memory.recall(digest) {
                return Ok(Some(known));
            }
            // A load may have ended since memory was asked.
            if self.memory.knows_absent(digest) {
                return Ok(None);
            }
            gate.loads.join(digest, lane, self.options.loads)
        };
        match &joined {
            Joined::Waiting(_) => self.figures.waits.increment(1),
            Joined::Begun(..) => self.figures.begun(lane),
            Joined::Full => {}
        }
        let digest = *digest;
        self.outcome(joined, KeyOf { digest, lane }).await
    }

    /// Waits for a load that goes on, or begins it: in a task of its own, since whoever asked first may go away while
    /// others still wait.
    async fn outcome<W: Wanted>(
        &self,
        joined: Joined<W::Found>,
        wanted: W,
    ) -> Result<W::Found, VerifyError> {
        let mut outcome = match joined {
            Joined::Waiting(outcome) => outcome,
            Joined::Begun(tell, outcome) => {
                let from = Source {
                    memory: self.memory.clone(),
                    store: self.store.clone(),
                    absences: self.absences.clone(),
                };
                tokio::spawn(Load { from, wanted, tell }.run());
                outcome
            }
            Joined::Full => return Err(self.busy()),
        };
        match outcome.wait_for(Option::is_some).await {
            // infallible: this is what was waited for
            Ok(outcome) => outcome.clone().expect("an outcome was waited for"),
            Err(_) => {
                Err(StoreError::Internal("a load ended without an outcome".to_owned()).into())
            }
        }
    }

    fn busy(&self) -> VerifyError {
        self.figures.turned_away.increment(1);
        VerifyError::Busy
    }
}
