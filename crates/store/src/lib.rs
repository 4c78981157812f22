//! Where Keywright keeps what it knows: one trait of domain types, and two stores behind it.
//!
//! Every change is one transaction that holds the change itself, its audit entry and, where it changes an earlier
//! answer, its row in the change log. I1: once a method here has answered `Ok`, the change survives kill -9 and
//! power loss.

mod catalogue_text;
pub mod cluster;
mod code_number;
pub mod console;
mod error;
mod failure;
mod line;
pub mod postgres;
mod query;
pub mod sqlite;
#[cfg(test)]
mod standing;
mod table;
mod text_range;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use keywright_core::audit::{Attribution, AuditEntry};
use keywright_core::authority::{Caller, KeyEdit, Refusal};
use keywright_core::decision::Facts;
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::{ApiKey, KeyRecord, Metadata};
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::{Keyspace, KeyspaceEdit, KeyspaceRefusal};
use keywright_core::lifecycle::Status;
use keywright_core::text::KeyName;
use keywright_core::timestamp::Timestamp;

use crate::cluster::{Cluster, Settling, Survey};
use crate::console::Console;
pub use crate::error::{OpenError, StoreError};
pub use crate::query::{
    AuditQuery, KeyQuery, KeySearch, NamePosition, Page, Position, Remembered, Searched,
    UserPosition, UserQuery,
};
pub use crate::usage::{
    BadPeriod, MAX_KEYS_AT_ONCE, Period, Step, UsageBucket, UsageOf, UsageQuery, UseCount, Uses,
};

/// A user, as an administrator sees one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id from the identity provider.
    pub id: UserId,
    /// When the user was first seen.
    pub created_at: Timestamp,
    /// How many keys the user has, of every status.
    pub api_keys: u64,
}

/// Which key is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySelector {
    /// The one with this id.
    Id(KeyId),
    /// The one whose text has this digest.
    Digest(Digest),
}

/// What became of an edit of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEdited {
    /// It is written; this is the key now.
    Done(KeyRecord),
    /// It held already; this is the key.
    Unchanged(KeyRecord),
    /// It was not made. A key that does not exist is refused as [`Refusal::NotFound`].
    Refused(Refusal),
}

/// What became of the creation of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyCreated {
    /// It is written.
    Done,
    /// It was not made.
    Refused(Refusal),
}

/// What became of the creation of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyspaceCreated {
    /// It is written.
    Done,
    /// There is one of this name.
    NameTaken,
    /// Its prefix begins the prefix of this keyspace, or the other way round.
    PrefixOverlaps(KeyspaceName),
    /// There are as many as there may be: [`MAX_KEYSPACES`].
    TooMany,
}

/// What became of an edit of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyspaceEdited {
    /// It is so now, whether by this edit or already.
    Done(Keyspace),
    /// There is none of this name.
    Missing,
    /// It cannot be changed so.
    Refused(KeyspaceRefusal),
}

/// About what earlier answers hold no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The key of this digest.
    Key(Digest),
    /// Every key of this keyspace, and whether a text may be one of it.
    Keyspace(KeyspaceName),
    /// Every key of this user.
    User(UserId),
}

/// A change that made earlier answers wrong: a row of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedChange {
    /// Its number: from 1, in the order of commits, without gaps.
    pub seq: u64,
    /// What it is about.
    pub scope: Scope,
}

/// Learns of changes before those who asked for them are answered (DESIGN §5).
pub trait ChangeObserver: Send + Sync {
    /// These were committed by this process. Their seqs ascend, but those of another call may lie between or before.
    ///
    /// Nobody is answered before this returns. It must neither block nor panic.
    fn committed(&self, changes: &[LoggedChange]);
}

/// What was read for a cache, with the newest change that was there when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The seq of the newest row of the change log in the snapshot that `found` was read from; 0 where there is none.
    pub seq: u64,
    /// What was read.
    pub found: T,
}

/// What a verification needs to know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its public id.
    pub id: KeyId,
    /// The keyspace it belongs to.
    pub keyspace: KeyspaceName,
    /// Whose it is.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: KeyName,
    /// What a program attached to it.
    pub metadata: Metadata,
    /// What a decision depends on.
    pub facts: Facts,
}

