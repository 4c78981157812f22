//! Creations of keys that wait together are one transaction (group commit): four round trips and one flush of the
//! server's log for all of them.
//!
//! They share no fate beyond the commit. Where the database refuses them together, because one of them is impossible
//! or waits for a lock, nothing is written; then those of each owner are made together, and where that is refused as
//! well, each is made alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_core::audit::AuditEntry;
use keywright_core::authority::{Refusal, may_create};
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::{ApiKey, KeyRecord};
use keywright_core::text::Description;
use keywright_core::timestamp::Timestamp;
use sqlx::Connection as _;
use tokio::sync::{Semaphore, oneshot};

use super::classification::meaning;
use super::statements::{CreateKey, created, find_and_hold};
use super::{Connection, Primary, share_of};
use crate::failure::{Failure, timed_out};
use crate::{KeyCreated, StoreError};

/// How many groups are made at once: while one waits for the disk, the next is on its way.
const GROUPS: usize = 2;

/// How many creations are one transaction at most, so that the first is not kept waiting for ever.
const GROUP: usize = 128;

/// As for any other change, but a lock that somebody else holds keeps the whole group waiting for a moment only.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '100ms'";

const TOO_MANY: &str = "too many changes are waiting";

/// A creation leaves nothing in the change log that would need one.
const NO_NONCE: [u8; 16] = [0; 16];

/// Locks the owners in the order of ids, as everybody does. The keys' references are checked after all of it.
pub(super) const CREATE: &str = "WITH counted AS (\
         INSERT INTO users (id, created_at, api_keys) \
         SELECT id, created_at, api_keys FROM unnest(CAST($1 AS TEXT[]), CAST($2 AS BIGINT[]), CAST($3 AS BIGINT[])) \
             AS u (id, created_at, api_keys) ORDER BY id COLLATE \"C\" \
         ON CONFLICT (id) DO UPDATE SET api_keys = users.api_keys + excluded.api_keys), \
     made AS (\
         INSERT INTO api_keys (id, hash, keyspace, user_id, name, description, prefix, postfix, status, grants, \
             created_at, updated_at, last_used_at, expires_at, suspended_at, revoked_at, metadata) \
         SELECT * FROM unnest(CAST($4 AS UUID[]), CAST($5 AS BYTEA[]), CAST($6 AS TEXT[]), CAST($7 AS TEXT[]), \
             CAST($8 AS TEXT[]), CAST($9 AS TEXT[]), CAST($10 AS TEXT[]), CAST($11 AS TEXT[]), CAST($12 AS TEXT[]), \
             CAST($13 AS BIGINT[]), CAST($14 AS BIGINT[]), CAST($15 AS BIGINT[]), CAST($16 AS BIGINT[]), \
             CAST($17 AS BIGINT[]), CAST($18 AS BIGINT[]), CAST($19 AS BIGINT[]), CAST($20 AS TEXT[]))) \
     INSERT INTO audit_log (id, at, actor_kind, actor_id, action, key_id, user_id, keyspace, before, after, ip, \
         user_agent, request_id) \
     SELECT * FROM unnest(CAST($21 AS UUID[]), CAST($22 AS BIGINT[]), CAST($23 AS TEXT[]), CAST($24 AS TEXT[]), \
         CAST($25 AS TEXT[]), CAST($26 AS UUID[]), CAST($27 AS TEXT[]), CAST($28 AS TEXT[]), CAST($29 AS TEXT[]), \
         CAST($30 AS TEXT[]), CAST($31 AS TEXT[]), CAST($32 AS TEXT[]), CAST($33 AS TEXT[]))";

/// The creations that wait, and how many groups of them may still begin.
pub(super) struct Creations {
    queue: Mutex<VecDeque<Waiting>>,
    groups: Semaphore,
    number: AtomicU64,
}

struct Waiting {
    number: u64,
    creation: CreateKey,
    answer: oneshot::Sender<Result<KeyCreated, StoreError>>,
}

impl Waiting {
    fn answer(self, result: Result<KeyCreated, StoreError>) {
        // Who went away does not want to know.
        let _ = self.answer.send(result);
    }
}

impl Creations {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            groups: Semaphore::new(GROUPS),
            number: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest that wait, and the one of this `number` if it waits still: none where others have taken them all.
    fn take_group(&self, number: u64) -> Vec<Waiting> {
        let mut queue = self.queue();
        let own = take(&mut queue, number);
        let others = queue.len().min(GROUP - own.iter().len());
        queue.drain(..others).chain(own).collect()
    }
}

/// The one of this `number`, if it waits still.
fn take(queue: &mut VecDeque<Waiting>, number: u64) -> Option<Waiting> {
    let place = queue.iter().position(|waiting| waiting.number == number)?;
    queue.remove(place)
}

