//! Edits of keys, in two messages: one begins the transaction, locks and reads, the other writes, records and commits.
//! Those that wait together are one transaction: the row of `cluster`, which every change holds until the disk has it, is
//! held once for all of them.
//!
//! An edit that comes alone waits for nobody. They share no fate beyond the commit: where the database refuses them
//! together, nothing is written, and each is made by itself, statement by statement, as any other change. So are edits of
//! service keys, for which more must be locked and asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use keywright_core::authority::{Caller, Refusal};
use keywright_core::key::KeyRecord;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::classification::is_unprepared;
use super::group::{NotMade, Queue, Waiting, answer_all, answer_of};
use super::statements::change::{numbered, records};
use super::statements::edit_key::updated;
use super::statements::{Carried, EditKey, Made, rows};
use super::{Connection, Primary, literal, meaning, prepared, record_after, standings};
use crate::cluster::Standing;
use crate::failure::{Failure, timed_out};
use crate::{KeyEdited, KeySelector, StoreError};

/// How many edits are one transaction at most: the locks of all their keys are held until its end.
const GROUP: usize = 32;

/// As for any other change, but a lock that somebody else holds keeps the whole group waiting for a moment only. What is
/// read comes as text, in which the driver knows bytes by this form only.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '100ms'; \
     SET LOCAL bytea_output = 'hex'";

/// An edit, and what is to tell its row in the log from another of its number.
pub(super) struct Edit {
    pub(super) edit: EditKey,
    pub(super) nonce: [u8; 16],
}

/// What became of one, and what nobody is told of it before.
pub(super) type Edited = (KeyEdited, Option<Standing>);

/// The edits that wait.
pub(super) type Edits = Queue<Edit, Edited>;

impl Primary {
    /// Edits a key, together with others that wait.
    pub(super) async fn edit(self: Arc<Self>, edit: Edit) -> Result<Edited, StoreError> {
        let (number, answered) = self.edits.push(edit);
        // A task of its own: a caller that goes away cancels nothing.
        tokio::spawn(self.edit_those_that_wait(number));
        answer_of(answered).await
    }

    /// Each edit brings such a task, after which the one of its `number` does not wait any more: so none is left that
    /// no task would come back for.
    async fn edit_those_that_wait(self: Arc<Self>, number: u64) {
        match self.edits.shares(&self).await {
            Ok(_shares) => {
                let group = self.edits.take_group(number, GROUP);
                for alone in self.edit_together(group).await {
                    tokio::spawn(self.clone().edit_alone(alone));
                }
            }
            Err(refused) => {
                if let Some(waiting) = self.edits.take(number) {
                    waiting.answer(Err(refused));
                }
            }
        }
    }

    async fn edit_alone(self: Arc<Self>, alone: Waiting<Edit, Edited>) {
        let Edit { edit, nonce } = &alone.asked;
        let made = self.write(edit, nonce).await;
        alone.answer(made.map(|made| self.tell(made)));
    }

    /// Makes a group as one transaction and answers it; gives it back where it cannot be made together.
    async fn edit_together(
        &self,
        mut group: Vec<Waiting<Edit, Edited>>,
    ) -> Vec<Waiting<Edit, Edited>> {
        if group.is_empty() {
            return group;
        }
        // Two groups that hold the same keys must not wait for each other.
        group.sort_by_key(|waiting| match waiting.asked.edit.which {
            KeySelector::Id(id) => (0, id.0.as_bytes().to_vec()),
            KeySelector::Digest(digest) => (1, digest.as_bytes().to_vec()),
        });
        match self.try_editing(&group).await {
            Ok(made) => {
                // Memory is told of all of them before anybody is answered.
                let told: Vec<_> = made.into_iter().map(|made| self.tell(made)).collect();
                for (waiting, edited) in group.into_iter().zip(told) {
                    waiting.answer(Ok(edited));
                }
                Vec::new()
            }
            Err(NotMade::Together) => group,
            Err(NotMade::Any(error)) => {
                answer_all(group, &error);
                Vec::new()
            }
        }
    }

    async fn try_editing(
        &self,
        group: &[Waiting<Edit, Edited>],
    ) -> Result<Vec<(Carried<KeyEdited>, Option<Standing>)>, NotMade> {
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(|error| NotMade::Any(meaning(error.into())))?;
        let edits: Vec<_> = group
            .iter()
            .map(|waiting| (&waiting.asked.edit, &waiting.asked.nonce))
            .collect();
        let making = transaction(&mut connection, &edits, self.tells);
        let made = tokio::time::timeout(self.patience, making)
            .await
            .map_err(|_| NotMade::Any(timed_out()))
            .and_then(|made| made);
        if let Err(NotMade::Any(_)) = made {
            // It may be in the middle of something; unless its commit was sent already, the server rolls back.
            connection.close_on_drop();
        }
        made
    }
}