impl From<&ApiKey> for KeyFacts {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            keyspace: key.keyspace.clone(),
            user_id: key.user_id.clone(),
            name: key.name.clone(),
            metadata: key.metadata.clone(),
            facts: Facts::from(key),
        }
    }
}

/// What a verification needs to know of a keyspace.
#[derive(Clone)]
pub struct KeyspaceFacts {
    /// The keyspace.
    pub keyspace: Keyspace,
    /// By what its keys are told from made-up ones.
    pub tag_keys: TagKeys,
    /// Whether some of its keys were made elsewhere and have no tag.
    pub holds_imported: bool,
}

/// How many connections a store has at most, where nothing else is said. (The embedded one has some more.)
pub const CONNECTIONS: u32 = 10;

/// How many keyspaces there may be: all of them are answered in one list.
pub const MAX_KEYSPACES: usize = 1000;

/// A database. Every method may fail with [`StoreError`]; after `Err` from a method that changes something, nothing
/// of the change is there, unless the connection broke during the commit itself, when the outcome is unknown.
///
/// A change goes on to its end though the caller's future is dropped.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// All keyspaces, by name; at most [`MAX_KEYSPACES`].
    async fn list_keyspaces(&self) -> Result<Vec<Keyspace>, StoreError>;

    /// The keyspace of this name, with the tag keys its keys are minted with.
    async fn find_keyspace(
        &self,
        name: &KeyspaceName,
    ) -> Result<Option<(Keyspace, TagKeys)>, StoreError>;

    /// Makes a keyspace.
    async fn create_keyspace(
        &self,
        keyspace: Keyspace,
        tag_keys: TagKeys,
        by: Attribution,
    ) -> Result<KeyspaceCreated, StoreError>;

    /// Changes a keyspace by [`Keyspace::edited`].
    async fn edit_keyspace(
        &self,
        name: KeyspaceName,
        edit: KeyspaceEdit,
        by: Attribution,
    ) -> Result<KeyspaceEdited, StoreError>;

    /// Makes a key, and its owner where they are not known yet, if [`keywright_core::authority::may_create`] allows
    /// it: asked about the keyspace as it is within the transaction that writes the key.
    async fn create_key(
        &self,
        record: KeyRecord,
        caller: Caller,
        by: Attribution,
    ) -> Result<KeyCreated, StoreError>;

    /// Makes a service key if there is none of any status; `false` where there was one. Of several nodes that ask
    /// at once, one makes it.
    async fn create_first_service_key(
        &self,
        record: KeyRecord,
        by: Attribution,
    ) -> Result<bool, StoreError>;

    /// The key with this id.
    async fn find_key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// The key whose text has this digest: one query.
    async fn find_key_by_digest(&self, digest: &Digest) -> Result<Option<KeyRecord>, StoreError>;

    /// What a cache keeps of the key whose text has this digest. Seq and key are of one snapshot.
    async fn load_key(&self, digest: &Digest) -> Result<Loaded<Option<KeyFacts>>, StoreError>;

    /// What a cache keeps of all keyspaces. Seq and keyspaces are of one snapshot.
    async fn load_keyspaces(&self) -> Result<Loaded<Vec<KeyspaceFacts>>, StoreError>;

    /// From now on, tells `observer` of every change that this process commits, before it is answered. Only the
    /// first one asked for is told.
    fn observe(&self, observer: Arc<dyn ChangeObserver>);

    /// From now on, has every change that could make an earlier answer wrong wait for `settling` before it is answered,
    /// whatever became of it. Only the first one asked for is used.
    fn settle_with(&self, settling: Arc<dyn Settling>);

    /// Waits as a change does, for all changes that are committed by now: before something is answered that rests on one
    /// of them.
    async fn settle(&self) -> Result<(), StoreError>;

    /// What nodes tell each other through this database; `None` where it has one node.
    fn cluster(self: Arc<Self>) -> Option<Arc<dyn Cluster>>;

    /// Whether nobody but this process can change the database while it is open: an observer then learns of all.
    fn is_exclusive(&self) -> bool;

    /// What kind of database it is, as the metrics call it: `sqlite` or `postgres`.
    fn kind(&self) -> &'static str;

    /// How far its history is, and who shares it: one query.
    async fn survey(&self) -> Result<Survey, StoreError>;

    /// One page of a user's keys, or of everybody's, newest first.
    async fn list_keys(&self, query: &KeyQuery) -> Result<Page<KeyRecord>, StoreError>;

    /// The keys that are like what somebody remembers: by name in the order of names and in pages, else the newest.
    async fn search_keys(&self, search: &KeySearch) -> Result<Searched, StoreError>;

    /// How many keys there are in each state, without service keys. It counts them: not for every request.
    async fn count_keys(&self) -> Result<BTreeMap<Status, u64>, StoreError>;

    /// Changes a key by [`keywright_core::authority::edit`], asked under a lock on the key (and, for service keys,
    /// on all of them) within the transaction that writes the result. Its time is `by.at`.
    async fn edit_key(
        &self,
        which: KeySelector,
        caller: Caller,
        edit: KeyEdit,
        by: Attribution,
    ) -> Result<KeyEdited, StoreError>;

    /// Notes when keys were used last, and adds to the counts of use. What was noted last may be lost with the machine.
    ///
    /// A last use that is earlier than the one there is changes nothing. Of a key that is gone, nothing is noted but
    /// what counts for its keyspace.
    ///
    /// The counts are one transaction, after everything else: after `Err` none of them is added, and the same can be
    /// noted again. Only where the connection broke during that commit (see [`Store`]) the counts may be added twice
    /// so. Keep it to [`MAX_KEYS_AT_ONCE`] keys, and the next ones wait no longer than they must.
    async fn record_use(&self, uses: Uses) -> Result<(), StoreError>;

    /// What was counted, in ascending order: only buckets in which something was. Of a key or a user that is gone:
    /// nothing, or what is not removed yet.
    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageBucket>, StoreError>;

    /// What was counted of each of some keys, at most [`MAX_KEYS_AT_ONCE`]: those without uses are not there.
    async fn usage_by_key(
        &self,
        keys: &[KeyId],
        over: Period,
    ) -> Result<BTreeMap<KeyId, Vec<UsageBucket>>, StoreError>;

    /// Removes the counts of all days (UTC) that were over at `before`, and those of deleted keys, in many small
    /// transactions; answers how many rows these were. Several nodes may do so at once.
    async fn trim_usage(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Removes changes from the log that every node has applied, but so many of the newest, at least one, in many small
    /// transactions; answers how many are left. Several nodes may do so at once.
    async fn trim_log(&self, keep: u64) -> Result<u64, StoreError>;

    /// Sees to it that the user exists.
    async fn ensure_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError>;

    /// The user with this id. The reserved owner of service keys is not one.
    async fn find_user(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// One page of users, newest first or by the start of their ids, without the reserved owner.
    async fn list_users(&self, query: &UserQuery) -> Result<Page<User>, StoreError>;

    /// Deletes a user with all keys; `false` where there is none. The reserved owner is never deleted.
    async fn delete_user(&self, id: UserId, by: Attribution) -> Result<bool, StoreError>;

    /// One page of the audit log, newest first.
    async fn list_audit(&self, query: &AuditQuery) -> Result<Page<AuditEntry>, StoreError>;

    /// What the web console keeps in this database.
    fn console(self: Arc<Self>) -> Arc<dyn Console>;

    /// Whether the database answers and takes changes.
    async fn check(&self) -> Result<(), StoreError>;

    /// How many connections there are to read with, and how many of them nobody uses now.
    fn connections(&self) -> Connections;

    /// Finishes what has begun and closes the database.
    async fn close(&self);
}

/// How far a database's tables are, and how far this program knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaVersions {
    /// The newest migration in the database; `None` where there is none at all.
    pub applied: Option<i64>,
    /// The newest migration that this program knows.
    pub known: i64,
}

/// The connections of a store's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// All of them.
    pub open: u32,
    /// Those that nobody uses.
    pub idle: u32,
}
