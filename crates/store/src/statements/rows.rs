//! Rows as domain types. A value that its type refuses is damage, told by its column and never by its content.

use std::sync::Arc;

use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, KeyPrefix, KeyspaceName, UserId};
use keywright_core::key::{ApiKey, KeyRecord, Metadata};
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::{Lifecycle, Status};
use keywright_core::permission::Grants;
use keywright_core::text::{Description, KeyName};
use keywright_core::timestamp::Timestamp;
use sqlx::Row as _;

use super::{Failure, Row};
use crate::catalogue_text;

/// The columns that [`key`] reads, of `api_keys k`.
macro_rules! key_columns {
    () => {
        "k.id, k.hash, k.keyspace, k.user_id, k.name, k.description, k.prefix, k.postfix, k.status, k.grants, \
         k.created_at, k.updated_at, k.last_used_at, k.expires_at, k.suspended_at, k.revoked_at, k.metadata"
    };
}
pub(super) use key_columns;

/// The columns that [`keyspace`] reads, of `keyspaces s`.
macro_rules! keyspace_columns {
    () => {
        "s.name AS keyspace_name, s.prefix AS keyspace_prefix, s.description AS keyspace_description, \
         s.self_service AS keyspace_self_service, s.permissions AS keyspace_permissions, \
         s.created_at AS keyspace_created_at"
    };
}
pub(super) use keyspace_columns;

/// The time in a column.
pub(super) fn time(row: &Row, column: &'static str) -> Result<Timestamp, Failure> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

fn optional_time(row: &Row, column: &'static str) -> Result<Option<Timestamp>, Failure> {
    Ok(row
        .try_get::<Option<i64>, _>(column)?
        .map(Timestamp::from_micros))
}

/// The user's id in a column; empty for the owner of service keys.
pub(crate) fn user_id(text: String) -> Result<UserId, Failure> {
    if text.is_empty() {
        Ok(UserId::reserved())
    } else {
        UserId::new(text).map_err(Failure::damaged("user_id"))
    }
}

/// The keyspace of a row that has [`keyspace_columns`].
pub(crate) fn keyspace(row: &Row) -> Result<Keyspace, Failure> {
    let description: Option<String> = row.try_get("keyspace_description")?;
    Ok(Keyspace {
        name: KeyspaceName::new(row.try_get::<String, _>("keyspace_name")?)
            .map_err(Failure::damaged("keyspaces.name"))?,
        prefix: KeyPrefix::new(row.try_get::<String, _>("keyspace_prefix")?)
            .map_err(Failure::damaged("keyspaces.prefix"))?,
        description: description
            .map(Description::new)
            .transpose()
            .map_err(Failure::damaged("keyspaces.description"))?,
        self_service: row.try_get("keyspace_self_service")?,
        catalogue: catalogue_text::read(row.try_get("keyspace_permissions")?)?,
        created_at: time(row, "keyspace_created_at")?,
    })
}

/// The tag keys of a row that has `tag_keys`.
pub(super) fn tag_keys(row: &Row) -> Result<TagKeys, Failure> {
    TagKeys::from_bytes(row.try_get("tag_keys")?).map_err(Failure::damaged("keyspaces.tag_keys"))
}

/// The key of a row that has [`key_columns`], with its keyspace.
pub(crate) fn key(row: &Row, keyspace: Arc<Keyspace>) -> Result<KeyRecord, Failure> {
    let hash: Vec<u8> = row.try_get("hash")?;
    let digest = hash
        .as_slice()
        .try_into()
        .map(Digest::from_bytes)
        .map_err(Failure::damaged("api_keys.hash"))?;
    let description: Option<String> = row.try_get("description")?;
    let key = ApiKey {
        id: KeyId(row.try_get("id")?),
        keyspace: keyspace.name.clone(),
        user_id: user_id(row.try_get("user_id")?)?,
        name: KeyName::new(row.try_get::<String, _>("name")?)
            .map_err(Failure::damaged("api_keys.name"))?,
        description: description
            .map(Description::new)
            .transpose()
            .map_err(Failure::damaged("api_keys.description"))?,
        prefix: row.try_get("prefix")?,
        postfix: row.try_get("postfix")?,
        lifecycle: lifecycle(row)?,
        grants: Grants(row.try_get::<i64, _>("grants")?.cast_unsigned()),
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        last_used_at: optional_time(row, "last_used_at")?,
        expires_at: optional_time(row, "expires_at")?,
        metadata: Metadata::from_json(row.try_get("metadata")?)
            .map_err(Failure::damaged("api_keys.metadata"))?,
    };
    Ok(KeyRecord {
        key,
        digest,
        keyspace,
    })
}

fn lifecycle(row: &Row) -> Result<Lifecycle, Failure> {
    let status = Status::parse(row.try_get("status")?)
        .ok_or_else(|| Failure::Damaged("api_keys.status: unheard of".to_owned()))?;
    Lifecycle::from_parts(
        status,
        optional_time(row, "suspended_at")?,
        optional_time(row, "revoked_at")?,
    )
    .map_err(Failure::damaged("api_keys.status"))
}
