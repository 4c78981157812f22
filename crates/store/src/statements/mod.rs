//! What a store does, written once and compiled for each driver: `sqlite.rs` and `postgres.rs` both include this
//! folder, and every type here is the real driver's by the aliases below (`Db`, `Connection`, `Row`).
//!
//! What a store brings itself: those aliases, the macro `for_update!`, `read` (a connection to ask), `write` (a
//! [`Change`] as one transaction), and the few statements that only its database knows.

/// Names statements, and lists them for [`every_statement`].
macro_rules! statements {
    ($($(#[$attribute:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$attribute])* pub(crate) const $name: &str = $sql;)*
        /// All of this file.
        pub(super) const ALL: &[&str] = &[$($name),*];
    };
}

/// Looks up one thing by an index, or what is few, within the time that a statement may take, and measures it.
macro_rules! read {
    ($store:ident, $operation:literal, |$connection:ident| $work:expr) => {
        measured(&*$store.clock, $operation, async {
            within_time!($store, ((), $store.read().await?), |$connection| $work)
        })
        .await
    };
}

/// Reads a list likewise. Lists can be slow, so they have a share of the connections and leave the others alone.
macro_rules! read_list {
    ($store:ident, $operation:literal, |$connection:ident| $work:expr) => {
        measured(&*$store.clock, $operation, async {
            within_time!($store, $store.read_list().await?, |$connection| $work)
        })
        .await
    };
}

macro_rules! within_time {
    ($store:ident, $held:expr, |$connection:ident| $work:expr) => {{
        let (_share, mut held) = $held;
        let $connection = &mut *held;
        let answer = tokio::time::timeout($store.patience, $work).await;
        match answer {
            Ok(Err(Failure::Standby)) => {
                // Another may lead to the primary.
                held.close_on_drop();
                Err(meaning(Failure::Standby))
            }
            Ok(answer) => answer.map_err(meaning),
            Err(_) => {
                // Whoever asks next must not wait for the answer to this.
                held.close_on_drop();
                Err(timed_out())
            }
        }
    }};
}

mod audit;
pub(super) mod change;
mod console;
mod creation;
pub(super) mod edit_key;
pub(super) mod keys;
pub(super) mod keyspaces;
mod load;
mod log;
#[cfg(test)]
mod plans;
pub(super) mod rows;
mod schema;
mod usage;
mod users;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use keywright_core::ambient::Clock;
use keywright_core::audit::{Attribution, AuditEntry};
use keywright_core::authority::{Caller, KeyEdit};
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::{Keyspace, KeyspaceEdit};
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{Executor, Pool, SqlSafeStr};

use super::{
    Connection, Db, IS_EXCLUSIVE, LEDGER_EXISTS, MIGRATIONS, NAME, OWN_STATEMENTS, Row, ThisStore,
    add_counts, gone_keys, insert_created, insertion, meaning, newest, primary_only, record,
    shared_by_nodes, survey, uses, write_last_uses,
};
use crate::cluster::{Cluster, Settling, Standing, Survey};
use crate::console::Console;
use crate::failure::{Failure, timed_out};
use crate::usage::hour_of_day;
use crate::{
    AuditQuery, ChangeObserver, Connections, KeyCreated, KeyEdited, KeyFacts, KeyQuery, KeySearch,
    KeySelector, KeyspaceCreated, KeyspaceEdited, KeyspaceFacts, Loaded, Page, Period, Searched,
    Store, StoreError, UsageBucket, UsageQuery, User, UserQuery, Uses,
};

pub(super) use audit::TABLE as AUDIT_LOG;
pub(super) use change::Made;
pub(super) use change::{Carried, Change, Record, Recorded, carry_out, columns, extent_of_log};
pub(super) use creation::{CreateKey, create_together};
pub(super) use edit_key::EditKey;
pub(super) use keys::TABLE as API_KEYS;
#[allow(
    unused_imports,
    reason = "only of a file can it be asked beside a server"
)]
pub(super) use keys::any_service_key;
pub(super) use schema::{Built, applied_and_known, prepare_database};
pub(super) use usage::{Counts, Rows};
pub(super) use users::{OWNERS, Owner};

/// The histogram of how long each operation took, in seconds.
const SECONDS: &str = "keywright_store_seconds";

