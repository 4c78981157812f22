//! Keys: what is written of them, finding them, listing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use keywright_core::audit::{Action, Attribution, AuditEntry};
use keywright_core::identifier::{KeyspaceName, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use serde_json::Value;
use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::rows::{key_columns, keyspace_columns};
use super::{Connection, Db, Failure, Row, keyspaces, one_more, page, primary_only, query, rows};
use crate::table::{Column, Table};
use crate::text_range::after_all_that_begin_with;
use crate::{KeyQuery, KeySearch, KeySelector, NamePosition, Page, Position, Remembered, Searched};

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
    // Each from an index alone; in one statement that leaves service keys out, every row would be read.
    COUNT = "SELECT COUNT(*) FROM api_keys WHERE status = $1";
    COUNT_SERVICE_KEYS = "SELECT COUNT(*) FROM api_keys WHERE user_id = '' AND status = $1";
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
    let found = select(asked).build().fetch_all(&mut *connection).await?;
    with_keyspaces(connection, found, asked.limit).await
}

/// The keys that are like what somebody remembers.
pub(super) async fn search(
    connection: &mut Connection,
    asked: &KeySearch,
) -> Result<Searched, Failure> {
    let by_name = match &asked.by {
        // No name has it, and PostgreSQL takes no text with it.
        Remembered::NameStart(start) if start.contains('\0') => {
            return Ok(Searched {
                entries: Vec::new(),
                next: None,
            });
        }
        Remembered::NameStart(_) => true,
        Remembered::Ends { .. } => false,
    };
    let enough = usize::try_from(one_more(looked_through(asked))).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for mut select in select_remembered(asked) {
        if found.len() < enough {
            found.extend(select.build().fetch_all(&mut *connection).await?);
        }
    }
    found.truncate(enough);
    let Page { entries, more } = with_keyspaces(connection, found, looked_through(asked)).await?;
    let place = |record: &KeyRecord| NamePosition {
        name: record.key.name.to_string(),
        id: record.key.id.0,
    };
    let last = entries.last().filter(|_| more).map(place);
    let mut wanted: Vec<_> = entries
        .into_iter()
        .filter(|record| asked.wants(&record.key))
        .collect();
    let size = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let is_cut = wanted.len() > size;
    wanted.truncate(size);
    let next = if is_cut {
        wanted.last().map(place)
    } else {
        last
    };
    Ok(Searched {
        entries: wanted,
        next: next.filter(|_| by_name),
    })
}

/// How many keys a search reads. One that is narrowed cannot read only those that it wants: of very many keys whose names
/// begin so, few or none may be of the state or the keyspace.
fn looked_through(asked: &KeySearch) -> u32 {
    if asked.is_narrowed() {
        asked.limit.max(KeySearch::MOST_LOOKED_THROUGH)
    } else {
        asked.limit
    }
}

// Without the keyspace: its catalogue would be sent again with every row.
const SELECT: &str = concat!("SELECT ", key_columns!(), " FROM api_keys k WHERE ");

/// Put together from what is asked for, and not one statement with `$1 IS NULL OR …`: so an index serves each.
pub(super) fn select(asked: &KeyQuery) -> QueryBuilder<Db> {
    let mut select = QueryBuilder::new(SELECT);
    narrow(
        &mut select,
        asked.user_id.as_ref(),
        asked.status,
        asked.keyspace.as_ref(),
    );
    // Without a place to go on from, everything is older than the end of time: the index is entered either way.
    let after = asked.after.unwrap_or(Position {
        at: Timestamp::from_micros(i64::MAX),
        id: Uuid::max(),
    });
    if asked.user_id.is_some() {
        select.push(" AND (k.created_at, k.id) < (");
        select.push_bind(after.at.as_micros());
        select.push(", ").push_bind(after.id);
        select.push(") ORDER BY k.created_at DESC, k.id DESC LIMIT ");
    } else {
        // Of everybody: ids are in the order of their making.
        select.push(" AND k.id < ").push_bind(after.id);
        select.push(" ORDER BY k.id DESC LIMIT ");
    }
    select.push_bind(one_more(asked.limit));
    select
}

