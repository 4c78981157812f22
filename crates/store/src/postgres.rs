//! The store of a cluster: PostgreSQL, or a service that speaks its protocol.

/// Whether who answers follows another server: asked in the statement itself, since a server can become one at any
/// moment and its connections stay.
macro_rules! in_recovery {
    () => {
        "pg_is_in_recovery() AS in_recovery"
    };
}

mod classification;
mod cluster;
mod connecting;
mod creating;
mod editing;
mod group;
mod insertion;
mod literal;
#[cfg(test)]
mod planner;
mod prepared;
mod uses;
mod word;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgRow as Row};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection as Connection, Postgres as Db, Row as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::classification::{DIVISION_BY_ZERO, is_unprepared, is_worth_another_try, meaning};
use self::cluster::{primary_only, survey};
use self::creating::Creations;
use self::editing::{Edit, Edits};
use self::group::{Queue, TOO_MANY};
use self::insertion::insert_created;
use self::statements::{
    AUDIT_LOG, Built, Carried, Change, CreateKey, EditKey, Record, Recorded, carry_out,
};
use self::uses::{add_counts, gone_keys, write_last_uses};
use crate::cluster::{Cluster, Settling, Standing};
use crate::failure::{Failure, timed_out};
use crate::line::Line;
use crate::{
    CONNECTIONS, ChangeObserver, KeyCreated, KeyEdited, OpenError, SchemaVersions, StoreError,
};

/// Holds a row to the end of the transaction against every other change of it. (Not FOR UPDATE, which would also
/// hold back whoever makes a key of that user or keyspace.)
macro_rules! for_update {
    () => {
        " FOR NO KEY UPDATE"
    };
}

/// Holds a row to the end of the transaction as it is, together with others who do so.
macro_rules! for_share {
    () => {
        " FOR SHARE"
    };
}

/// Whether a column has one of the values that this selects: they are selected first, whatever the planner thinks of.
macro_rules! among {
    ($select:literal) => {
        concat!("= ANY(ARRAY(", $select, "))")
    };
}

/// The name of a key as it is searched: without the case of A to Z, in the order of code points.
macro_rules! searched_name {
    () => {
        "lower(k.name COLLATE \"C\")"
    };
}

#[allow(
    clippy::duplicate_mod,
    reason = "compiled once for each driver, so that each has its real types"
)]
#[path = "statements/mod.rs"]
mod statements;

type ThisStore = PostgresStore;

const NAME: &str = "postgres";

/// Any number of nodes share it.
const IS_EXCLUSIVE: bool = false;

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "keys",
        include_str!("../migrations/postgres/0001_keys.sql"),
    ),
    (
        2,
        "usage",
        include_str!("../migrations/postgres/0002_usage.sql"),
    ),
    (
        3,
        "imported keys",
        include_str!("../migrations/postgres/0003_imported_keys.sql"),
    ),
    (
        4,
        "cluster",
        include_str!("../migrations/postgres/0004_cluster.sql"),
    ),
    (
        5,
        "console",
        include_str!("../migrations/postgres/0005_console.sql"),
    ),
    (
        6,
        "search",
        include_str!("../migrations/postgres/0006_search.sql"),
    ),
];

const LEDGER_EXISTS: &str = "SELECT 1 WHERE to_regclass('_sqlx_migrations') IS NOT NULL";
/// What a change may rest on that changed nothing itself.
const STANDING: &str = concat!(
    "SELECT last_seq, lease_ms, margin_ms, protocol, ",
    in_recovery!(),
    " FROM cluster WHERE id = 1"
);
const HEALTH: &str = "SELECT pg_is_in_recovery() OR CAST(current_setting('transaction_read_only') AS BOOLEAN) \
     FROM cluster WHERE id = 1";
