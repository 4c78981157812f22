//! Keys: making them, finding them, listing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use keywright_core::audit::{Action, Attribution, AuditEntry, snapshot_of_key};
use keywright_core::authority::{Caller, may_create};
use keywright_core::identifier::{KeyspaceName, UserId};
use keywright_core::key::{ApiKey, KeyRecord};
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::Status;
use keywright_core::text::Description;
use keywright_core::timestamp::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::rows::{key_columns, keyspace_columns};
use super::{Change, Connection, Failure, Made, keyspaces, one_more, page, query, rows, users};
use crate::{KeyCreated, KeyQuery, KeySelector, Page, Position};

statements! {
    FIND_BY_ID = concat!(
        "SELECT ", key_columns!(), ", ", keyspace_columns!(),
        " FROM api_keys k JOIN keyspaces s ON s.name = k.keyspace WHERE k.id = $1"
    );
    FIND_BY_HASH = concat!(
        "SELECT ", key_columns!(), ", ", keyspace_columns!(),
        " FROM api_keys k JOIN keyspaces s ON s.name = k.keyspace WHERE k.hash = $1"
    );
    // Without the keyspace: its catalogue would be sent again with every row.
    LIST = concat!(
        "SELECT ", key_columns!(), " FROM api_keys k \
         WHERE k.user_id = $1 AND (k.created_at, k.id) < ($2, $3) \
         AND (CAST($4 AS TEXT) IS NULL OR k.status = $4) AND (CAST($5 AS TEXT) IS NULL OR k.keyspace = $5) \
         ORDER BY k.created_at DESC, k.id DESC LIMIT $6"
    );
    INSERT = "INSERT INTO api_keys (id, hash, keyspace, user_id, name, description, prefix, postfix, status, grants, \
         created_at, updated_at, last_used_at, expires_at, suspended_at, revoked_at, metadata) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    ANY_OF_OWNER = "SELECT 1 FROM api_keys WHERE user_id = $1 LIMIT 1";
}

/// The key that is meant, with its keyspace: one query.
pub(super) async fn find(
    connection: &mut Connection,
    which: KeySelector,
) -> Result<Option<KeyRecord>, Failure> {
    let found = match &which {
        KeySelector::Id(id) => {
            query(FIND_BY_ID)
                .bind(id.0)
                .fetch_optional(connection)
                .await?
        }
        KeySelector::Digest(digest) => {
            query(FIND_BY_HASH)
                .bind(digest.as_bytes().as_slice())
                .fetch_optional(connection)
                .await?
        }
    };
    found
        .map(|row| rows::key(&row, Arc::new(rows::keyspace(&row)?)))
        .transpose()
}

/// One page of a user's keys, newest first.
pub(super) async fn list(
    connection: &mut Connection,
    asked: &KeyQuery,
) -> Result<Page<KeyRecord>, Failure> {
    // Without a place to go on from, everything is older than the end of time: the index is entered either way.
    let after = asked.after.unwrap_or(Position {
        at: Timestamp::from_micros(i64::MAX),
        id: Uuid::max(),
    });
    let found = query(LIST)
        .bind(asked.user_id.as_str())
        .bind(after.at.as_micros())
        .bind(after.id)
        .bind(asked.status.map(Status::as_str))
        .bind(asked.keyspace.as_ref().map(KeyspaceName::as_str))
        .bind(one_more(asked.limit))
        .fetch_all(&mut *connection)
        .await?;
    let mut known: BTreeMap<String, Arc<Keyspace>> = BTreeMap::new();
    let mut keys = Vec::with_capacity(found.len());
    for row in found {
        let name: String = sqlx::Row::try_get(&row, "keyspace")?;
        let keyspace = if let Some(keyspace) = known.get(&name) {
            keyspace.clone()
        } else {
            // Read after the keys, so that it knows every permission they hold: a catalogue only grows.
            let found = keyspaces::find(connection, &name).await?;
            let found = found
                .ok_or_else(|| Failure::Damaged("api_keys.keyspace: there is none".to_owned()))?;
            known.entry(name).or_insert(Arc::new(found)).clone()
        };
        keys.push(rows::key(&row, keyspace)?);
    }
    Ok(page(keys, asked.limit))
}

