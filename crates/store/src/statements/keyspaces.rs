//! Keyspaces: few, read whole, and changed one at a time.

use keywright_core::audit::{Action, Attribution, AuditEntry, difference, snapshot_of_keyspace};
use keywright_core::identifier::{KeyPrefix, KeyspaceName};
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::{self, Keyspace, KeyspaceEdit};
use keywright_core::text::Description;
use serde_json::Value;
use sqlx::Row as _;

use super::rows::keyspace_columns;
use super::{Change, Connection, Failure, Made, query, rows};
use crate::{KeyspaceCreated, KeyspaceEdited, MAX_KEYSPACES, Scope, catalogue_text};

statements! {
    LIST = concat!("SELECT ", keyspace_columns!(), " FROM keyspaces s ORDER BY s.name");
    FIND = concat!("SELECT ", keyspace_columns!(), " FROM keyspaces s WHERE s.name = $1");
    FIND_HELD = concat!("SELECT ", keyspace_columns!(), " FROM keyspaces s WHERE s.name = $1", for_share!());
    FIND_WITH_TAG_KEYS = concat!("SELECT ", keyspace_columns!(), ", s.tag_keys FROM keyspaces s WHERE s.name = $1");
    NAMES_AND_PREFIXES = "SELECT name, prefix FROM keyspaces ORDER BY name";
    LOCK = concat!("SELECT name FROM keyspaces WHERE name = $1", for_update!());
    // ON CONFLICT is for the built-in ones, which several nodes may make at once.
    INSERT = "INSERT INTO keyspaces (name, prefix, description, self_service, permissions, tag_keys, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    UPDATE = "UPDATE keyspaces SET description = $2, self_service = $3, permissions = $4 WHERE name = $1";
}

