//! A real store that counts what it is asked, and waits, fails or panics when a test says so.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keywright_core::audit::{Attribution, AuditEntry};
use keywright_core::authority::{Caller, KeyEdit};
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::{Keyspace, KeyspaceEdit};
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use keywright_store::cluster::{
    Cluster, ClusterSession, Joined, LeaseTerms, LogMark, LogPart, NodeCard, NodeFigures, NodeId,
    NodeRow, Settling, Survey, Word,
};
use keywright_store::console::Console;
use keywright_store::{
    AuditQuery, ChangeObserver, Connections, KeyCreated, KeyEdited, KeyFacts, KeyQuery, KeySearch,
    KeySelector, KeyspaceCreated, KeyspaceEdited, KeyspaceFacts, Loaded, LoggedChange, Page,
    Period, Searched, Store, StoreError, UsageBucket, UsageQuery, User, UserQuery, Uses,
};
use tokio::sync::{Notify, watch};

use crate::world::LONG;

/// What befalls whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// An error.
    Error(StoreError),
    /// The code panics.
    Panic,
}

/// A place where whoever comes can be held.
#[derive(Default)]
pub(crate) struct Gate(watch::Sender<Held>);

/// Who is held there.
#[derive(Default)]
struct Held {
    closed: bool,
    /// How many came since it was closed and were not let go.
    waiting: usize,
    /// How many may go though it is closed.
    tickets: usize,
}

impl Gate {
    /// Holds all who come, until [`Self::open`].
    pub(crate) fn close(&self) {
        self.0.send_replace(Held {
            closed: true,
            ..Held::default()
        });
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(Held::default());
    }

    /// Lets one of those go who are held.
    pub(crate) fn let_one_go(&self) {
        self.0.send_modify(|held| {
            held.waiting -= 1;
            held.tickets += 1;
        });
    }

    /// Waits until so many are held.
    pub(crate) async fn has(&self, count: usize) {
        let mut held = self.0.subscribe();
        let came = held.wait_for(|held| held.waiting >= count);
        let came = tokio::time::timeout(LONG, came).await;
        came.expect("they come").expect("the gate is there");
    }

    async fn pass(&self) {
        self.0.send_modify(|held| held.waiting += 1);
        let mut held = self.0.subscribe();
        loop {
            let gone = self.0.send_if_modified(|held| {
                if !held.closed {
                    return true;
                }
                let lets_go = held.tickets > 0;
                held.tickets -= usize::from(lets_go);
                lets_go
            });
            if gone {
                return;
            }
            held.changed().await.expect("the gate is there");
        }
    }
}

/// One of the ways to ask.
#[derive(Default)]
pub(crate) struct Way {
    /// Before the store is asked.
    pub(crate) before: Gate,
    /// After the store has answered.
    pub(crate) after: Gate,
    fault: Mutex<Option<Fault>>,
    asked: AtomicUsize,
}

impl Way {
    pub(crate) fn suffer(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// How often it was asked since this was asked last.
    pub(crate) fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }

    async fn go<T>(
        &self,
        real: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.before.pass().await;
        let fault = self.fault.lock().unwrap().clone();
        match fault.unwrap_or(Fault::None) {
            Fault::None => {}
            Fault::Error(error) => return Err(error),
            Fault::Panic => panic!("as the test wants it"),
        }
        let answer = real.await;
        self.after.pass().await;
        answer
    }
}

/// The real store behind gates.
pub(crate) struct PausableStore {
    pub(crate) real: Arc<dyn Store>,
    /// [`Store::load_key`].
    pub(crate) keys: Way,
    /// [`Store::load_keyspaces`].
    pub(crate) keyspaces: Way,
    /// [`Store::find_key_by_digest`].
    pub(crate) direct: Way,
    /// [`Store::record_use`].
    pub(crate) uses: Way,
    /// [`ClusterSession::renew`].
    pub(crate) renewals: Arc<Way>,
    /// [`ClusterSession::word`] and [`ClusterSession::tell_applied`].
    pub(crate) word: Arc<Rumour>,
    /// If this is set, only the loads of this key pass the gates.
    only: Mutex<Option<Digest>>,
    /// Keys that are in no table.
    invented: Mutex<HashMap<Digest, KeyFacts>>,
    /// The keyspace that is said to hold imported keys.
    imported: Mutex<Option<KeyspaceName>>,
    ear: Arc<Ear>,
}

impl PausableStore {
    pub(crate) fn over(real: Arc<dyn Store>) -> Self {
        let ear = Arc::new(Ear::default());
        real.observe(ear.clone());
        Self {
            real,
            keys: Way::default(),
            keyspaces: Way::default(),
            direct: Way::default(),
            uses: Way::default(),
            renewals: Arc::default(),
            word: Arc::default(),
            only: Mutex::default(),
            invented: Mutex::default(),
            imported: Mutex::default(),
            ear,
        }
    }

    /// Holds no other loads than those of this key.
    pub(crate) fn hold_only(&self, digest: Digest) {
        *self.only.lock().unwrap() = Some(digest);
    }

