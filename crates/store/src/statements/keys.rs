//! Keys: what is written of them, finding them, listing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use keywright_core::audit::{Action, Attribution, AuditEntry};
use keywright_core::identifier::KeyspaceName;
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use serde_json::Value;
use sqlx::Row as _;
use uuid::Uuid;

use super::rows::{key_columns, keyspace_columns};
use super::{Connection, Failure, keyspaces, one_more, page, primary_only, query, rows};
use crate::table::{Column, Table};
use crate::{KeyQuery, KeySelector, Page, Position};

statements! {
    FIND_BY_ID = concat!(
        "SELECT ", key_columns!(), ", ", keyspace_columns!(),
        " FROM api_keys k JOIN keyspaces s ON s.name = k.keyspace WHERE k.id = $1"
    );
    // A verification rests on it where there is no lease; from the side of `cluster`, so that a key that is not there
    // says who answered too.
    FIND_BY_HASH = concat!(
        "SELECT ", in_recovery!(), ", ", key_columns!(), ", ", keyspace_columns!(),
        " FROM cluster c LEFT JOIN api_keys k ON k.hash = $1 LEFT JOIN keyspaces s ON s.name = k.keyspace WHERE c.id = 1"
    );
    // Without the keyspace: its catalogue would be sent again with every row.
    LIST = concat!(
        "SELECT ", key_columns!(), " FROM api_keys k \
         WHERE k.user_id = $1 AND (k.created_at, k.id) < ($2, $3) \
         AND (CAST($4 AS TEXT) IS NULL OR k.status = $4) AND (CAST($5 AS TEXT) IS NULL OR k.keyspace = $5) \
         ORDER BY k.created_at DESC, k.id DESC LIMIT $6"
    );
    // Of everybody: ids are in the order of their making.
    LIST_ALL = concat!(
        "SELECT ", key_columns!(), " FROM api_keys k WHERE k.id < $1 AND k.user_id <> '' \
         AND (CAST($2 AS TEXT) IS NULL OR k.status = $2) AND (CAST($3 AS TEXT) IS NULL OR k.keyspace = $3) \
         ORDER BY k.id DESC LIMIT $4"
    );
    ANY_OF_OWNER = "SELECT 1 FROM api_keys WHERE user_id = $1 LIMIT 1";
}

/// What is written of a key that is made.
pub(crate) const TABLE: Table<KeyRecord> = Table {
    name: "api_keys",
    columns: &[
        Column::uuid("id", |made| Some(made.key.id.0)),
        Column::bytes("hash", |made| Some(made.digest.as_bytes())),
        Column::text("keyspace", |made| Some(made.key.keyspace.as_str().into())),
        Column::text("user_id", |made| Some(made.key.user_id.as_str().into())),
        Column::text("name", |made| Some(made.key.name.as_str().into())),
        Column::text("description", |made| {
            Some(made.key.description.as_ref()?.as_str().into())
        }),
        Column::text("prefix", |made| Some(made.key.prefix.as_str().into())),
        Column::text("postfix", |made| Some(made.key.postfix.as_str().into())),
        Column::text("status", |made| {
            Some(made.key.lifecycle.status().as_str().into())
        }),
        Column::integer("grants", |made| Some(made.key.grants.0.cast_signed())),
        Column::integer("created_at", |made| Some(made.key.created_at.as_micros())),
        Column::integer("updated_at", |made| Some(made.key.updated_at.as_micros())),
        Column::integer("last_used_at", |made| {
            made.key.last_used_at.map(Timestamp::as_micros)
        }),
        Column::integer("expires_at", |made| {
            made.key.expires_at.map(Timestamp::as_micros)
        }),
        Column::integer("suspended_at", |made| {
            made.key.lifecycle.suspended_at().map(Timestamp::as_micros)
        }),
        Column::integer("revoked_at", |made| {
            made.key.lifecycle.revoked_at().map(Timestamp::as_micros)
        }),
        Column::text("metadata", |made| Some(made.key.metadata.as_json().into())),
    ],
    conflict: "",
};

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
            let row = query(FIND_BY_HASH)
                .bind(digest.as_bytes().as_slice())
                .fetch_one(connection)
                .await?;
            primary_only(&row)?;
            let hash: Option<&[u8]> = row.try_get("hash")?;
            hash.is_some().then_some(row)
        }
    };
    found
        .map(|row| rows::key(&row, Arc::new(rows::keyspace(&row)?)))
        .transpose()
}

/// One page of somebody's keys, or everybody's, newest first.
pub(super) async fn list(
    connection: &mut Connection,
    asked: &KeyQuery,
) -> Result<Page<KeyRecord>, Failure> {
    // Without a place to go on from, everything is older than the end of time: the index is entered either way.
    let after = asked.after.unwrap_or(Position {
        at: Timestamp::from_micros(i64::MAX),
        id: Uuid::max(),
    });
    let listing = match &asked.user_id {
        Some(user) => query(LIST)
            .bind(user.as_str())
            .bind(after.at.as_micros())
            .bind(after.id),
        None => query(LIST_ALL).bind(after.id),
    };
    let found = listing
        .bind(asked.status.map(Status::as_str))
        .bind(asked.keyspace.as_ref().map(KeyspaceName::as_str))
        .bind(one_more(asked.limit))
        .fetch_all(&mut *connection)
        .await?;
    let mut known: BTreeMap<String, Arc<Keyspace>> = BTreeMap::new();
    let mut keys = Vec::with_capacity(found.len());
    for row in found {
        let name: String = row.try_get("keyspace")?;
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

/// Whether there is a service key, of whatever status.
pub(crate) async fn any_service_key(connection: &mut Connection) -> Result<bool, Failure> {
    let any = query(ANY_OF_OWNER)
        .bind("")
        .fetch_optional(connection)
        .await?;
    Ok(any.is_some())
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
