//! The row of a key by its hash, through the bare driver.

use keywright_bench::Outcome;
use keywright_bench::database::Database;
use keywright_core::key_text::KeyText;
use keywright_store::CONNECTIONS;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{PgPool, SqlitePool};

/// As many connections as the store has, and nothing of ours.
#[derive(Clone)]
pub(crate) enum Bare {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

const LOOK_UP: &str = "SELECT id, hash, keyspace, user_id, name, description, prefix, postfix, status, grants, \
     created_at, updated_at, last_used_at, expires_at, suspended_at, revoked_at, metadata \
     FROM api_keys WHERE hash = $1";

impl Bare {
    pub(crate) async fn on(database: &Database) -> Outcome<Self> {
        Ok(match database.url() {
            None => {
                let options = database.bare_sqlite().pragma("query_only", "ON");
                let pool = SqlitePoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .min_connections(CONNECTIONS)
                    .test_before_acquire(false);
                Self::Sqlite(pool.connect_with(options).await?)
            }
            Some(url) => {
                let pool = PgPoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .min_connections(CONNECTIONS)
                    .test_before_acquire(false);
                Self::Postgres(pool.connect(url).await?)
            }
        })
    }

    pub(crate) async fn look_up(&self, text: &KeyText) -> Outcome {
        let digest = text.digest();
        let hash = digest.as_bytes().as_slice();
        match self {
            Self::Sqlite(pool) => {
                sqlx::query(LOOK_UP).bind(hash).fetch_one(pool).await?;
            }
            Self::Postgres(pool) => {
                sqlx::query(LOOK_UP).bind(hash).fetch_one(pool).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