impl Primary {
    /// Makes a key together with others that wait.
    pub(super) async fn create(
        self: Arc<Self>,
        creation: CreateKey,
    ) -> Result<KeyCreated, StoreError> {
        let number = self.creations.number.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.creations.queue().push_back(Waiting {
            number,
            creation,
            answer,
        });
        // A task of its own: a caller that goes away cancels nothing.
        tokio::spawn(self.create_those_that_wait(number));
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Internal("a change panicked".to_owned())))
    }

    /// Makes a group of those that wait. Each creation brings such a task, after which the one of its `number` does not
    /// wait any more: so none is left that no task would come back for.
    async fn create_those_that_wait(self: Arc<Self>, number: u64) {
        let shares = async {
            let group = share_of(&self.creations.groups, self.wait, TOO_MANY).await?;
            let change = share_of(&self.changes, self.wait, TOO_MANY).await?;
            Ok((group, change))
        };
        let refused = match shares.await {
            Ok(_shares) => {
                let group = self.creations.take_group(number);
                if !group.is_empty() {
                    self.clone().create_together(group).await;
                }
                return;
            }
            Err(error) => error,
        };
        let waiting = take(&mut self.creations.queue(), number);
        if let Some(waiting) = waiting {
            waiting.answer(Err(refused));
        }
    }

    async fn create_together(self: Arc<Self>, group: Vec<Waiting>) {
        for group in by_owner(self.try_together(BEGIN, group).await) {
            tokio::spawn(self.clone().create_for_one_owner(group));
        }
    }

    /// Makes keys that have one owner, for which their lock is worth waiting for as long as for any other change.
    async fn create_for_one_owner(self: Arc<Self>, mut group: Vec<Waiting>) {
        if group.len() > 1 {
            let _share = match share_of(&self.changes, self.wait, TOO_MANY).await {
                Ok(share) => share,
                Err(error) => return answer_all(group, &error),
            };
            group = self.try_together(super::BEGIN, group).await;
        }
        for waiting in group {
            let primary = self.clone();
            tokio::spawn(async move {
                let made = primary.write(&waiting.creation, &NO_NONCE).await;
                waiting.answer(made.map(|made| made.outcome));
            });
        }
    }

    /// Makes a group as one transaction and answers it; gives it back where it cannot be made together.
    async fn try_together(&self, begin: &'static str, group: Vec<Waiting>) -> Vec<Waiting> {
        let made = match self.pool.acquire().await {
            Ok(mut connection) => {
                let making = transaction(&mut connection, begin, &group);
                if let Ok(made) = tokio::time::timeout(self.patience, making).await {
                    made
                } else {
                    // Unless its commit was sent already, the server rolls back when the connection goes.
                    connection.close_on_drop();
                    Err(NotMade::Any(timed_out()))
                }
            }
            Err(error) => Err(NotMade::Any(meaning(error.into()))),
        };
        match made {
            Ok(outcomes) => {
                for (waiting, outcome) in group.into_iter().zip(outcomes) {
                    waiting.answer(Ok(outcome));
                }
            }
            Err(NotMade::Any(error)) => answer_all(group, &error),
            Err(NotMade::Together) => return group,
        }
        Vec::new()
    }
}

fn answer_all(group: Vec<Waiting>, error: &StoreError) {
    for waiting in group {
        waiting.answer(Err(error.clone()));
    }
}

/// Those of each owner.
fn by_owner(group: Vec<Waiting>) -> impl Iterator<Item = Vec<Waiting>> {
    let mut groups: BTreeMap<UserId, Vec<Waiting>> = BTreeMap::new();
    for waiting in group {
        let owner = waiting.creation.record.key.user_id.clone();
        groups.entry(owner).or_default().push(waiting);
    }
    groups.into_values()
}

/// Why a group was not made.
enum NotMade {
    /// The database refused all of it for something in it, and nothing is written.
    Together,
    /// None of it can be made now, or nobody knows whether it was.
    Any(StoreError),
}

impl NotMade {
    /// For what went wrong before the commit was sent.
    fn before_commit(failure: Failure) -> Self {
        match failure {
            Failure::Database(sqlx::Error::Database(_)) | Failure::Damaged(_) => Self::Together,
            failure @ Failure::Database(_) => Self::Any(meaning(failure)),
        }
    }
}

/// Makes all of a group as one transaction, in the order of locks keyspaces → users → `api_keys`.
async fn transaction(
    connection: &mut Connection,
    begin: &'static str,
    group: &[Waiting],
) -> Result<Vec<KeyCreated>, NotMade> {
    let mut transaction = connection
        .begin_with(begin)
        .await
        .map_err(|error| NotMade::before_commit(error.into()))?;
    let outcomes = write(&mut transaction, group)
        .await
        .map_err(NotMade::before_commit)?;
    let committed = transaction.commit().await;
    committed.map_err(|error| NotMade::Any(meaning(error.into())))?;
    Ok(outcomes)
}

async fn write(connection: &mut Connection, group: &[Waiting]) -> Result<Vec<KeyCreated>, Failure> {
    let refusals = refusals(connection, group).await?;
    let allowed = || {
        let decided = group.iter().zip(&refusals);
        decided.filter_map(|(waiting, refusal)| refusal.is_none().then_some(&waiting.creation))
    };
    if allowed().next().is_some() {
        let records: Vec<_> = allowed().map(|creation| &creation.record).collect();
        let entries: Vec<_> = allowed()
            .map(|creation| created(&creation.record, &creation.by))
            .collect();
        insert(connection, &owners(allowed()), &records, &entries).await?;
    }
    let outcome = |refusal: Option<_>| refusal.map_or(KeyCreated::Done, KeyCreated::Refused);
    Ok(refusals.into_iter().map(outcome).collect())
}

