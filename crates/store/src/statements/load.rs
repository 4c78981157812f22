//! What a cache keeps, read together with how new it is.

use keywright_core::decision::Facts;
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, KeyspaceName};
use keywright_core::key::Metadata;
use keywright_core::lifecycle::Status;
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use keywright_core::timestamp::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::rows::keyspace_columns;
use super::{Connection, Failure, Row, query, rows};
use crate::{KeyFacts, KeyspaceFacts, Loaded};

statements! {
    // From the seq's side, so that a key that is not there has one too (I3). Without the keyspace, of which a cache
    // has its own copy.
    KEY = "SELECT c.last_seq, k.id, k.keyspace, k.user_id, k.name, k.status, k.grants, k.expires_at, k.metadata \
         FROM cluster c LEFT JOIN api_keys k ON k.hash = $1 WHERE c.id = 1";
    // There are always some.
    KEYSPACES = concat!(
        "SELECT c.last_seq, ", keyspace_columns!(), ", s.tag_keys, s.holds_imported \
         FROM cluster c CROSS JOIN keyspaces s WHERE c.id = 1"
    );
}

/// The key of this digest.
pub(super) async fn key(
    connection: &mut Connection,
    digest: &Digest,
) -> Result<Loaded<Option<KeyFacts>>, Failure> {
    let row = query(KEY)
        .bind(digest.as_bytes().as_slice())
        .fetch_one(connection)
        .await?;
    let id: Option<Uuid> = row.try_get("id")?;
    Ok(Loaded {
        seq: seq(&row)?,
        found: id.map(|id| key_facts(&row, KeyId(id))).transpose()?,
    })
}

/// All keyspaces.
pub(super) async fn keyspaces(
    connection: &mut Connection,
) -> Result<Loaded<Vec<KeyspaceFacts>>, Failure> {
    let rows = query(KEYSPACES).fetch_all(connection).await?;
    let newest = rows
        .first()
        .ok_or_else(|| Failure::Damaged("keyspaces: there is none".to_owned()))?;
    Ok(Loaded {
        seq: seq(newest)?,
        found: rows.iter().map(keyspace_facts).collect::<Result<_, _>>()?,
    })
}

fn seq(row: &Row) -> Result<u64, Failure> {
    u64::try_from(row.try_get::<i64, _>("last_seq")?).map_err(Failure::damaged("cluster.last_seq"))
}

fn key_facts(row: &Row, id: KeyId) -> Result<KeyFacts, Failure> {
    let expires_at: Option<i64> = row.try_get("expires_at")?;
    Ok(KeyFacts {
        id,
        keyspace: KeyspaceName::new(row.try_get::<String, _>("keyspace")?)
            .map_err(Failure::damaged("api_keys.keyspace"))?,
        user_id: rows::user_id(row.try_get("user_id")?)?,
        name: KeyName::new(row.try_get::<String, _>("name")?)
            .map_err(Failure::damaged("api_keys.name"))?,
        metadata: Metadata::from_json(row.try_get("metadata")?)
            .map_err(Failure::damaged("api_keys.metadata"))?,
        facts: Facts {
            status: Status::parse(row.try_get("status")?)
                .ok_or_else(|| Failure::Damaged("api_keys.status: unheard of".to_owned()))?,
            expires_at: expires_at.map(Timestamp::from_micros),
            grants: Grants(row.try_get::<i64, _>("grants")?.cast_unsigned()),
        },
    })
}

fn keyspace_facts(row: &Row) -> Result<KeyspaceFacts, Failure> {
    Ok(KeyspaceFacts {
        keyspace: rows::keyspace(row)?,
        tag_keys: rows::tag_keys(row)?,
        holds_imported: row.try_get("holds_imported")?,
    })
}