/// Makes all of a group.
async fn transaction(
    connection: &mut Connection,
    edits: &[(&EditKey, &[u8; 16])],
    tells: bool,
) -> Result<Vec<(Carried<KeyEdited>, Option<Standing>)>, NotMade> {
    let made = async {
        let mut found = lock_and_read(connection, edits).await;
        if found.as_ref().is_err_and(is_unprepared) {
            sqlx::raw_sql("ROLLBACK")
                .execute(&mut *connection)
                .await
                .map_err(|error| NotMade::of(error.into()))?;
            prepared::prepare_all(connection, tells)
                .await
                .map_err(NotMade::of)?;
            found = lock_and_read(connection, edits).await;
        }
        let found = found.map_err(NotMade::of)?;
        if found.iter().any(|record| record.keyspace.is_service()) {
            return Err(NotMade::Together);
        }
        let made = decide(edits, found);
        let written = write(connection, edits, made).await;
        written.map_err(NotMade::of_the_log)
    };
    let made = made.await;
    if made.is_err() {
        // It fails only where the connection broke, which the pool finds out before it takes it back.
        let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
    }
    made
}

/// Begins; locks each key, and holds its keyspace where what may be changed hangs on it; then reads it, so that nothing
/// has changed since. (Of the same order as [`EditKey`] by itself.)
async fn lock_and_read(
    connection: &mut Connection,
    edits: &[(&EditKey, &[u8; 16])],
) -> Result<Vec<KeyRecord>, Failure> {
    let mut text = BEGIN.to_owned();
    for (edit, _) in edits {
        let (lock, hold, read, literal) = match &edit.which {
            KeySelector::Id(id) => (
                &prepared::LOCK_BY_ID,
                &prepared::HOLD_BY_ID,
                &prepared::READ_BY_ID,
                format!("'{}'", id.0),
            ),
            KeySelector::Digest(digest) => (
                &prepared::LOCK_BY_HASH,
                &prepared::HOLD_BY_HASH,
                &prepared::READ_BY_HASH,
                literal::bytes(digest.as_bytes()),
            ),
        };
        let hold = match edit.caller {
            Caller::User(_) => Some(hold),
            _ => None,
        };
        for statement in [Some(lock), hold, Some(read)].into_iter().flatten() {
            text += "; ";
            text += &statement.with(std::slice::from_ref(&literal));
        }
    }
    let rows = sqlx::raw_sql(AssertSqlSafe(text))
        .fetch_all(connection)
        .await?;
    let mut locked = BTreeSet::new();
    let mut found = Vec::with_capacity(edits.len());
    for row in &rows {
        match row.try_get::<Option<Vec<u8>>, _>("hash") {
            Ok(Some(_)) => found.push(rows::key(row, Arc::new(rows::keyspace(row)?))?),
            // It found nothing, and tells that.
            Ok(None) => {}
            Err(sqlx::Error::ColumnNotFound(_)) => {
                if let Ok(id) = row.try_get::<Uuid, _>("id") {
                    locked.insert(id);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    // One that came between is changed by nobody who has not locked it.
    found.retain(|record| locked.contains(&record.key.id.0));
    Ok(found)
}

/// What comes of each, one after the other: of two edits of one key, the second finds what the first made of it.
fn decide(edits: &[(&EditKey, &[u8; 16])], mut found: Vec<KeyRecord>) -> Vec<Made<KeyEdited>> {
    let mut made = Vec::with_capacity(edits.len());
    for (edit, _) in edits {
        // The last that was read of it, under all locks that edits of this group take.
        let known = found.iter_mut().rfind(|record| match &edit.which {
            KeySelector::Id(id) => record.key.id == *id,
            KeySelector::Digest(digest) => record.digest == *digest,
        });
        let Some(record) = known else {
            made.push(Made::unrecorded(KeyEdited::Refused(Refusal::NotFound)));
            continue;
        };
        // Of a service key alone it is asked whether there is another.
        let decided = edit.decide(record.clone(), true);
        if let KeyEdited::Done(after) = decided.outcome() {
            *record = after.clone();
        }
        made.push(decided);
    }
    made
}

async fn write(
    connection: &mut Connection,
    edits: &[(&EditKey, &[u8; 16])],
    made: Vec<Made<KeyEdited>>,
) -> Result<Vec<(Carried<KeyEdited>, Option<Standing>)>, Failure> {
    let updates: Vec<_> = made
        .iter()
        .filter_map(|made| match made.outcome() {
            KeyEdited::Done(after) => {
                let literals = updated(&after.key).map(|given| literal::given(&given));
                Some(prepared::UPDATE.with(&literals))
            }
            _ => None,
        })
        .collect();
    let records = records(&made, edits.iter().map(|(_, nonce)| *nonce));
    let recorded = if records.is_empty() {
        None
    } else {
        Some(record_after(connection, &updates, &records).await?)
    };
    standings::<EditKey>(connection, numbered(made, recorded)).await
}
