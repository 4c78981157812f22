//! Writing many uses at once: one statement for each table, which is given its rows as JSON.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::Uuid;

use super::Connection;
use super::statements::{Counts, Rows};
use crate::failure::Failure;

const LAST_USES: &str = "UPDATE api_keys SET last_used_at = used.at \
     FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS at FROM json_each($1)) AS used \
     WHERE api_keys.id = used.id AND (last_used_at IS NULL OR last_used_at < used.at)";
const GONE_KEYS: &str = "SELECT unhex(value) FROM json_each($1) \
     WHERE NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.id = unhex(value))";

macro_rules! add {
    ($table:literal, $whose:literal, $read:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (day, ",
            $whose,
            ", hour, code, count) SELECT value ->> 0, ",
            $read,
            // SQLite would take the ON of a conflict for that of a join.
            ", value ->> 2, value ->> 3, value ->> 4 FROM json_each($1) WHERE true \
             ON CONFLICT (day, ",
            $whose,
            ", hour, code) DO UPDATE SET count = count + excluded.count"
        )
    };
}
const ADD_TO_KEYS: &str = add!("key_uses", "key_id", "unhex(value ->> 1)");
const ADD_TO_USERS: &str = add!("user_uses", "user_id", "value ->> 1");
const ADD_TO_KEYSPACES: &str = add!("keyspace_uses", "keyspace", "value ->> 1");
pub(super) const ALL: &[&str] = &[
    LAST_USES,
    GONE_KEYS,
    ADD_TO_KEYS,
    ADD_TO_USERS,
    ADD_TO_KEYSPACES,
];

/// Notes when keys were used last.
pub(super) async fn write_last_uses(
    connection: &mut Connection,
    uses: &[(Uuid, i64)],
) -> Result<(), Failure> {
    let uses = uses.iter().map(|(id, at)| (id.simple(), at));
    sqlx::query(LAST_USES)
        .bind(json(uses))
        .execute(connection)
        .await?;
    Ok(())
}

/// Those of `keys` that are not there.
pub(super) async fn gone_keys(
    connection: &mut Connection,
    keys: BTreeSet<Uuid>,
) -> Result<BTreeSet<Uuid>, Failure> {
    let gone: Vec<Uuid> = sqlx::query_scalar(GONE_KEYS)
        .bind(json(keys.iter().map(Uuid::as_simple)))
        .fetch_all(connection)
        .await?;
    Ok(gone.into_iter().collect())
}

/// Adds to the counts.
pub(super) async fn add_counts(
    connection: &mut Connection,
    counts: &Counts,
) -> Result<(), Failure> {
    add(connection, ADD_TO_KEYS, &counts.keys, Uuid::as_simple).await?;
    add(connection, ADD_TO_USERS, &counts.users, String::as_str).await?;
    add(
        connection,
        ADD_TO_KEYSPACES,
        &counts.keyspaces,
        String::as_str,
    )
    .await
}

async fn add<'a, T, U: Serialize>(
    connection: &mut Connection,
    statement: &'static str,
    rows: &'a Rows<T>,
    write: impl Fn(&'a T) -> U,
) -> Result<(), Failure> {
    let rows = rows
        .iter()
        .map(|((day, whose, hour, code), count)| (day, write(whose), hour, code, count));
    let rows = json(rows);
    sqlx::query(statement)
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}

fn json<T: Serialize>(rows: impl Iterator<Item = T>) -> String {
    let rows: Vec<T> = rows.collect();
    // infallible: numbers and text
    serde_json::to_string(&rows).expect("rows are JSON")
}
