//! As little as a cluster can do: commit, notify, hear, read, write, collect. Those who hear are processes of their own,
//! as nodes are.

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use sqlx::postgres::PgListener;
use sqlx::{Connection as _, PgConnection};

/// The environment's variables that make this program one that listens: where, and as which.
const URL: &str = "KEYWRIGHT_NULL_URL";
const NODE: &str = "KEYWRIGHT_NULL_NODE";

/// Ended when dropped.
pub(crate) struct Null {
    changer: PgConnection,
    listeners: Vec<Child>,
}

impl Drop for Null {
    fn drop(&mut self) {
        for listener in &mut self.listeners {
            // Both fail where it has ended already.
            let _ = listener.kill();
            let _ = listener.wait();
        }
    }
}

/// Whether this process is one that listens.
pub(crate) fn is_listener() -> bool {
    env::var_os(NODE).is_some()
}

/// Hears, reads and writes. Ends when its connection does.
pub(crate) async fn listen() -> Outcome {
    let (url, node) = (env::var(URL)?, env::var(NODE)?.parse::<i64>()?);
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql("SET synchronous_commit = off")
        .execute(&mut connection)
        .await?;
    let mut listener = PgListener::connect(&url).await?;
    listener.listen("null_changes").await?;
    sqlx::query("INSERT INTO null_nodes VALUES ($1, 0)")
        .bind(node)
        .execute(&mut connection)
        .await?;
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
        let mut started = Self {
            changer,
            listeners: Vec::new(),
        };
        for node in 0..listeners {
            let listener = Command::new(env::current_exe()?)
                .env(URL, url)
                .env(NODE, node.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()?;
            started.listeners.push(listener);
        }
        let listeners = i64::try_from(listeners)?;
        while sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM null_nodes")
            .fetch_one(&mut started.changer)
            .await?
            < listeners
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(started)
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