/// For each of the group why it may not be made, if so: asked of the keyspaces as they are within this transaction.
async fn refusals(
    connection: &mut Connection,
    group: &[Waiting],
) -> Result<Vec<Option<Refusal>>, Failure> {
    let key = |waiting: &Waiting| waiting.creation.record.key.keyspace.clone();
    let names: BTreeSet<_> = group.iter().map(key).collect();
    let mut held = BTreeMap::new();
    for name in names {
        // Where there is none, the database refuses the key for the reference that leads nowhere.
        if let Some(keyspace) = find_and_hold(connection, &name).await? {
            held.insert(name, keyspace);
        }
    }
    let refusal = |waiting: &Waiting| {
        let CreateKey { record, caller, .. } = &waiting.creation;
        let keyspace = held.get(&record.key.keyspace)?;
        may_create(caller, keyspace, record.key.grants).err()
    };
    Ok(group.iter().map(refusal).collect())
}

/// Whose keys are made, in the order of ids: since when the owner is known where nobody knew them, and how many keys.
fn owners<'a>(
    creations: impl Iterator<Item = &'a CreateKey>,
) -> BTreeMap<&'a str, (Timestamp, i64)> {
    let mut owners = BTreeMap::new();
    for CreateKey { record, by, .. } in creations {
        let (_, keys) = owners
            .entry(record.key.user_id.as_str())
            .or_insert((by.at, 0));
        *keys += 1;
    }
    owners
}

async fn insert(
    connection: &mut Connection,
    owners: &BTreeMap<&str, (Timestamp, i64)>,
    records: &[&KeyRecord],
    entries: &[AuditEntry],
) -> Result<(), Failure> {
    fn times(times: impl Iterator<Item = Option<Timestamp>>) -> Vec<Option<i64>> {
        times.map(|time| time.map(Timestamp::as_micros)).collect()
    }
    /// A column of the rows.
    macro_rules! of {
        ($rows:expr, |$row:ident| $value:expr) => {
            $rows.map(|$row| $value).collect::<Vec<_>>()
        };
    }
    let keys = || records.iter().map(|record| -> &ApiKey { &record.key });
    let log = || entries.iter();
    let by = || entries.iter().map(|entry| &entry.by);
    sqlx::query(CREATE)
        .bind(of!(owners.keys(), |id| *id))
        .bind(of!(owners.values(), |owner| owner.0.as_micros()))
        .bind(of!(owners.values(), |owner| owner.1))
        .bind(of!(keys(), |key| key.id.0))
        .bind(of!(records.iter(), |record| record
            .digest
            .as_bytes()
            .as_slice()))
        .bind(of!(keys(), |key| key.keyspace.as_str()))
        .bind(of!(keys(), |key| key.user_id.as_str()))
        .bind(of!(keys(), |key| key.name.as_str()))
        .bind(of!(keys(), |key| key
            .description
            .as_ref()
            .map(Description::as_str)))
        .bind(of!(keys(), |key| key.prefix.as_str()))
        .bind(of!(keys(), |key| key.postfix.as_str()))
        .bind(of!(keys(), |key| key.lifecycle.status().as_str()))
        .bind(of!(keys(), |key| key.grants.0.cast_signed()))
        .bind(of!(keys(), |key| key.created_at.as_micros()))
        .bind(of!(keys(), |key| key.updated_at.as_micros()))
        .bind(times(keys().map(|key| key.last_used_at)))
        .bind(times(keys().map(|key| key.expires_at)))
        .bind(times(keys().map(|key| key.lifecycle.suspended_at())))
        .bind(times(keys().map(|key| key.lifecycle.revoked_at())))
        .bind(of!(keys(), |key| key.metadata.as_json()))
        .bind(of!(by(), |by| by.entry_id))
        .bind(of!(by(), |by| by.at.as_micros()))
        .bind(of!(by(), |by| by.actor.kind.as_str()))
        .bind(of!(by(), |by| by.actor.id.as_str()))
        .bind(of!(log(), |entry| entry.action.as_str()))
        .bind(of!(log(), |entry| entry.key_id.map(|KeyId(id)| id)))
        .bind(of!(log(), |entry| entry
            .user_id
            .as_ref()
            .map(UserId::as_str)))
        .bind(of!(log(), |entry| entry
            .keyspace
            .as_ref()
            .map(KeyspaceName::as_str)))
        .bind(of!(log(), |entry| entry.before.to_string()))
        .bind(of!(log(), |entry| entry.after.to_string()))
        .bind(of!(by(), |by| by.ip.as_deref()))
        .bind(of!(by(), |by| by.user_agent.as_deref()))
        .bind(of!(by(), |by| by.request_id.as_deref()))
        .execute(connection)
        .await?;
    Ok(())
}