    /// Lets a key be found that is in no table.
    pub(crate) fn invent(&self, digest: Digest, key: KeyFacts) {
        self.invented.lock().unwrap().insert(digest, key);
    }

    pub(crate) fn mark_as_imported(&self, keyspace: KeyspaceName) {
        *self.imported.lock().unwrap() = Some(keyspace);
    }

    /// Lets changes be as those of another process: observers are told of none.
    pub(crate) fn tell_nobody(&self) {
        self.ear.deaf.store(true, Ordering::SeqCst);
    }

    /// Tells observers of a change as of one that this process committed.
    pub(crate) fn tell(&self, change: LoggedChange) {
        self.ear.committed(&[change]);
    }

    /// How many queries there were for verifications since this was asked last, those for keyspaces not counted.
    pub(crate) fn queries(&self) -> usize {
        self.keys.asked() + self.direct.asked()
    }
}

/// What comes to a node beside what the database says, and what is lost on its way.
#[derive(Default)]
pub(crate) struct Rumour {
    words: Mutex<VecDeque<Word>>,
    there: Notify,
    to_lose: AtomicUsize,
}

impl Rumour {
    /// Tells a node of what nobody committed.
    pub(crate) fn spread(&self, word: Word) {
        self.words.lock().unwrap().push_back(word);
        self.there.notify_one();
    }

    /// Loses the next thing that a node tells, as a crash of the database can.
    pub(crate) fn lose_one(&self) {
        self.to_lose.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether nothing is still to be lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.to_lose.load(Ordering::SeqCst) == 0
    }

    fn loses(&self) -> bool {
        let fewer = |left: usize| left.checked_sub(1);
        self.to_lose
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer)
            .is_ok()
    }

    async fn next(&self) -> Word {
        loop {
            if let Some(word) = self.words.lock().unwrap().pop_front() {
                return word;
            }
            self.there.notified().await;
        }
    }
}

/// The real cluster, whose nodes renew behind gates.
struct PausableCluster {
    real: Arc<dyn Cluster>,
    renewals: Arc<Way>,
    word: Arc<Rumour>,
}

impl Cluster for PausableCluster {
    fn session(&self) -> Box<dyn ClusterSession> {
        Box::new(PausableSession {
            real: self.real.session(),
            renewals: self.renewals.clone(),
            word: self.word.clone(),
        })
    }

    fn listening_session(&self) -> Box<dyn ClusterSession> {
        Box::new(PausableSession {
            real: self.real.listening_session(),
            renewals: self.renewals.clone(),
            word: self.word.clone(),
        })
    }
}

struct PausableSession {
    real: Box<dyn ClusterSession>,
    renewals: Arc<Way>,
    word: Arc<Rumour>,
}

#[async_trait]
impl ClusterSession for PausableSession {
    async fn join(
        &mut self,
        node: &NodeCard,
        renewal: u64,
        applied: Option<u64>,
        wanted: Option<LeaseTerms>,
    ) -> Result<Joined, StoreError> {
        self.real.join(node, renewal, applied, wanted).await
    }

    async fn renew(
        &mut self,
        id: NodeId,
        renewal: u64,
        figures: NodeFigures,
    ) -> Result<Option<Vec<NodeRow>>, StoreError> {
        let real = self.real.renew(id, renewal, figures);
        self.renewals.go(real).await
    }

    async fn read_log(&mut self, from: Option<u64>) -> Result<LogPart, StoreError> {
        self.real.read_log(from).await
    }

    async fn tell_applied(&mut self, id: NodeId, mark: LogMark) -> Result<bool, StoreError> {
        if self.word.loses() {
            return Ok(true);
        }
        self.real.tell_applied(id, mark).await
    }

    async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreError> {
        self.real.nodes().await
    }

    async fn remove(&mut self, id: NodeId, renewal: u64) -> Result<bool, StoreError> {
        self.real.remove(id, renewal).await
    }

    async fn leave(&mut self, id: NodeId) -> Result<(), StoreError> {
        self.real.leave(id).await
    }

    async fn word(&mut self) -> Result<Word, StoreError> {
        let rumour = self.word.clone();
        tokio::select! {
            word = self.real.word() => word,
            word = rumour.next() => Ok(word),
        }
    }
}

/// An observer for several, who can be kept from hearing.
#[derive(Default)]
struct Ear {
    observers: Mutex<Vec<Arc<dyn ChangeObserver>>>,
    deaf: AtomicBool,
}

impl ChangeObserver for Ear {
    fn committed(&self, changes: &[LoggedChange]) {
        if !self.deaf.load(Ordering::SeqCst) {
            for observer in self.observers.lock().unwrap().iter() {
                observer.committed(changes);
            }
        }
    }
}

#[async_trait]
impl Store for PausableStore {
    async fn find_key_by_digest(&self, digest: &Digest) -> Result<Option<KeyRecord>, StoreError> {
        self.direct.go(self.real.find_key_by_digest(digest)).await
    }

