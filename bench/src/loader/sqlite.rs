//! Into an embedded database, without a journal: what fails is thrown away whole.

use std::fmt::Write as _;

use keywright_core::key::KeyRecord;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, SqlSafeStr as _, SqlStr};
use tokio::sync::mpsc;

use super::owners;
use crate::Outcome;

/// How many rows one statement inserts: fewer turns between this thread and the driver's.
const ROWS: usize = 500;

pub(super) async fn load(
    options: SqliteConnectOptions,
    mut chunks: mpsc::Receiver<Outcome<Vec<KeyRecord>>>,
) -> Outcome {
    let options = options
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .foreign_keys(false)
        // Hashes come in no order: their whole index is wanted at once.
        .pragma("cache_size", "-2000000");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut known = Statements::default();
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk?;
        let mut transaction = connection.begin().await?;
        for owners in owners(&chunk).chunks(ROWS) {
            let mut insert = sqlx::query(known.owners(owners.len()));
            for &(id, created_at, keys) in owners {
                insert = insert.bind(id).bind(created_at).bind(keys);
            }
            insert.execute(&mut *transaction).await?;
        }
        for records in chunk.chunks(ROWS) {
            let mut insert = sqlx::query(known.keys(records.len()));
            for KeyRecord { key, digest, .. } in records {
                insert = insert
                    .bind(key.id.0)
                    .bind(digest.as_bytes().as_slice())
                    .bind(key.keyspace.as_str())
                    .bind(key.user_id.as_str())
                    .bind(key.name.as_str())
                    .bind(key.prefix.as_str())
                    .bind(key.postfix.as_str())
                    .bind(key.lifecycle.status().as_str())
                    .bind(key.grants.0.cast_signed())
                    .bind(key.created_at.as_micros())
                    .bind(key.updated_at.as_micros())
                    .bind(key.metadata.as_json());
            }
            insert.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    connection.close().await?;
    Ok(())
}

/// The texts of statements for the number of rows that most have, made once.
#[derive(Default)]
struct Statements {
    owners: Option<SqlStr>,
    keys: Option<SqlStr>,
}

impl Statements {
    fn owners(&mut self, rows: usize) -> SqlStr {
        let make = || {
            insert(
                "INSERT INTO users (id, created_at, api_keys) VALUES ",
                3,
                rows,
            )
        };
        remembered(&mut self.owners, rows, make)
    }

    fn keys(&mut self, rows: usize) -> SqlStr {
        let make = || {
            insert(
                "INSERT INTO api_keys (id, hash, keyspace, user_id, name, prefix, postfix, status, grants, created_at, \
                 updated_at, metadata) VALUES ",
                12,
                rows,
            )
        };
        remembered(&mut self.keys, rows, make)
    }
}

fn remembered(memory: &mut Option<SqlStr>, rows: usize, make: impl FnOnce() -> SqlStr) -> SqlStr {
    if rows == ROWS {
        memory.get_or_insert_with(make).clone()
    } else {
        make()
    }
}

fn insert(head: &str, columns: usize, rows: usize) -> SqlStr {
    let row = format!("({})", vec!["?"; columns].join(", "));
    let mut text = String::from(head);
    for number in 0..rows {
        // infallible: writing into a string
        let _ = write!(text, "{}{row}", if number == 0 { "" } else { ", " });
    }
    AssertSqlSafe(text).into_sql_str()
}