const OWN_STATEMENTS: &[&str] = &[
    LEDGER_EXISTS,
    STANDING,
    HEALTH,
    cluster::RENEW,
    cluster::NODES,
    cluster::TELL,
    cluster::SURVEY,
    cluster::REMOVE,
    cluster::LEAVE,
    cluster::READ_LOG,
];

/// How a transaction begins, in one round trip with its settings. It does not say READ WRITE: an administrator, or
/// a service that runs out of disk, makes a database read-only by its default. I1: whatever the server's own setting is, a
/// commit is on its disk before it is answered. A process that is stopped in the middle must not stop the others
/// for long: the server ends its transaction before those who wait for its locks give up.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '5s'";
/// For what may be lost with the machine.
const BEGIN_RELAXED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '5s'";

/// How often a transaction is begun that the database rolled back for another's sake.
const TRIES: u32 = 5;

/// How a PostgreSQL database is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections there are at most. A quarter of them may read lists at once and half of
    /// them may be in changes, each at least one: whatever those wait for, verification finds one.
    pub max_connections: u32,
    /// How long to wait for a connection, a new one included.
    pub patience: Duration,
    /// How long one statement may take, by the server's clock; whoever waits for it gives up a second later.
    pub statement_timeout: Duration,
    /// Whether the database tells nodes of changes (`NOTIFY`).
    pub tells: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: CONNECTIONS,
            patience: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            tells: true,
        }
    }
}

/// A PostgreSQL database, shared with other nodes.
pub struct PostgresStore {
    primary: Arc<Primary>,
    /// Who waits for a key to be read.
    line: Line,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// How long one reading may take.
    patience: Duration,
    /// How many lists may still be read at once.
    lists: Semaphore,
    /// How long to wait for one of them to end.
    wait: Duration,
    settling: OnceLock<Arc<dyn Settling>>,
    /// Where the nodes' own connections go.
    address: PgConnectOptions,
}

/// The connections to the server that takes changes.
struct Primary {
    pool: PgPool,
    /// How many changes may still begin.
    changes: Semaphore,
    creations: Creations,
    edits: Edits,
    observer: OnceLock<Arc<dyn ChangeObserver>>,
    /// Whether the database tells nodes of changes.
    tells: bool,
    /// How long a change waits for one of them to end.
    wait: Duration,
    /// How long one transaction may take before nobody waits for it any longer.
    patience: Duration,
}

impl PostgresStore {
    /// Connects to the database at `url` (`postgres://USER:PASSWORD@HOST/NAME`), and makes what is missing in it:
    /// tables, built-in keyspaces. Of several nodes that do so at once, each finds it done.
    ///
    /// # Errors
    /// [`OpenError::Url`] where the URL is not understood; [`OpenError::NewerSchema`] and [`OpenError::Migration`]
    /// about the tables; [`OpenError::Store`] where the server does not answer in time, refuses, or is a standby.
    pub async fn connect(
        url: &str,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let address = connecting::address(url)?;
        let mut connection = connecting::connect(&address, options.patience).await?;
        statements::prepare_database(&mut connection).await?;
        let built = Built::new(clock.now(), &*entropy)?;
        let mut making = transaction(&mut connection, BEGIN, &[(&built, &[0; 16])]).await;
        if making.as_ref().is_err_and(is_unprepared) {
            let prepared = prepared::prepare_all(&mut connection, options.tells).await;
            prepared.map_err(|failure| OpenError::Store(meaning(failure)))?;
            making = transaction(&mut connection, BEGIN, &[(&built, &[0; 16])]).await;
        }
        making.map_err(|failure| OpenError::Store(meaning(failure)))?;
        // Nothing waits in it: there is nothing that closing could lose.
        let _ = connection.close().await;

        let patience = options.statement_timeout + Duration::from_secs(1);
        let pool = connecting::pool(address.clone(), &options);
        Ok(Self {
            primary: Arc::new(Primary {
                pool,
                changes: Semaphore::new(part_of(options.max_connections, 2)),
                creations: Queue::new(),
                edits: Queue::new(),
                observer: OnceLock::new(),
                tells: options.tells,
                wait: options.patience,
                patience: 2 * patience,
            }),
            line: Line::default(),
            clock,
            entropy,
            patience,
            lists: Semaphore::new(part_of(options.max_connections, 4)),
            wait: options.patience,
            settling: OnceLock::new(),
            address,
        })
    }

