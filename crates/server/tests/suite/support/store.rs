//! A store that fails, waits or panics when a test says so, and else is the real one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
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
use keywright_store::cluster::{Cluster, Settling, Survey};
use keywright_store::console::Console;
use keywright_store::{
    AuditQuery, ChangeObserver, Connections, KeyCreated, KeyEdited, KeyFacts, KeyQuery, KeySearch,
    KeySelector, KeyspaceCreated, KeyspaceEdited, KeyspaceFacts, Loaded, Page, Period, Searched,
    Store, StoreError, UsageBucket, UsageQuery, User, UserQuery, Uses,
};
use tokio::sync::Semaphore;

/// What befalls the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It does not answer.
    Down,
    /// It answers and takes no changes.
    ReadOnly,
    /// A row holds nonsense.
    Damaged,
    /// The code that asks it panics.
    Panic,
}

/// What the text of an error of the database holds, which no client may see.
pub(crate) const DATABASE_TEXT: &str = "relation \"api_keys\" at 10.1.2.3";

/// The real store behind a switch.
pub(crate) struct FaultyStore {
    real: Arc<dyn Store>,
    fault: Mutex<Fault>,
    /// Changes of keys wait here while a test holds them.
    gate: Semaphore,
    /// Keys are looked up by their text here, and while a test holds them.
    lookups: Semaphore,
    /// Counts those who came to the gate.
    pub(crate) arrived: Semaphore,
    /// How many pages of the audit log are read before the database goes down.
    pages_left: AtomicI64,
    /// How many keys are looked up by their text before the database goes down.
    lookups_left: AtomicI64,
    failed_writes: AtomicUsize,
}