fn query(sql: &'static str) -> sqlx::query::Query<'static, Db, <Db as sqlx::Database>::Arguments> {
    sqlx::query(sql)
}

/// Every statement with a fixed text, for the check that a database takes them all.
fn every_statement() -> impl Iterator<Item = &'static str> {
    [
        console::ALL,
        edit_key::ALL,
        keys::ALL,
        keyspaces::ALL,
        usage::ALL,
        usage::OF_TABLES,
        load::ALL,
        log::ALL,
        users::ALL,
        uses::ALL,
        OWN_STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .chain(insertion::all())
    .chain(load::of_keys())
}

/// Waits for `work`, and notes how long it took.
async fn measured<T>(
    clock: &dyn Clock,
    operation: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let begun = clock.uptime();
    let result = work.await;
    let taken = clock.uptime().saturating_sub(begun);
    metrics::histogram!(SECONDS, "store" => NAME, "operation" => operation)
        .record(taken.as_secs_f64());
    result
}

/// Cuts off what was asked for beyond the limit, only to know whether there is more.
fn page<T>(mut entries: Vec<T>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = entries.len() > limit;
    entries.truncate(limit);
    Page { entries, more }
}

/// How many rows to ask for: one more than wanted.
fn one_more(limit: u32) -> i64 {
    i64::from(limit) + 1
}

/// A connection of these, to ask one thing.
async fn acquire(connections: &Pool<Db>) -> Result<PoolConnection<Db>, StoreError> {
    let acquired = connections.acquire().await;
    acquired.map_err(|error| meaning(error.into()))
}

impl ThisStore {
    pub(super) async fn read(&self) -> Result<PoolConnection<Db>, StoreError> {
        acquire(self.pool()).await
    }

    /// Has the database prepare every statement of fixed text, and answers how many there are. A schema that
    /// somebody altered is noticed here before it is noticed by a user.
    ///
    /// # Errors
    /// [`StoreError::Internal`] with the database's own words for the first statement it does not take.
    pub async fn prepare_every_statement(&self) -> Result<usize, StoreError> {
        let mut connection = self.read().await?;
        let mut prepared = 0;
        for statement in every_statement() {
            let taken = (&mut *connection).prepare(statement.into_sql_str()).await;
            taken.map_err(|error| match meaning(error.into()) {
                StoreError::Internal(text) => {
                    StoreError::Internal(format!("{text}, in: {statement}"))
                }
                other => other,
            })?;
            prepared += 1;
        }
        Ok(prepared)
    }

    /// Waits until every node knows of this.
    pub(super) async fn settled(&self, standing: Option<Standing>) {
        if let Some(settling) = self.settling.get() {
            settling.settled(standing).await;
        }
    }

    async fn change<C: Change>(
        &self,
        operation: &'static str,
        change: C,
    ) -> Result<C::Outcome, StoreError> {
        measured(&*self.clock, operation, self.write(change)).await
    }
}

#[async_trait]
impl Store for ThisStore {
    async fn list_keyspaces(&self) -> Result<Vec<Keyspace>, StoreError> {
        read!(self, "list_keyspaces", |connection| keyspaces::list(
            connection
        ))
    }

    async fn find_keyspace(
        &self,
        name: &KeyspaceName,
    ) -> Result<Option<(Keyspace, TagKeys)>, StoreError> {
        read!(self, "find_keyspace", |connection| {
            keyspaces::find_with_tag_keys(connection, name)
        })
    }

    async fn create_keyspace(
        &self,
        keyspace: Keyspace,
        tag_keys: TagKeys,
        by: Attribution,
    ) -> Result<KeyspaceCreated, StoreError> {
        self.change(
            "create_keyspace",
            keyspaces::CreateKeyspace {
                keyspace,
                tag_keys,
                by,
            },
        )
        .await
    }

    async fn edit_keyspace(
        &self,
        name: KeyspaceName,
        edit: KeyspaceEdit,
        by: Attribution,
    ) -> Result<KeyspaceEdited, StoreError> {
        self.change("edit_keyspace", keyspaces::EditKeyspace { name, edit, by })
            .await
    }

    async fn create_key(
        &self,
        record: KeyRecord,
        caller: Caller,
        by: Attribution,
    ) -> Result<KeyCreated, StoreError> {
        let creation = CreateKey { record, caller, by };
        measured(&*self.clock, "create_key", self.create(creation)).await
    }

    async fn create_first_service_key(
        &self,
        record: KeyRecord,
        by: Attribution,
    ) -> Result<bool, StoreError> {
        self.change(
            "create_first_service_key",
            creation::CreateFirstServiceKey { record, by },
        )
        .await
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        read!(self, "find_key", |connection| keys::find(
            connection,
            KeySelector::Id(id)
        ))
    }

    async fn find_key_by_digest(&self, digest: &Digest) -> Result<Option<KeyRecord>, StoreError> {
        read!(self, "find_key_by_digest", |connection| keys::find(
            connection,
            KeySelector::Digest(*digest)
        ))
    }

    async fn load_key(&self, digest: &Digest) -> Result<Loaded<Option<KeyFacts>>, StoreError> {
        let (answered, turn) = self.line.join(digest);
        if let Some(turn) = turn {
            // A task of its own: whoever began it may go away while others wait.
            tokio::spawn(load::Reader::of(self).read_for(turn));
        }
        // Those before it may take as long as it may itself.
        match tokio::time::timeout(self.patience, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::Internal(
                "a reading of keys was broken off".to_owned(),
            )),
            Err(_) => Err(timed_out()),
        }
    }

    async fn load_keyspaces(&self) -> Result<Loaded<Vec<KeyspaceFacts>>, StoreError> {
        read!(self, "load_keyspaces", |connection| load::keyspaces(
            connection
        ))
    }

    fn observe(&self, observer: Arc<dyn ChangeObserver>) {
        // Whoever came first stays.
        let _ = self.observer().set(observer);
    }

    fn is_exclusive(&self) -> bool {
        IS_EXCLUSIVE
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    async fn survey(&self) -> Result<Survey, StoreError> {
        read!(self, "survey", |connection| survey(connection))
    }

    fn settle_with(&self, settling: Arc<dyn Settling>) {
        // Whoever came first stays.
        let _ = self.settling.set(settling);
    }

    async fn settle(&self) -> Result<(), StoreError> {
        let newest = read!(self, "settle", |connection| newest(connection))?;
        self.settled(newest).await;
        Ok(())
    }

    fn cluster(self: Arc<Self>) -> Option<Arc<dyn Cluster>> {
        shared_by_nodes(self)
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<Page<KeyRecord>, StoreError> {
        read_list!(self, "list_keys", |connection| keys::list(
            connection, query
        ))
    }

    async fn search_keys(&self, search: &KeySearch) -> Result<Searched, StoreError> {
        read_list!(self, "search_keys", |connection| keys::search(
            connection, search
        ))
    }

    async fn count_keys(&self) -> Result<BTreeMap<Status, u64>, StoreError> {
        read_list!(self, "count_keys", |connection| keys::count(connection))
    }

    async fn edit_key(
        &self,
        which: KeySelector,
        caller: Caller,
        edit: KeyEdit,
        by: Attribution,
    ) -> Result<KeyEdited, StoreError> {
        let edit = EditKey {
            which,
            caller,
            edit,
            by,
        };
        measured(&*self.clock, "edit_key", self.edit(edit)).await
    }

    async fn record_use(&self, uses: Uses) -> Result<(), StoreError> {
        let Uses { last_used, counts } = uses;
        for some in usage::NoteLastUses::of(&last_used) {
            self.change("note_last_uses", some).await?;
        }
        // The counts come last: whoever repeats all of this after an error counts nothing twice.
        if counts.is_empty() {
            return Ok(());
        }
        self.change("count_uses", usage::Count { counts }).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageBucket>, StoreError> {
        read_list!(self, "usage", |connection| usage::list(connection, query))
    }

    async fn usage_by_key(
        &self,
        keys: &[KeyId],
        over: Period,
    ) -> Result<BTreeMap<KeyId, Vec<UsageBucket>>, StoreError> {
        read_list!(self, "usage_by_key", |connection| usage::list_by_key(
            connection, keys, over
        ))
    }

    async fn trim_usage(&self, before: Timestamp) -> Result<u64, StoreError> {
        let (day, _) = hour_of_day(before);
        let mut removed = 0;
        for of in [usage::Of::Keys, usage::Of::Users, usage::Of::Keyspaces] {
            loop {
                let some = self.change("trim_usage", usage::Trim { of, day }).await?;
                removed += some.rows;
                if !some.more {
                    break;
                }
            }
        }
        let days = usage::ForgetDays { before: day };
        self.change("trim_usage", days).await?;
        loop {
            let some = self.change("trim_usage", usage::ForgetKeys).await?;
            removed += some.rows;
            if !some.more {
                return Ok(removed);
            }
        }
    }

    async fn trim_log(&self, keep: u64) -> Result<u64, StoreError> {
        loop {
            let trimmed = self.change("trim_log", log::TrimLog { keep }).await?;
            if !trimmed.more {
                return Ok(trimmed.left);
            }
        }
    }

    async fn ensure_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
        measured(&*self.clock, "ensure_user", async {
            let known = within_time!(self, ((), self.read().await?), |connection| {
                users::is_known(connection, id)
            })?;
            if known {
                return Ok(());
            }
            let id = id.clone();
            self.write(users::EnsureUser { id, now }).await
        })
        .await
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        read!(self, "find_user", |connection| users::find(connection, id))
    }

    async fn list_users(&self, query: &UserQuery) -> Result<Page<User>, StoreError> {
        read_list!(self, "list_users", |connection| users::list(
            connection, query
        ))
    }

    async fn delete_user(&self, id: UserId, by: Attribution) -> Result<bool, StoreError> {
        self.change("delete_user", users::DeleteUser { id, by })
            .await
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Page<AuditEntry>, StoreError> {
        read_list!(self, "list_audit", |connection| audit::list(
            connection, query
        ))
    }

    fn console(self: Arc<Self>) -> Arc<dyn Console> {
        self
    }

    async fn check(&self) -> Result<(), StoreError> {
        measured(&*self.clock, "check", self.check_health()).await
    }

    fn connections(&self) -> Connections {
        let mut connections = Connections { open: 0, idle: 0 };
        for pool in self.pools() {
            connections.open += pool.size();
            connections.idle += u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        }
        connections
    }

    async fn close(&self) {
        self.finish().await;
    }
}
