//! What a cache keeps, read together with how new it is.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::decision::Facts;
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, KeyspaceName};
use keywright_core::key::Metadata;
use keywright_core::lifecycle::Status;
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use keywright_core::timestamp::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{Pool, Row as _};

use super::rows::keyspace_columns;
use super::{
    Connection, Db, Failure, Row, ThisStore, acquire, meaning, measured, primary_only, query, rows,
};
use crate::failure::timed_out;
use crate::line::{GROUP, Turn, Waiting};
use crate::{KeyFacts, KeyspaceFacts, Loaded, StoreError};

statements! {
    // There are always some.
    KEYSPACES = concat!(
        "SELECT c.last_seq, ", in_recovery!(), ", ", keyspace_columns!(), ", s.tag_keys, s.holds_imported \
         FROM cluster c CROSS JOIN keyspaces s WHERE c.id = 1"
    );
}

/// How many keys a statement reads: the fewest of these that are enough, so that the texts are few and each is prepared
/// once.
const SIZES: [usize; 4] = [1, 4, 16, GROUP];

static KEYS: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| SIZES.map(keys_text));

/// From the seq's side, so that keys that are not there have one too (I3). Without the keyspace, of which a cache has
/// its own copy.
fn keys_text(count: usize) -> String {
    let places: Vec<_> = (1..=count).map(|place| format!("${place}")).collect();
    format!(
        "SELECT c.last_seq, {}, \
         k.hash, k.id, k.keyspace, k.user_id, k.name, k.status, k.grants, k.expires_at, k.metadata \
         FROM cluster c LEFT JOIN api_keys k ON k.hash IN ({}) WHERE c.id = 1",
        in_recovery!(),
        places.join(", ")
    )
}

/// The statements that read keys.
pub(super) fn of_keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(String::as_str)
}

/// Reads from the same connections as the store, for as long as somebody waits.
pub(super) struct Reader {
    pool: Pool<Db>,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl Reader {
    pub(super) fn of(store: &ThisStore) -> Self {
        Self {
            pool: store.pool().clone(),
            clock: store.clock.clone(),
            patience: store.patience,
        }
    }

    async fn read(&self) -> Result<PoolConnection<Db>, StoreError> {
        acquire(&self.pool).await
    }

    /// Reads for those who wait until nobody does.
    pub(super) async fn read_for(self, mut turn: Turn) {
        loop {
            let group = turn.next();
            if group.is_empty() {
                return;
            }
            let answer = read!(self, "load_key", |connection| keys(connection, &group));
            match answer {
                Ok(loaded) => {
                    for waiting in group {
                        let found = loaded.found.get(&waiting.digest).cloned().transpose();
                        let seq = loaded.seq;
                        waiting.answer(found.map(|found| Loaded { seq, found }));
                    }
                }
                // Of this group alone: the next may get another connection.
                Err(error) => {
                    for waiting in group {
                        waiting.answer(Err(error.clone()));
                    }
                }
            }
        }
    }
}

type Found = HashMap<Digest, Result<KeyFacts, StoreError>>;

/// The keys for whom these wait.
async fn keys(connection: &mut Connection, wanted: &[Waiting]) -> Result<Loaded<Found>, Failure> {
    let size = SIZES.iter().position(|size| *size >= wanted.len());
    // infallible: a group is at most the largest
    let size = size.expect("a statement for so many");
    let mut query = sqlx::query(KEYS[size].as_str());
    for place in 0..SIZES[size] {
        // What is left of the places asks for the last one again.
        let waiting = &wanted[place.min(wanted.len() - 1)];
        query = query.bind(waiting.digest.as_bytes().as_slice());
    }
    let rows = query.fetch_all(connection).await?;
    let first = rows
        .first()
        .ok_or_else(|| Failure::Damaged("cluster: there is no row".to_owned()))?;
    primary_only(first)?;
    let mut found = Found::new();
    for row in &rows {
        let Some(hash) = row.try_get::<Option<&[u8]>, _>("hash")? else {
            continue;
        };
        let digest = hash.try_into().map_err(Failure::damaged("api_keys.hash"))?;
        // One that is damaged is nobody else's error.
        let facts = key_facts(row).map_err(meaning);
        found.insert(Digest::from_bytes(digest), facts);
    }
    let seq = seq(first)?;
    Ok(Loaded { seq, found })
}

/// All keyspaces.
pub(super) async fn keyspaces(
    connection: &mut Connection,
) -> Result<Loaded<Vec<KeyspaceFacts>>, Failure> {
    let rows = query(KEYSPACES).fetch_all(connection).await?;
    let newest = rows
        .first()
        .ok_or_else(|| Failure::Damaged("keyspaces: there is none".to_owned()))?;
    primary_only(newest)?;
    Ok(Loaded {
        seq: seq(newest)?,
        found: rows.iter().map(keyspace_facts).collect::<Result<_, _>>()?,
    })
}

fn seq(row: &Row) -> Result<u64, Failure> {
    u64::try_from(row.try_get::<i64, _>("last_seq")?).map_err(Failure::damaged("cluster.last_seq"))
}

fn key_facts(row: &Row) -> Result<KeyFacts, Failure> {
    let expires_at: Option<i64> = row.try_get("expires_at")?;
    Ok(KeyFacts {
        id: KeyId(row.try_get("id")?),
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