/// All of them, by name.
pub(super) async fn list(connection: &mut Connection) -> Result<Vec<Keyspace>, Failure> {
    let mut found = query(LIST)
        .fetch_all(connection)
        .await?
        .iter()
        .map(rows::keyspace)
        .collect::<Result<Vec<_>, _>>()?;
    // Databases differ in how they collate.
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The one of this name.
pub(super) async fn find(
    connection: &mut Connection,
    name: &str,
) -> Result<Option<Keyspace>, Failure> {
    query(FIND)
        .bind(name)
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(rows::keyspace)
        .transpose()
}

/// The one of this name, which nobody changes before the end of the transaction.
pub(crate) async fn find_and_hold(
    connection: &mut Connection,
    name: &KeyspaceName,
) -> Result<Option<Keyspace>, Failure> {
    query(FIND_HELD)
        .bind(name.as_str())
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(rows::keyspace)
        .transpose()
}

/// The one of this name, with the tag keys its keys are minted with.
pub(super) async fn find_with_tag_keys(
    connection: &mut Connection,
    name: &KeyspaceName,
) -> Result<Option<(Keyspace, TagKeys)>, Failure> {
    let found = query(FIND_WITH_TAG_KEYS)
        .bind(name.as_str())
        .fetch_optional(connection)
        .await?;
    found
        .map(|row| Ok((rows::keyspace(&row)?, rows::tag_keys(&row)?)))
        .transpose()
}

/// Makes it; `false` where its name or its prefix is taken.
pub(super) async fn insert(
    connection: &mut Connection,
    keyspace: &Keyspace,
    tag_keys: &TagKeys,
) -> Result<bool, Failure> {
    let inserted = query(INSERT)
        .bind(keyspace.name.as_str())
        .bind(keyspace.prefix.as_str())
        .bind(keyspace.description.as_ref().map(Description::as_str))
        .bind(keyspace.self_service)
        .bind(catalogue_text::write(&keyspace.catalogue))
        .bind(tag_keys.to_bytes().as_slice())
        .bind(keyspace.created_at.as_micros())
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Whoever makes or changes a keyspace holds the row of the built-in one, so that two cannot pass the checks one by
/// one and break them together.
async fn lock_all(connection: &mut Connection) -> Result<(), Failure> {
    query(LOCK)
        .bind(keyspace::SERVICE)
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Makes a keyspace.
pub(super) struct CreateKeyspace {
    pub(super) keyspace: Keyspace,
    pub(super) tag_keys: TagKeys,
    pub(super) by: Attribution,
}

impl Change for CreateKeyspace {
    type Outcome = KeyspaceCreated;
    const SETTLES: bool = true;

    async fn make(&self, connection: &mut Connection) -> Result<Made<KeyspaceCreated>, Failure> {
        lock_all(connection).await?;
        let known = names_and_prefixes(connection).await?;
        if let Some(obstacle) = obstacle(&self.keyspace, &known) {
            return Ok(Made::unrecorded(obstacle));
        }
        if !insert(connection, &self.keyspace, &self.tag_keys).await? {
            return Err(Failure::Damaged(
                "keyspaces: one appeared under the lock".to_owned(),
            ));
        }
        let after = snapshot_of_keyspace(&self.keyspace);
        let entry = entry(
            &self.keyspace,
            &self.by,
            Action::KeyspaceCreated,
            Value::Null,
            after,
        );
        // A text of its prefix was refused until now.
        let invalidated = Scope::Keyspace(self.keyspace.name.clone());
        Ok(Made::logged(KeyspaceCreated::Done, entry, invalidated))
    }
}

async fn names_and_prefixes(
    connection: &mut Connection,
) -> Result<Vec<(KeyspaceName, KeyPrefix)>, Failure> {
    let read = |row: &super::Row| {
        let name = KeyspaceName::new(row.try_get::<String, _>("name")?)
            .map_err(Failure::damaged("keyspaces.name"))?;
        let prefix = KeyPrefix::new(row.try_get::<String, _>("prefix")?)
            .map_err(Failure::damaged("keyspaces.prefix"))?;
        Ok((name, prefix))
    };
    query(NAMES_AND_PREFIXES)
        .fetch_all(connection)
        .await?
        .iter()
        .map(read)
        .collect()
}

fn obstacle(keyspace: &Keyspace, known: &[(KeyspaceName, KeyPrefix)]) -> Option<KeyspaceCreated> {
    if known.iter().any(|(name, _)| *name == keyspace.name) {
        return Some(KeyspaceCreated::NameTaken);
    }
    if let Some((name, _)) = known
        .iter()
        .find(|(_, prefix)| prefix.overlaps(&keyspace.prefix))
    {
        return Some(KeyspaceCreated::PrefixOverlaps(name.clone()));
    }
    (known.len() >= MAX_KEYSPACES).then_some(KeyspaceCreated::TooMany)
}

/// Changes a keyspace by [`Keyspace::edited`].
pub(super) struct EditKeyspace {
    pub(super) name: KeyspaceName,
    pub(super) edit: KeyspaceEdit,
    pub(super) by: Attribution,
}

impl Change for EditKeyspace {
    type Outcome = KeyspaceEdited;
    const SETTLES: bool = true;

    async fn make(&self, connection: &mut Connection) -> Result<Made<KeyspaceEdited>, Failure> {
        lock_all(connection).await?;
        let Some(before) = find(connection, self.name.as_str()).await? else {
            return Ok(Made::unrecorded(KeyspaceEdited::Missing));
        };
        let after = match before.edited(&self.edit) {
            Ok(after) => after,
            Err(refusal) => return Ok(Made::unrecorded(KeyspaceEdited::Refused(refusal))),
        };
        if after == before {
            return Ok(Made::unrecorded(KeyspaceEdited::Done(after)));
        }
        query(UPDATE)
            .bind(after.name.as_str())
            .bind(after.description.as_ref().map(Description::as_str))
            .bind(after.self_service)
            .bind(catalogue_text::write(&after.catalogue))
            .execute(connection)
            .await?;
        let (was, became) = difference(snapshot_of_keyspace(&before), snapshot_of_keyspace(&after));
        let entry = entry(&after, &self.by, Action::KeyspaceUpdated, was, became);
        let invalidated = Scope::Keyspace(after.name.clone());
        Ok(Made::logged(
            KeyspaceEdited::Done(after),
            entry,
            invalidated,
        ))
    }
}

fn entry(
    keyspace: &Keyspace,
    by: &Attribution,
    action: Action,
    before: Value,
    after: Value,
) -> AuditEntry {
    let keyspace = Some(keyspace.name.clone());
    AuditEntry {
        by: by.clone(),
        action,
        key_id: None,
        user_id: None,
        keyspace,
        before,
        after,
    }
}