    async fn load_key(&self, digest: &Digest) -> Result<Loaded<Option<KeyFacts>>, StoreError> {
        let invented = self.invented.lock().unwrap().get(digest).cloned();
        if invented.is_some() {
            let found = Loaded {
                seq: 0,
                found: invented,
            };
            return self.keys.go(async { Ok(found) }).await;
        }
        let only = *self.only.lock().unwrap();
        if only.is_some_and(|only| only != *digest) {
            return self.real.load_key(digest).await;
        }
        self.keys.go(self.real.load_key(digest)).await
    }

    async fn load_keyspaces(&self) -> Result<Loaded<Vec<KeyspaceFacts>>, StoreError> {
        let mut loaded = self.keyspaces.go(self.real.load_keyspaces()).await?;
        let imported = self.imported.lock().unwrap();
        for facts in &mut loaded.found {
            facts.holds_imported |= imported.as_ref() == Some(&facts.keyspace.name);
        }
        Ok(loaded)
    }

    fn observe(&self, observer: Arc<dyn ChangeObserver>) {
        self.ear.observers.lock().unwrap().push(observer);
    }

    async fn record_use(&self, uses: Uses) -> Result<(), StoreError> {
        self.uses.go(self.real.record_use(uses)).await
    }

    fn settle_with(&self, settling: Arc<dyn Settling>) {
        self.real.settle_with(settling);
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.real.settle().await
    }

    fn cluster(self: Arc<Self>) -> Option<Arc<dyn Cluster>> {
        let real = self.real.clone().cluster()?;
        let renewals = self.renewals.clone();
        let word = self.word.clone();
        Some(Arc::new(PausableCluster {
            real,
            renewals,
            word,
        }))
    }

    fn is_exclusive(&self) -> bool {
        self.real.is_exclusive()
    }

    fn kind(&self) -> &'static str {
        self.real.kind()
    }

    async fn survey(&self) -> Result<Survey, StoreError> {
        self.real.survey().await
    }

    async fn list_keyspaces(&self) -> Result<Vec<Keyspace>, StoreError> {
        self.real.list_keyspaces().await
    }

    async fn find_keyspace(
        &self,
        name: &KeyspaceName,
    ) -> Result<Option<(Keyspace, TagKeys)>, StoreError> {
        self.real.find_keyspace(name).await
    }

    async fn create_keyspace(
        &self,
        keyspace: Keyspace,
        tag_keys: TagKeys,
        by: Attribution,
    ) -> Result<KeyspaceCreated, StoreError> {
        self.real.create_keyspace(keyspace, tag_keys, by).await
    }

    async fn edit_keyspace(
        &self,
        name: KeyspaceName,
        edit: KeyspaceEdit,
        by: Attribution,
    ) -> Result<KeyspaceEdited, StoreError> {
        self.real.edit_keyspace(name, edit, by).await
    }

    async fn create_key(
        &self,
        record: KeyRecord,
        caller: Caller,
        by: Attribution,
    ) -> Result<KeyCreated, StoreError> {
        self.real.create_key(record, caller, by).await
    }

    async fn create_first_service_key(
        &self,
        record: KeyRecord,
        by: Attribution,
    ) -> Result<bool, StoreError> {
        self.real.create_first_service_key(record, by).await
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.real.find_key(id).await
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<Page<KeyRecord>, StoreError> {
        self.real.list_keys(query).await
    }

    async fn search_keys(&self, search: &KeySearch) -> Result<Searched, StoreError> {
        self.real.search_keys(search).await
    }

    async fn count_keys(&self) -> Result<BTreeMap<Status, u64>, StoreError> {
        self.real.count_keys().await
    }

    async fn edit_key(
        &self,
        which: KeySelector,
        caller: Caller,
        edit: KeyEdit,
        by: Attribution,
    ) -> Result<KeyEdited, StoreError> {
        self.real.edit_key(which, caller, edit, by).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageBucket>, StoreError> {
        self.real.usage(query).await
    }

    async fn usage_by_key(
        &self,
        keys: &[KeyId],
        over: Period,
    ) -> Result<BTreeMap<KeyId, Vec<UsageBucket>>, StoreError> {
        self.real.usage_by_key(keys, over).await
    }

    async fn trim_usage(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.real.trim_usage(before).await
    }

    async fn trim_log(&self, keep: u64) -> Result<u64, StoreError> {
        self.real.trim_log(keep).await
    }

    async fn ensure_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
        self.real.ensure_user(id, now).await
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.real.find_user(id).await
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Page<User>, StoreError> {
        self.real.list_users(query).await
    }

    async fn delete_user(&self, id: UserId, by: Attribution) -> Result<bool, StoreError> {
        self.real.delete_user(id, by).await
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Page<AuditEntry>, StoreError> {
        self.real.list_audit(query).await
    }

    fn console(self: Arc<Self>) -> Arc<dyn Console> {
        self.real.clone().console()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.real.check().await
    }

    fn connections(&self) -> Connections {
        self.real.connections()
    }

    async fn close(&self) {
        self.real.close().await;
    }
}