/// The same for what somebody remembers: by name first what has the name of the last key, then what comes after that name.
/// (Together, as `(name, id) > (…, …)`, SQLite would search to the end of all names: it takes one bound of each kind, and
/// that would be the lower one.) By nothing that narrows them, or another index might be taken, and all that is like it
/// read and sorted.
pub(super) fn select_remembered(asked: &KeySearch) -> Vec<QueryBuilder<Db>> {
    let begun = || {
        let mut select = QueryBuilder::new(SELECT);
        narrow(&mut select, asked.user_id.as_ref(), None, None);
        select
    };
    let mut selects = match &asked.by {
        Remembered::NameStart(start) => {
            let start = start.to_ascii_lowercase();
            let mut further = begun();
            let end = after_all_that_begin_with(&start);
            let selects = match &asked.after {
                None => {
                    let from = concat!(" AND ", searched_name!(), " >= ");
                    further.push(from).push_bind(start);
                    Vec::new()
                }
                Some(after) => {
                    let name = after.name.to_ascii_lowercase();
                    let mut same = begun();
                    let is = concat!(" AND ", searched_name!(), " = ");
                    same.push(is).push_bind(name.clone());
                    same.push(" AND k.id > ").push_bind(after.id);
                    same.push(" ORDER BY k.id");
                    let from = concat!(" AND ", searched_name!(), " > ");
                    further.push(from).push_bind(name);
                    vec![same]
                }
            };
            if let Some(end) = end {
                let before = concat!(" AND ", searched_name!(), " < ");
                further.push(before).push_bind(end);
            }
            further.push(concat!(" ORDER BY ", searched_name!(), ", k.id"));
            selects.into_iter().chain([further]).collect()
        }
        Remembered::Ends { prefix, postfix } => {
            let mut select = begun();
            if let Some(postfix) = postfix {
                select.push(" AND k.postfix = ").push_bind(postfix.clone());
            }
            if let Some(prefix) = prefix {
                // Where both are known, the end alone leaves next to nothing to look through.
                let is = match postfix {
                    Some(_) => " AND k.prefix || '' = ",
                    None => " AND k.prefix = ",
                };
                select.push(is).push_bind(prefix.clone());
            }
            select.push(" ORDER BY k.id DESC");
            vec![select]
        }
    };
    for select in &mut selects {
        select
            .push(" LIMIT ")
            .push_bind(one_more(looked_through(asked)));
    }
    selects
}

/// What lists and searches are narrowed by.
fn narrow(
    select: &mut QueryBuilder<Db>,
    user: Option<&UserId>,
    status: Option<Status>,
    keyspace: Option<&KeyspaceName>,
) {
    match user {
        Some(id) => select
            .push("k.user_id = ")
            .push_bind(id.as_str().to_owned()),
        None => select.push("k.user_id <> ''"),
    };
    if let Some(status) = status {
        select.push(" AND k.status = ").push_bind(status.as_str());
    }
    if let Some(name) = keyspace {
        select
            .push(" AND k.keyspace = ")
            .push_bind(name.as_str().to_owned());
    }
}

/// A page of what was found, each with its keyspace.
async fn with_keyspaces(
    connection: &mut Connection,
    found: Vec<Row>,
    limit: u32,
) -> Result<Page<KeyRecord>, Failure> {
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
    Ok(page(keys, limit))
}

/// How many keys there are in each state, without service keys.
pub(super) async fn count(connection: &mut Connection) -> Result<BTreeMap<Status, u64>, Failure> {
    let mut counts = BTreeMap::new();
    for status in Status::ALL {
        let all = count_by(COUNT, status, connection).await?;
        let of_service = count_by(COUNT_SERVICE_KEYS, status, connection).await?;
        // Some may have been made between the two.
        counts.insert(status, all.saturating_sub(of_service));
    }
    Ok(counts)
}

async fn count_by(
    statement: &'static str,
    status: Status,
    connection: &mut Connection,
) -> Result<u64, Failure> {
    let count: i64 = sqlx::query_scalar::<Db, _>(statement)
        .bind(status.as_str())
        .fetch_one(connection)
        .await?;
    u64::try_from(count).map_err(Failure::damaged("COUNT of api_keys"))
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
