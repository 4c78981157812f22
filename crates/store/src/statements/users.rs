//! Users, and the reserved owner of service keys, who is not one.

use keywright_core::audit::{Action, Attribution, AuditEntry};
use keywright_core::identifier::UserId;
use keywright_core::timestamp::Timestamp;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{Change, Connection, Failure, Made, Row, one_more, page, query, rows, usage};
use crate::table::{Column, Table};
use crate::text_range::after_all_that_begin_with;
use crate::{Page, Scope, User, UserPosition, UserQuery};

statements! {
    FIND = "SELECT id, created_at, api_keys FROM users WHERE id = $1 AND id <> ''";
    IS_KNOWN = "SELECT 1 FROM users WHERE id = $1";
    LIST = "SELECT id, created_at, api_keys FROM users WHERE id <> '' AND (created_at, id) < ($1, $2) \
         ORDER BY created_at DESC, id DESC LIMIT $3";
    // One lower bound, since SQLite would search by any one of two; what stands at it is left out where it was seen.
    LIST_BY_ID = "SELECT id, created_at, api_keys FROM users WHERE id >= $1 AND id < $2 AND id <> $3 \
         ORDER BY id LIMIT $4";
    INSERT = "INSERT INTO users (id, created_at, api_keys) VALUES ($1, $2, 0) ON CONFLICT (id) DO NOTHING";
    LOCK = concat!("SELECT id FROM users WHERE id = $1", for_update!());
    // Keys go with their user (ON DELETE CASCADE). The owner of service keys stays.
    DELETE = "DELETE FROM users WHERE id = $1 AND id <> '' RETURNING id, created_at, api_keys";
}

/// Somebody for whom keys are about to be made.
pub(crate) struct Owner {
    pub(crate) id: UserId,
    /// Since when, where nobody knew them.
    pub(crate) known_since: Timestamp,
    /// How many keys they have beyond those that are counted already.
    pub(crate) more_keys: i64,
}

/// Counts keys that are about to be made, and makes the owners where there are none. Holds their rows.
pub(crate) const OWNERS: Table<Owner> = Table {
    name: "users",
    columns: &[
        Column::text("id", |owner| Some(owner.id.as_str().into())),
        Column::integer("created_at", |owner| Some(owner.known_since.as_micros())),
        Column::integer("api_keys", |owner| Some(owner.more_keys)),
    ],
    conflict: " ON CONFLICT (id) DO UPDATE SET api_keys = users.api_keys + excluded.api_keys",
};

fn user(row: &Row) -> Result<User, Failure> {
    Ok(User {
        id: rows::user_id(row.try_get("id")?)?,
        created_at: rows::time(row, "created_at")?,
        api_keys: u64::try_from(row.try_get::<i64, _>("api_keys")?)
            .map_err(Failure::damaged("users.api_keys"))?,
    })
}

/// The user with this id; the reserved owner is not one.
pub(super) async fn find(
    connection: &mut Connection,
    id: &UserId,
) -> Result<Option<User>, Failure> {
    query(FIND)
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(user)
        .transpose()
}

/// Whether there is anybody of this id.
pub(super) async fn is_known(connection: &mut Connection, id: &UserId) -> Result<bool, Failure> {
    Ok(query(IS_KNOWN)
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?
        .is_some())
}

/// One page of users, newest first, or by the start of their ids.
pub(super) async fn list(
    connection: &mut Connection,
    asked: &UserQuery,
) -> Result<Page<User>, Failure> {
    if let Some(start) = &asked.id_start {
        return list_by_id(connection, start, asked).await;
    }
    // Without a place to go on from, everything is older than the end of time.
    let (at, id) = match &asked.after {
        Some(UserPosition { at, id }) => (at.as_micros(), id.as_str()),
        None => (i64::MAX, ""),
    };
    let found = query(LIST)
        .bind(at)
        .bind(id)
        .bind(one_more(asked.limit))
        .fetch_all(connection)
        .await?;
    Ok(page(
        found.iter().map(user).collect::<Result<_, _>>()?,
        asked.limit,
    ))
}

async fn list_by_id(
    connection: &mut Connection,
    start: &str,
    asked: &UserQuery,
) -> Result<Page<User>, Failure> {
    if start.contains('\0') {
        // No id has it, and PostgreSQL takes no text with it.
        return Ok(page(Vec::new(), asked.limit));
    }
    // Where nothing comes after: longer than any id, of the greatest character.
    let end = after_all_that_begin_with(start)
        .unwrap_or_else(|| char::MAX.to_string().repeat(UserId::MAX_CHARS + 1));
    // The reserved owner, whose id is empty, is left out as what was seen last.
    let seen = asked.after.as_ref().map_or("", |after| after.id.as_str());
    let found = query(LIST_BY_ID)
        .bind(start.max(seen))
        .bind(end)
        .bind(seen)
        .bind(one_more(asked.limit))
        .fetch_all(connection)
        .await?;
    Ok(page(
        found.iter().map(user).collect::<Result<_, _>>()?,
        asked.limit,
    ))
}

/// Holds the user's row to the end of the transaction.
pub(super) async fn lock(connection: &mut Connection, id: &UserId) -> Result<(), Failure> {
    query(LOCK)
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Makes the user where there is none.
pub(super) async fn insert(
    connection: &mut Connection,
    id: &UserId,
    now: Timestamp,
) -> Result<(), Failure> {
    query(INSERT)
        .bind(id.as_str())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    Ok(())
}

/// Sees to it that the user exists. Nobody looks up when somebody was first seen, so it is not recorded.
pub(super) struct EnsureUser {
    pub(super) id: UserId,
    pub(super) now: Timestamp,
}

impl Change for EnsureUser {
    type Outcome = ();

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        insert(connection, &self.id, self.now).await?;
        Ok(Made::unrecorded(()))
    }
}

/// Deletes a user with all keys.
pub(super) struct DeleteUser {
    pub(super) id: UserId,
    pub(super) by: Attribution,
}

impl Change for DeleteUser {
    type Outcome = bool;
    const SETTLES: bool = true;

    async fn make(&self, connection: &mut Connection) -> Result<Made<bool>, Failure> {
        if self.id.is_reserved() {
            return Ok(Made::unrecorded(false));
        }
        usage::close_gate(connection).await?;
        // Nobody makes a key of theirs from here on.
        lock(connection, &self.id).await?;
        usage::keys_depart(connection, &self.id).await?;
        usage::forget_user(connection, &self.id).await?;
        let deleted = query(DELETE)
            .bind(self.id.as_str())
            .fetch_optional(connection)
            .await?;
        let Some(User {
            id,
            created_at,
            api_keys,
        }) = deleted.as_ref().map(user).transpose()?
        else {
            return Ok(Made::unrecorded(false));
        };
        let entry = AuditEntry {
            by: self.by.clone(),
            action: Action::UserDeleted,
            key_id: None,
            user_id: Some(id.clone()),
            keyspace: None,
            before: json!({"api_keys": api_keys, "created_at": created_at.to_string()}),
            after: Value::Null,
        };
        Ok(Made::logged(true, entry, Scope::User(id)))
    }
}