impl FaultyStore {
    pub(crate) fn over(real: Arc<dyn Store>) -> Self {
        Self {
            real,
            fault: Mutex::new(Fault::None),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            lookups: Semaphore::new(Semaphore::MAX_PERMITS),
            arrived: Semaphore::new(0),
            pages_left: AtomicI64::new(i64::MAX),
            lookups_left: AtomicI64::new(i64::MAX),
            failed_writes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn suffer(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Lets changes of keys wait until [`Self::release`].
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets those who look for a key by its text wait until [`Self::release_lookups`].
    pub(crate) fn hold_lookups(&self) {
        self.lookups.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release_lookups(&self) {
        self.lookups.add_permits(Semaphore::MAX_PERMITS);
    }

    /// So many pages of the audit log are still read; then the database is down.
    pub(crate) fn go_down_after_pages(&self, count: i64) {
        self.pages_left.store(count, Ordering::SeqCst);
    }

    /// So many keys are still found by their text; then the database is down.
    pub(crate) fn go_down_after_lookups(&self, count: i64) {
        self.lookups_left.store(count, Ordering::SeqCst);
    }

    /// How many changes were refused by a fault.
    pub(crate) fn failed_writes(&self) -> usize {
        self.failed_writes.load(Ordering::SeqCst)
    }

    fn read(&self) -> Result<(), StoreError> {
        let text = || DATABASE_TEXT.to_owned();
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::None | Fault::ReadOnly => Ok(()),
            Fault::Down => Err(StoreError::Unavailable(text())),
            Fault::Damaged => Err(StoreError::Damaged(text())),
            Fault::Panic => panic!("{DATABASE_TEXT}"),
        }
    }

    async fn look_up(&self) -> Result<(), StoreError> {
        if self.lookups.available_permits() == 0 {
            self.arrived.add_permits(1);
        }
        drop(self.lookups.acquire().await);
        if self.lookups_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.suffer(Fault::Down);
        }
        self.read()
    }

    fn write(&self) -> Result<(), StoreError> {
        if *self.fault.lock().unwrap() == Fault::ReadOnly {
            self.failed_writes.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::NotWritable(DATABASE_TEXT.to_owned()));
        }
        self.read()
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn list_keyspaces(&self) -> Result<Vec<Keyspace>, StoreError> {
        self.read()?;
        self.real.list_keyspaces().await
    }

    async fn find_keyspace(
        &self,
        name: &KeyspaceName,
    ) -> Result<Option<(Keyspace, TagKeys)>, StoreError> {
        self.read()?;
        self.real.find_keyspace(name).await
    }

    async fn create_keyspace(
        &self,
        keyspace: Keyspace,
        tag_keys: TagKeys,
        by: Attribution,
    ) -> Result<KeyspaceCreated, StoreError> {
        self.write()?;
        self.real.create_keyspace(keyspace, tag_keys, by).await
    }

    async fn edit_keyspace(
        &self,
        name: KeyspaceName,
        edit: KeyspaceEdit,
        by: Attribution,
    ) -> Result<KeyspaceEdited, StoreError> {
        self.write()?;
        self.real.edit_keyspace(name, edit, by).await
    }

    async fn create_key(
        &self,
        record: KeyRecord,
        caller: Caller,
        by: Attribution,
    ) -> Result<KeyCreated, StoreError> {
        self.write()?;
        self.real.create_key(record, caller, by).await
    }

    async fn create_first_service_key(
        &self,
        record: KeyRecord,
        by: Attribution,
    ) -> Result<bool, StoreError> {
        self.write()?;
        self.real.create_first_service_key(record, by).await
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.read()?;
        self.real.find_key(id).await
    }

    async fn find_key_by_digest(&self, digest: &Digest) -> Result<Option<KeyRecord>, StoreError> {
        self.look_up().await?;
        self.real.find_key_by_digest(digest).await
    }

    async fn load_key(&self, digest: &Digest) -> Result<Loaded<Option<KeyFacts>>, StoreError> {
        self.look_up().await?;
        self.real.load_key(digest).await
    }

    async fn load_keyspaces(&self) -> Result<Loaded<Vec<KeyspaceFacts>>, StoreError> {
        self.read()?;
        self.real.load_keyspaces().await
    }

    fn observe(&self, observer: Arc<dyn ChangeObserver>) {
        self.real.observe(observer);
    }

    fn settle_with(&self, settling: Arc<dyn Settling>) {
        self.real.settle_with(settling);
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.real.settle().await
    }

    fn cluster(self: Arc<Self>) -> Option<Arc<dyn Cluster>> {
        self.real.clone().cluster()
    }

    fn is_exclusive(&self) -> bool {
        self.real.is_exclusive()
    }

    fn kind(&self) -> &'static str {
        self.real.kind()
    }

    async fn survey(&self) -> Result<Survey, StoreError> {
        self.read()?;
        self.real.survey().await
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<Page<KeyRecord>, StoreError> {
        self.read()?;
        self.real.list_keys(query).await
    }

    async fn search_keys(&self, search: &KeySearch) -> Result<Searched, StoreError> {
        self.read()?;
        self.real.search_keys(search).await
    }

    async fn count_keys(&self) -> Result<BTreeMap<Status, u64>, StoreError> {
        self.read()?;
        self.real.count_keys().await
    }

    async fn edit_key(
        &self,
        which: KeySelector,
        caller: Caller,
        edit: KeyEdit,
        by: Attribution,
    ) -> Result<KeyEdited, StoreError> {
        self.write()?;
        self.arrived.add_permits(1);
        let passed = self.gate.acquire().await;
        drop(passed);
        self.real.edit_key(which, caller, edit, by).await
    }

    async fn record_use(&self, uses: Uses) -> Result<(), StoreError> {
        self.write()?;
        self.real.record_use(uses).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageBucket>, StoreError> {
        self.read()?;
        self.real.usage(query).await
    }

    async fn usage_by_key(
        &self,
        keys: &[KeyId],
        over: Period,
    ) -> Result<BTreeMap<KeyId, Vec<UsageBucket>>, StoreError> {
        self.read()?;
        self.real.usage_by_key(keys, over).await
    }

    /// Asked by nobody's request, at any moment: it suffers nothing.
    async fn trim_usage(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.real.trim_usage(before).await
    }

    /// Asked by nobody's request, at any moment: it suffers nothing.
    async fn trim_log(&self, keep: u64) -> Result<u64, StoreError> {
        self.real.trim_log(keep).await
    }

    async fn ensure_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
        self.read()?;
        self.real.ensure_user(id, now).await
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.read()?;
        self.real.find_user(id).await
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Page<User>, StoreError> {
        self.read()?;
        self.real.list_users(query).await
    }

    async fn delete_user(&self, id: UserId, by: Attribution) -> Result<bool, StoreError> {
        self.write()?;
        self.real.delete_user(id, by).await
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Page<AuditEntry>, StoreError> {
        if self.pages_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.suffer(Fault::Down);
        }
        self.read()?;
        self.real.list_audit(query).await
    }

    fn console(self: Arc<Self>) -> Arc<dyn Console> {
        self.real.clone().console()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.write()?;
        self.real.check().await
    }

    fn connections(&self) -> Connections {
        self.real.connections()
    }

    async fn close(&self) {
        self.real.close().await;
    }
}
