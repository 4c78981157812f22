//! Into PostgreSQL: COPY, with the indexes made afterwards, all in one transaction.

use std::fmt::Write as _;

use keywright_core::key::KeyRecord;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tokio::sync::mpsc;

use super::owners;
use crate::Outcome;

/// What there is beside the primary key, each as a statement that drops it and one that makes it again.
const INDEXES: &str = "SELECT format('ALTER TABLE api_keys DROP CONSTRAINT %I', conname), \
         format('ALTER TABLE api_keys ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) \
     FROM pg_constraint WHERE conrelid = CAST('api_keys' AS REGCLASS) AND contype = 'u' \
     UNION ALL \
     SELECT format('DROP INDEX %I', indexname), indexdef FROM pg_indexes \
     WHERE tablename = 'api_keys' AND schemaname = current_schema() \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = indexname)";

pub(super) async fn load(
    url: &str,
    mut chunks: mpsc::Receiver<Outcome<Vec<KeyRecord>>>,
) -> Outcome {
    let mut connection = PgConnection::connect(url).await?;
    let mut other = PgConnection::connect(url).await?;
    let mut transaction = connection.begin().await?;
    // References are right by construction, and are not checked row by row.
    let settings =
        "SET LOCAL session_replication_role = replica; SET LOCAL maintenance_work_mem = '512MB'";
    sqlx::raw_sql(settings).execute(&mut *transaction).await?;
    let indexes = sqlx::query(INDEXES).fetch_all(&mut *transaction).await?;
    for index in &indexes {
        run(&mut transaction, index.get(0)).await?;
    }
    run(&mut transaction, "TRUNCATE api_keys".to_owned()).await?;
    // Owners go another way meanwhile: a connection is in one COPY at a time.
    let mut rows = transaction
        .copy_in_raw(
            "COPY api_keys (id, hash, keyspace, user_id, name, prefix, postfix, status, grants, created_at, updated_at, \
             metadata) FROM STDIN (FREEZE)",
        )
        .await?;
    let mut users = other
        .copy_in_raw("COPY users (id, created_at, api_keys) FROM STDIN")
        .await?;
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk?;
        users.send(lines_of_owners(&chunk).into_bytes()).await?;
        rows.send(lines_of_keys(&chunk).into_bytes()).await?;
    }
    users.finish().await?;
    rows.finish().await?;
    for index in &indexes {
        run(&mut transaction, index.get(1)).await?;
    }
    transaction.commit().await?;
    connection.close().await?;
    for statement in [
        "VACUUM (ANALYZE) users",
        "VACUUM (ANALYZE) api_keys",
        "CHECKPOINT",
    ] {
        run(&mut other, statement.to_owned()).await?;
    }
    other.close().await?;
    Ok(())
}

async fn run(connection: &mut PgConnection, statement: String) -> Outcome {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}

/// COPY's text format. Nothing that a population makes needs its escapes.
fn lines_of_owners(records: &[KeyRecord]) -> String {
    let mut lines = String::new();
    for (id, created_at, keys) in owners(records) {
        // infallible: writing into a string
        let _ = writeln!(lines, "{id}\t{created_at}\t{keys}");
    }
    lines
}

fn lines_of_keys(records: &[KeyRecord]) -> String {
    let mut lines = String::with_capacity(records.len() * 256);
    for KeyRecord { key, digest, .. } in records {
        let mut hash = String::with_capacity(64);
        for byte in digest.as_bytes() {
            // infallible: writing into a string
            let _ = write!(hash, "{byte:02x}");
        }
        let _ = writeln!(
            lines,
            "{}\t\\\\x{hash}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            key.id,
            key.keyspace,
            key.user_id.as_str(),
            key.name.as_str(),
            key.prefix,
            key.postfix,
            key.lifecycle.status().as_str(),
            key.grants.0.cast_signed(),
            key.created_at.as_micros(),
            key.updated_at.as_micros(),
            key.metadata.as_json(),
        );
    }
    lines
}