    /// How far the tables of the database at `url` are. Changes nothing, and may be asked while servers run.
    ///
    /// # Errors
    /// [`OpenError::Url`] and [`OpenError::Store`], as for [`Self::connect`].
    pub async fn schema_versions(url: &str) -> Result<SchemaVersions, OpenError> {
        let address = connecting::address(url)?;
        let mut connection = connecting::connect(&address, Options::default().patience).await?;
        let versions = statements::applied_and_known(&mut connection).await;
        let _ = connection.close().await;
        versions
    }

    /// A connection for a list, with a share that is held as long as it is.
    async fn read_list(&self) -> Result<(SemaphorePermit<'_>, PoolConnection<Db>), StoreError> {
        let share = share_of(&self.lists, self.wait, "too many lists are being read").await?;
        Ok((share, self.read().await?))
    }

    async fn write<C: Change>(&self, change: C) -> Result<C::Outcome, StoreError> {
        let nonce = self.nonce()?;
        let primary = self.primary.clone();
        // A task of its own: a caller that goes away cancels nothing.
        let written = tokio::spawn(async move {
            let made = primary.write(&change, &nonce).await?;
            Ok(primary.tell(made))
        })
        .await;
        let written = written
            .unwrap_or_else(|_| Err(StoreError::Internal("a change panicked".to_owned())))?;
        Ok(self.outcome_of(written).await)
    }

    /// Those that wait together are one transaction.
    async fn edit(&self, edit: EditKey) -> Result<KeyEdited, StoreError> {
        let nonce = self.nonce()?;
        let edited = self.primary.clone().edit(Edit { edit, nonce }).await?;
        Ok(self.outcome_of(edited).await)
    }

    fn nonce(&self) -> Result<[u8; 16], StoreError> {
        let mut nonce = [0; 16];
        self.entropy
            .fill(&mut nonce)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(nonce)
    }

    /// Nobody is told of it before every node knows of what it rests on.
    async fn outcome_of<T>(&self, (outcome, standing): (T, Option<Standing>)) -> T {
        if standing.is_some() {
            self.settled(standing).await;
        }
        outcome
    }

    /// Those that wait together are one transaction.
    async fn create(&self, creation: CreateKey) -> Result<KeyCreated, StoreError> {
        self.primary.clone().create(creation).await
    }

    fn observer(&self) -> &OnceLock<Arc<dyn ChangeObserver>> {
        &self.primary.observer
    }

    fn pool(&self) -> &PgPool {
        &self.primary.pool
    }

    fn pools(&self) -> [&PgPool; 1] {
        [&self.primary.pool]
    }

    async fn check_health(&self) -> Result<(), StoreError> {
        let mut connection = self.read().await?;
        let asked = sqlx::query_scalar(HEALTH).fetch_one(&mut *connection);
        let answer = tokio::time::timeout(self.patience, asked).await;
        let Ok(answer) = answer else {
            connection.close_on_drop();
            return Err(timed_out());
        };
        let read_only: bool = answer.map_err(|error| meaning(error.into()))?;
        if read_only {
            Err(StoreError::NotWritable(
                "the server is a standby or read-only".to_owned(),
            ))
        } else {
            Ok(())
        }
    }

    async fn finish(&self) {
        self.primary.pool.close().await;
    }
}

/// A share of the connections, for as long as it is held.
async fn share_of<'a>(
    shares: &'a Semaphore,
    wait: Duration,
    too_many: &str,
) -> Result<SemaphorePermit<'a>, StoreError> {
    let share = tokio::time::timeout(wait, shares.acquire()).await;
    share
        .map_err(|_| StoreError::Unavailable(too_many.to_owned()))?
        .map_err(|_| StoreError::Unavailable("the store is closed".to_owned()))
}

