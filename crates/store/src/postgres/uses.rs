//! Writing many uses at once: one round trip for each table.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Connection;
use super::statements::{Counts, Rows};
use crate::failure::Failure;

/// Locks the rows in the order of ids, as everybody does, whatever the planner thinks of.
const LAST_USES: &str = "WITH used AS MATERIALIZED (SELECT k.id, u.at FROM api_keys k \
         JOIN unnest(CAST($1 AS UUID[]), CAST($2 AS BIGINT[])) AS u (id, at) ON u.id = k.id \
         WHERE k.last_used_at IS NULL OR k.last_used_at < u.at ORDER BY k.id FOR NO KEY UPDATE OF k) \
     UPDATE api_keys k SET last_used_at = used.at FROM used \
     WHERE k.id = used.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)";
const GONE_KEYS: &str = "SELECT u.id FROM unnest(CAST($1 AS UUID[])) AS u (id) \
     WHERE NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.id = u.id)";

/// Adds rows in the order in which they are given.
macro_rules! add {
    ($table:literal, $whose:literal, $type:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (day, ",
            $whose,
            ", hour, code, count) \
             SELECT * FROM unnest(CAST($1 AS INTEGER[]), CAST($2 AS ",
            $type,
            "[]), CAST($3 AS SMALLINT[]), \
             CAST($4 AS SMALLINT[]), CAST($5 AS BIGINT[])) \
             ON CONFLICT (day, ",
            $whose,
            ", hour, code) DO UPDATE SET count = ",
            $table,
            ".count + excluded.count"
        )
    };
}
const ADD_TO_KEYS: &str = add!("key_uses", "key_id", "UUID");
const ADD_TO_USERS: &str = add!("user_uses", "user_id", "TEXT");
const ADD_TO_KEYSPACES: &str = add!("keyspace_uses", "keyspace", "TEXT");
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
    let (ids, times): (Vec<Uuid>, Vec<i64>) = uses.iter().copied().unzip();
    sqlx::query(LAST_USES)
        .bind(ids)
        .bind(times)
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
        .bind(Vec::from_iter(keys))
        .fetch_all(connection)
        .await?;
    Ok(gone.into_iter().collect())
}

/// Adds to the counts. The keyspaces come last: everybody waits for the row of everything.
pub(super) async fn add_counts(
    connection: &mut Connection,
    counts: &Counts,
) -> Result<(), Failure> {
    add(connection, ADD_TO_KEYS, &counts.keys).await?;
    add(connection, ADD_TO_USERS, &counts.users).await?;
    add(connection, ADD_TO_KEYSPACES, &counts.keyspaces).await
}

async fn add<T>(
    connection: &mut Connection,
    statement: &'static str,
    rows: &Rows<T>,
) -> Result<(), Failure>
where
    T: Clone + Send + Sync,
    Vec<T>: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    if rows.is_empty() {
        return Ok(());
    }
    let days: Vec<i32> = rows.keys().map(|(day, ..)| *day).collect();
    let whose: Vec<T> = rows.keys().map(|(_, whose, ..)| whose.clone()).collect();
    let hours: Vec<i16> = rows.keys().map(|(_, _, hour, _)| *hour).collect();
    let codes: Vec<i16> = rows.keys().map(|(.., code)| *code).collect();
    let counts: Vec<i64> = rows.values().copied().collect();
    sqlx::query(statement)
        .bind(days)
        .bind(whose)
        .bind(hours)
        .bind(codes)
        .bind(counts)
        .execute(connection)
        .await?;
    Ok(())
}
