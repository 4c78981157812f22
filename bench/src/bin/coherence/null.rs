//! As little as a cluster can do: commit, notify, hear, read, write, collect.

use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use sqlx::postgres::PgListener;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

/// Ended when dropped.
pub(crate) struct Null {
    changer: PgConnection,
    _listeners: JoinSet<Outcome>,
}

impl Null {
    pub(crate) async fn start(url: &str, listeners: usize) -> Outcome<Self> {
        let mut changer = PgConnection::connect(url).await?;
        sqlx::raw_sql(
            "CREATE TABLE null_changes (seq BIGINT NOT NULL); INSERT INTO null_changes VALUES (0);
             CREATE TABLE null_nodes (node BIGINT PRIMARY KEY, seen BIGINT NOT NULL) WITH (fillfactor = 50)",
        )
        .execute(&mut changer)
        .await?;
        let mut started = JoinSet::new();
        for node in 0..listeners {
            let node = i64::try_from(node)?;
            sqlx::query("INSERT INTO null_nodes VALUES ($1, 0)")
                .bind(node)
                .execute(&mut changer)
                .await?;
            let mut listener = PgListener::connect(url).await?;
            listener.listen("null_changes").await?;
            let mut connection = PgConnection::connect(url).await?;
            sqlx::raw_sql("SET synchronous_commit = off")
                .execute(&mut connection)
                .await?;
            started.spawn(async move {
                loop {
                    listener.recv().await?;
                    let seq: i64 = sqlx::query_scalar("SELECT seq FROM null_changes")
                        .fetch_one(&mut connection)
                        .await?;
                    sqlx::query("UPDATE null_nodes SET seen = $1 WHERE node = $2")
                        .bind(seq)
                        .bind(node)
                        .execute(&mut connection)
                        .await?;
                }
            });
        }
        Ok(Self {
            changer,
            _listeners: started,
        })
    }

    /// One change, until all have written that they know of it.
    pub(crate) async fn change(&mut self) -> Outcome<Duration> {
        let watch = Stopwatch::start();
        sqlx::raw_sql("UPDATE null_changes SET seq = seq + 1; NOTIFY null_changes")
            .execute(&mut self.changer)
            .await?;
        loop {
            let all: bool = sqlx::query_scalar(
                "SELECT MIN(seen) >= (SELECT seq FROM null_changes) FROM null_nodes",
            )
            .fetch_one(&mut self.changer)
            .await?;
            if all {
                return Ok(watch.elapsed());
            }
        }
    }
}