/// One part of so many connections, at least one of them.
fn part_of(connections: u32, parts: u32) -> usize {
    usize::try_from(connections / parts)
        .unwrap_or(usize::MAX)
        .clamp(1, Semaphore::MAX_PERMITS)
}

impl Primary {
    /// Tells memory of a change that was just committed, before anybody else is told.
    fn tell<T>(
        &self,
        (carried, standing): (Carried<T>, Option<Standing>),
    ) -> (T, Option<Standing>) {
        if let (Some(observer), Some(change)) = (self.observer.get(), carried.logged) {
            observer.committed(&[change]);
        }
        (carried.outcome, standing)
    }

    async fn write<C: Change>(
        &self,
        change: &C,
        nonce: &[u8; 16],
    ) -> Result<(Carried<C::Outcome>, Option<Standing>), StoreError> {
        let _share = share_of(&self.changes, self.wait, TOO_MANY).await?;
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(|error| meaning(error.into()))?;
        let mut tries = 1;
        loop {
            let made = tokio::time::timeout(
                self.patience,
                transaction(&mut connection, BEGIN, &[(change, nonce)]),
            )
            .await;
            match made {
                // infallible: one was asked for
                Ok(Ok(made)) => return Ok(made.into_iter().next().expect("one outcome")),
                Ok(Err(failure)) if tries < TRIES && is_worth_another_try(&failure) => tries += 1,
                Ok(Err(failure)) if tries < TRIES && is_unprepared(&failure) => {
                    let preparing = prepared::prepare_all(&mut connection, self.tells);
                    let prepared = tokio::time::timeout(self.patience, preparing).await;
                    if let Err(error) = prepared
                        .map_err(|_| timed_out())
                        .and_then(|prepared| prepared.map_err(meaning))
                    {
                        connection.close_on_drop();
                        return Err(error);
                    }
                    tries += 1;
                }
                // It is rolled back, and the connection as good as before: a change that is refused costs no new one.
                Ok(Err(failure)) => {
                    if let Failure::Standby = failure {
                        connection.close_on_drop();
                    }
                    return Err(meaning(failure));
                }
                Err(_) => {
                    // Unless its commit was sent already, the server rolls back when the connection goes.
                    connection.close_on_drop();
                    return Err(timed_out());
                }
            }
        }
    }
}

/// Makes changes as one transaction; where they [settle](Change::SETTLES), tells also what each outcome may rest on.
async fn transaction<C: Change>(
    connection: &mut Connection,
    begin: &'static str,
    changes: &[(&C, &[u8; 16])],
) -> Result<Vec<(Carried<C::Outcome>, Option<Standing>)>, Failure> {
    let begin = if C::DURABLE { begin } else { BEGIN_RELAXED };
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let made = async {
        let carried = carry_out(changes, connection).await?;
        standings::<C>(connection, carried).await
    };
    let made: Result<_, Failure> = made.await;
    if made.is_err() {
        // It fails only where the connection broke, which the pool finds out before it takes it back.
        let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
    }
    made
}

/// What each outcome may rest on. Commits, where nothing was recorded together with which it would have been.
async fn standings<C: Change>(
    connection: &mut Connection,
    carried: Vec<Carried<C::Outcome>>,
) -> Result<Vec<(Carried<C::Outcome>, Option<Standing>)>, Failure> {
    let newest_own = carried.iter().rev().find_map(Carried::standing);
    let others = if newest_own.is_some() {
        // Whatever was found done had been committed before this.
        newest_own.map(|own| Standing {
            is_own: false,
            ..own
        })
    } else {
        let newest = if C::SETTLES {
            newest(connection).await?
        } else {
            None
        };
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        newest
    };
    let made = carried.into_iter().map(|carried| {
        let standing = carried.standing().or(others);
        (carried, standing)
    });
    Ok(made.collect())
}

