//! Changing a key: locked, then read, asked and written.

use keywright_core::audit::{Attribution, difference, snapshot_of_key};
use keywright_core::authority::{self, Caller, Edited, KeyEdit, Refusal};
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::{ApiKey, KeyRecord};
use keywright_core::keyspace::Operation;
use keywright_core::text::Description;
use keywright_core::timestamp::Timestamp;
use sqlx::Row as _;

use super::{Change, Connection, Failure, Made, keys, keyspaces, query, users};
use crate::table::Given;
use crate::{KeyEdited, KeySelector, Scope};

statements! {
    LOCK_BY_ID = concat!("SELECT id, keyspace, user_id FROM api_keys WHERE id = $1", for_update!());
    LOCK_BY_HASH = concat!("SELECT id, keyspace, user_id FROM api_keys WHERE hash = $1", for_update!());
    // Another service key that can write keys now, and for at least as long as the one in question could: one that
    // expires sooner would leave nobody in the end. All service keys have the one reserved owner.
    ANOTHER_WRITER = "SELECT 1 FROM api_keys WHERE user_id = $1 AND id <> $2 AND status = 'ACTIVE' \
         AND (expires_at IS NULL OR (expires_at > $3 AND expires_at >= CAST($5 AS BIGINT))) \
         AND (grants & $4) <> 0 LIMIT 1";
    // Whatever went wrong before this line, REVOKED stays REVOKED. Use is noted elsewhere and left alone.
    UPDATE = "UPDATE api_keys SET name = $2, description = $3, status = $4, grants = $5, updated_at = $6, \
         expires_at = $7, suspended_at = $8, revoked_at = $9, metadata = $10 WHERE id = $1 AND status <> 'REVOKED'";
}

/// Changes a key by [`authority::edit`].
pub(crate) struct EditKey {
    pub(crate) which: KeySelector,
    pub(crate) caller: Caller,
    pub(crate) edit: KeyEdit,
    pub(crate) by: Attribution,
}

impl Change for EditKey {
    type Outcome = KeyEdited;
    const SETTLES: bool = true;

    async fn make(&self, connection: &mut Connection) -> Result<Made<KeyEdited>, Failure> {
        let Some((record, another_writer)) = self.find_and_lock(connection).await? else {
            return Ok(Made::unrecorded(KeyEdited::Refused(Refusal::NotFound)));
        };
        let made = self.decide(record, another_writer);
        if let KeyEdited::Done(after) = made.outcome() {
            update(connection, &after.key).await?;
        }
        Ok(made)
    }
}

impl EditKey {
    /// What comes of it for the key as it is under its lock; still to be written.
    pub(crate) fn decide(&self, record: KeyRecord, another_writer: bool) -> Made<KeyEdited> {
        let (key, action) = match authority::edit(
            &self.caller,
            &record,
            &self.edit,
            another_writer,
            self.by.at,
        ) {
            Err(refusal) => return Made::unrecorded(KeyEdited::Refused(refusal)),
            Ok(Edited::Unchanged) => return Made::unrecorded(KeyEdited::Unchanged(record)),
            Ok(Edited::To { key, action }) => (*key, action),
        };
        let after = KeyRecord {
            key,
            ..record.clone()
        };
        let (was, became) = difference(snapshot_of_key(&record), snapshot_of_key(&after));
        let entry = keys::entry(&after, &self.by, action, was, became);
        let invalidated = Scope::Key(after.digest);
        Made::logged(KeyEdited::Done(after), entry, invalidated)
    }

    /// The key as it is under the lock, and whether another service key can write keys.
    async fn find_and_lock(
        &self,
        connection: &mut Connection,
    ) -> Result<Option<(KeyRecord, bool)>, Failure> {
        let locking = match &self.which {
            KeySelector::Id(id) => query(LOCK_BY_ID).bind(id.0),
            KeySelector::Digest(digest) => query(LOCK_BY_HASH).bind(digest.as_bytes().as_slice()),
        };
        let Some(locked) = locking.fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        let id = KeyId(locked.try_get("id")?);
        if let Caller::User(_) = self.caller {
            // What a user may change hangs on the keyspace, which stays as it is until this is done. Whoever changes a
            // keyspace waits for no key, so that this may come after the key.
            let keyspace = KeyspaceName::new(locked.try_get::<String, _>("keyspace")?)
                .map_err(Failure::damaged("api_keys.keyspace"))?;
            keyspaces::find_and_hold(connection, &keyspace).await?;
        }
        if locked.try_get::<&str, _>("user_id")? == UserId::reserved().as_str() {
            // Two that end the last two writers would otherwise each see the other one still there. Nobody who holds
            // this owner waits for a key that is there: it cannot be deleted.
            users::lock(connection, &UserId::reserved()).await?;
        }
        // Read under all these locks: what it was before may have changed since.
        let Some(record) = keys::find(connection, KeySelector::Id(id)).await? else {
            return Ok(None);
        };
        let another_writer = record.keyspace.is_service()
            && another_writer(connection, &record.key, self.by.at).await?;
        Ok(Some((record, another_writer)))
    }
}

async fn another_writer(
    connection: &mut Connection,
    than: &ApiKey,
    now: Timestamp,
) -> Result<bool, Failure> {
    let found = query(ANOTHER_WRITER)
        .bind("")
        .bind(than.id.0)
        .bind(now.as_micros())
        .bind(Operation::KeysWrite.grant().0.cast_signed())
        .bind(than.expires_at.map(Timestamp::as_micros))
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

async fn update(connection: &mut Connection, key: &ApiKey) -> Result<(), Failure> {
    let mut updating = query(UPDATE);
    for given in updated(key) {
        updating = match given {
            Given::Uuid(id) => updating.bind(id),
            Given::Text(text) => updating.bind(text),
            Given::Integer(number) => updating.bind(number),
        };
    }
    let updated = updating.execute(connection).await?;
    // Under its lock the key can neither go nor be revoked.
    if updated.rows_affected() == 1 {
        Ok(())
    } else {
        Err(locked_row_went())
    }
}

/// What [`UPDATE`] is given.
pub(crate) fn updated(key: &ApiKey) -> [Given<'_>; 10] {
    [
        Given::Uuid(key.id.0),
        Given::Text(Some(key.name.as_str())),
        Given::Text(key.description.as_ref().map(Description::as_str)),
        Given::Text(Some(key.lifecycle.status().as_str())),
        Given::Integer(Some(key.grants.0.cast_signed())),
        Given::Integer(Some(key.updated_at.as_micros())),
        Given::Integer(key.expires_at.map(Timestamp::as_micros)),
        Given::Integer(key.lifecycle.suspended_at().map(Timestamp::as_micros)),
        Given::Integer(key.lifecycle.revoked_at().map(Timestamp::as_micros)),
        Given::Text(Some(key.metadata.as_json())),
    ]
}

pub(crate) fn locked_row_went() -> Failure {
    Failure::Damaged("api_keys: a locked row went".to_owned())
}
