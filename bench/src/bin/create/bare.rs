//! One row per commit into the same table, without Keywright.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::Database;
use keywright_bench::population::Population;
use sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;

use crate::Contestant;

/// How many owners there are beforehand.
const OWNERS: u64 = 1_000;

/// One SQLite connection that commits each row by itself.
pub(crate) struct Commits {
    connection: SqliteConnection,
    journal: SqliteJournalMode,
    population: Population,
    next: u64,
    runtime: Runtime,
    _database: Database,
}

const SQLITE_INSERT: &str = "INSERT INTO api_keys (id, hash, keyspace, user_id, name, prefix, postfix, status, grants, \
     created_at, updated_at, metadata) VALUES (?1, ?2, 'default', ?3, ?4, ?5, ?6, 'ACTIVE', 3, ?7, ?7, '{}')";

impl Commits {
    pub(crate) fn open(journal: SqliteJournalMode) -> Outcome<Self> {
        let database = Database::sqlite(None)?;
        // Two threads, as much as Keywright's store has: the driver's own and this one.
        let runtime = Runtime::new()?;
        let (connection, population) = runtime.block_on(async {
            let store = database.open().await?;
            let population = Population::of(&*store).await?;
            store.close().await;
            drop(store);
            let options = database
                .bare_sqlite()
                .journal_mode(journal)
                .synchronous(SqliteSynchronous::Full);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            let owners = format!(
                "INSERT INTO users (id, created_at, api_keys) WITH RECURSIVE n (n) AS \
                 (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < {OWNERS}) \
                 SELECT printf('user-%04d', n), 0, 0 FROM n"
            );
            sqlx::query(AssertSqlSafe(owners))
                .execute(&mut connection)
                .await?;
            Outcome::Ok((connection, population))
        })?;
        Ok(Self {
            connection,
            journal,
            population,
            next: 0,
            runtime,
            _database: database,
        })
    }
}

impl Contestant for Commits {
    fn name(&self) -> String {
        match self.journal {
            SqliteJournalMode::Wal => "one row per commit, WAL".to_owned(),
            _ => "one row per commit, default journal".to_owned(),
        }
    }

    fn run(&mut self, time: Duration) -> Outcome<f64> {
        self.runtime.block_on(async {
            let watch = Stopwatch::start();
            let mut made = 0_u32;
            while watch.elapsed() < time {
                let record = self.population.record(self.next)?;
                sqlx::query(SQLITE_INSERT)
                    .bind(record.key.id.0)
                    .bind(record.digest.as_bytes().as_slice())
                    .bind(format!("user-{:04}", self.next % OWNERS))
                    .bind(record.key.name.as_str())
                    .bind(record.key.prefix.as_str())
                    .bind(record.key.postfix.as_str())
                    .bind(record.key.created_at.as_micros())
                    .execute(&mut self.connection)
                    .await?;
                self.next += 1;
                made += 1;
            }
            Ok(f64::from(made) / watch.elapsed().as_secs_f64())
        })
    }
}

/// pgbench, with as many clients.
pub(crate) struct Pgbench {
    script: NamedTempFile,
    clients: usize,
    database: Database,
}

const PGBENCH_SCRIPT: &str = "\\set owner random(0, 999)
INSERT INTO api_keys (id, hash, keyspace, user_id, name, prefix, postfix, status, grants, created_at, updated_at, \
metadata) VALUES (gen_random_uuid(), sha256(uuid_send(gen_random_uuid())), 'default', \
'user-' || lpad(CAST(:owner AS TEXT), 4, '0'), 'key 00000000', 'agpt_abc', '01234567', 'ACTIVE', 3, 1, 1, '{}');
";

impl Pgbench {
    pub(crate) fn on(database: Database, clients: usize) -> Outcome<Self> {
        let mut script = NamedTempFile::new()?;
        script.write_all(PGBENCH_SCRIPT.as_bytes())?;
        script.flush()?;
        let url = database.url().ok_or("pgbench is for PostgreSQL")?;
        Runtime::new()?.block_on(async {
            let store = database.open().await?;
            store.close().await;
            let mut connection = PgConnection::connect(url).await?;
            let owners = format!(
                "INSERT INTO users (id, created_at, api_keys) \
                 SELECT 'user-' || lpad(CAST(n AS TEXT), 4, '0'), 0, 0 FROM generate_series(0, {OWNERS} - 1) AS n"
            );
            sqlx::query(AssertSqlSafe(owners))
                .execute(&mut connection)
                .await?;
            let durable: String = sqlx::query_scalar("SHOW synchronous_commit")
                .fetch_one(&mut connection)
                .await?;
            connection.close().await?;
            if durable == "on" {
                Outcome::Ok(())
            } else {
                Err("the cluster does not commit to the disk".into())
            }
        })?;
        Ok(Self {
            script,
            clients,
            database,
        })
    }
}

impl Contestant for Pgbench {
    fn name(&self) -> String {
        "pgbench, one row per commit".to_owned()
    }

    fn run(&mut self, time: Duration) -> Outcome<f64> {
        let url = self.database.url().ok_or("pgbench is for PostgreSQL")?;
        let output = Command::new("pgbench")
            .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"])
            .args(["--client", &self.clients.to_string()])
            .args(["--time", &time.as_secs().to_string()])
            .arg("--file")
            .arg(self.script.path())
            .arg(url)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        let figure = told
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next())
            .ok_or_else(|| format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(figure.parse()?)
    }
}