impl<T> Carried<T> {
    /// Of a change that was just committed.
    fn standing(&self) -> Option<Standing> {
        let (change, terms) = self.logged.as_ref().zip(self.terms)?;
        Some(Standing {
            seq: change.seq,
            is_own: true,
            terms,
        })
    }
}

/// What a change may rest on that found nothing to do: whatever it read was committed before this.
async fn newest(connection: &mut Connection) -> Result<Option<Standing>, Failure> {
    let row = sqlx::query(STANDING).fetch_one(connection).await?;
    primary_only(&row)?;
    cluster::own_protocol_only(&row)?;
    Ok(Some(Standing {
        seq: row.try_get::<i64, _>("last_seq")?.cast_unsigned(),
        is_own: false,
        terms: cluster::terms(&row)?,
    }))
}

/// The last part of changes, their audit entries and their rows in the log, and their commit, in one message: the row of
/// `cluster` is the last that is locked, it is held to the commit, so that the order of the log is that of the commits,
/// and never while the server waits for this process.
async fn record(connection: &mut Connection, records: &[Record<'_>]) -> Result<Recorded, Failure> {
    record_after(connection, &[], records).await
}

/// The same with updates before, in that message too; each must meet a row, which it returns.
async fn record_after(
    connection: &mut Connection,
    updates: &[String],
    records: &[Record<'_>],
) -> Result<Recorded, Failure> {
    let (count_updated, count) = (updates.len(), records.len());
    let mut statements = updates.to_vec();
    // A group waits for a key's lock for a moment only, and for its turn in the log as long as anybody.
    statements.push("SET LOCAL lock_timeout = '5s'".to_owned());
    let entries = records.iter().map(|record| record.entry);
    statements
        .extend(entries.map(|entry| prepared::RECORD.with(&insertion::row(&AUDIT_LOG, entry))));
    statements.push(prepared::COUNT_UP.with(&[count.to_string()]));
    for (place, record) in records.iter().enumerate() {
        let (kind, key_hash, user_id, keyspace) = statements::columns(record.scope);
        statements.push(prepared::APPEND.with(&[
            (count - 1 - place).to_string(),
            literal::bytes(record.nonce),
            format!("'{kind}'"),
            literal::optional(key_hash, literal::bytes),
            literal::optional(user_id, literal::text),
            literal::optional(keyspace, literal::text),
            record.entry.by.at.as_micros().to_string(),
        ]));
    }
    statements.push("COMMIT".to_owned());
    let text = statements.join("; ");
    let told = sqlx::raw_sql(AssertSqlSafe(text))
        .fetch_all(connection)
        .await;
    let mut rows = told.map_err(|error| match &error {
        sqlx::Error::Database(refused) if refused.code().as_deref() == Some(DIVISION_BY_ZERO) => {
            cluster::another_protocol()
        }
        _ => error.into(),
    })?;
    let mut recorded = || {
        let row = rows
            .pop()
            .ok_or_else(|| Failure::Damaged("cluster: there is no row".to_owned()))?;
        if rows.len() + 1 != count_updated + count {
            return Err(statements::edit_key::locked_row_went());
        }
        Ok(Recorded {
            last_seq: row.try_get::<i64, _>("last_seq")?.cast_unsigned(),
            terms: Some(cluster::terms(&row)?),
        })
    };
    // It is committed, so nobody may take it for refused and make it again.
    recorded().map_err(|damage: Failure| Failure::Refused(meaning(damage)))
}

/// What nodes tell each other through this database.
#[allow(clippy::unnecessary_wraps, reason = "an embedded database has none")]
fn shared_by_nodes(store: Arc<PostgresStore>) -> Option<Arc<dyn Cluster>> {
    Some(store)
}

#[cfg(test)]
mod tests;