/// Makes a key and, where nobody knows them yet, its owner.
pub(crate) struct CreateKey {
    pub(crate) record: KeyRecord,
    pub(crate) caller: Caller,
    pub(crate) by: Attribution,
}

impl Change for CreateKey {
    type Outcome = KeyCreated;

    async fn make(&self, connection: &mut Connection) -> Result<Made<KeyCreated>, Failure> {
        let ApiKey {
            keyspace, grants, ..
        } = &self.record.key;
        // Where there is none, the database refuses the key for the reference that leads nowhere.
        if let Some(keyspace) = keyspaces::find_and_hold(connection, keyspace).await?
            && let Err(refusal) = may_create(&self.caller, &keyspace, *grants)
        {
            return Ok(Made::unrecorded(KeyCreated::Refused(refusal)));
        }
        insert(connection, &self.record, self.by.at).await?;
        let entry = created(&self.record, &self.by);
        Ok(Made::audited(KeyCreated::Done, entry))
    }
}

/// Makes a service key if there is none of any status.
pub(super) struct CreateFirstServiceKey {
    pub(super) record: KeyRecord,
    pub(super) by: Attribution,
}

impl Change for CreateFirstServiceKey {
    type Outcome = bool;

    async fn make(&self, connection: &mut Connection) -> Result<Made<bool>, Failure> {
        // Of several nodes that start at once, the others wait here and then see the key.
        users::lock(connection, &UserId::reserved()).await?;
        if any_service_key(connection).await? {
            return Ok(Made::unrecorded(false));
        }
        insert(connection, &self.record, self.by.at).await?;
        Ok(Made::audited(true, created(&self.record, &self.by)))
    }
}

/// Whether there is a service key, of whatever status.
pub(crate) async fn any_service_key(connection: &mut Connection) -> Result<bool, Failure> {
    let any = query(ANY_OF_OWNER)
        .bind("")
        .fetch_optional(connection)
        .await?;
    Ok(any.is_some())
}

async fn insert(
    connection: &mut Connection,
    record: &KeyRecord,
    now: Timestamp,
) -> Result<(), Failure> {
    let key = &record.key;
    users::count_one_more_key(connection, &key.user_id, now).await?;
    query(INSERT)
        .bind(key.id.0)
        .bind(record.digest.as_bytes().as_slice())
        .bind(key.keyspace.as_str())
        .bind(key.user_id.as_str())
        .bind(key.name.as_str())
        .bind(key.description.as_ref().map(Description::as_str))
        .bind(key.prefix.as_str())
        .bind(key.postfix.as_str())
        .bind(key.lifecycle.status().as_str())
        .bind(key.grants.0.cast_signed())
        .bind(key.created_at.as_micros())
        .bind(key.updated_at.as_micros())
        .bind(key.last_used_at.map(Timestamp::as_micros))
        .bind(key.expires_at.map(Timestamp::as_micros))
        .bind(key.lifecycle.suspended_at().map(Timestamp::as_micros))
        .bind(key.lifecycle.revoked_at().map(Timestamp::as_micros))
        .bind(key.metadata.as_json())
        .execute(connection)
        .await?;
    Ok(())
}

/// The audit entry of a key that is made.
pub(crate) fn created(record: &KeyRecord, by: &Attribution) -> AuditEntry {
    entry(
        record,
        by,
        Action::KeyCreated,
        Value::Null,
        snapshot_of_key(record),
    )
}

/// An audit entry about a key.
pub(super) fn entry(
    record: &KeyRecord,
    by: &Attribution,
    action: Action,
    before: Value,
    after: Value,
) -> AuditEntry {
    AuditEntry {
        by: by.clone(),
        action,
        key_id: Some(record.key.id),
        user_id: Some(record.key.user_id.clone()),
        keyspace: Some(record.key.keyspace.clone()),
        before,
        after,
    }
}
