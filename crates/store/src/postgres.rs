//! The store of a cluster: PostgreSQL, or a service that speaks its protocol.

mod classification;
mod cluster;
mod connecting;
mod creating;
mod insertion;
mod literal;
#[cfg(test)]
mod planner;
mod uses;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy};
use keywright_core::audit::AuditEntry;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgRow as Row};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection as Connection, Postgres as Db, Row as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::classification::{is_worth_another_try, meaning};
use self::creating::Creations;
use self::insertion::insert_created;
use self::statements::{
    AUDIT_LOG, Appended, Built, Carried, Change, CreateKey, LogStamp, carry_out,
};
use self::uses::{add_counts, gone_keys, write_last_uses};
use crate::cluster::{Cluster, PROTOCOL, Settling, Standing};
use crate::failure::{Failure, timed_out};
use crate::line::Line;
use crate::{
    CONNECTIONS, ChangeObserver, KeyCreated, OpenError, SchemaVersions, Scope, StoreError,
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
];

const LEDGER_EXISTS: &str = "SELECT 1 WHERE to_regclass('_sqlx_migrations') IS NOT NULL";
/// What a change may rest on that changed nothing itself.
const STANDING: &str = "SELECT last_seq, lease_ms, margin_ms FROM cluster WHERE id = 1";
const HEALTH: &str = "SELECT pg_is_in_recovery() OR CAST(current_setting('transaction_read_only') AS BOOLEAN) \
     FROM cluster WHERE id = 1";
const OWN_STATEMENTS: &[&str] = &[
    LEDGER_EXISTS,
    STANDING,
    HEALTH,
    cluster::RENEW,
    cluster::NODES,
    cluster::REMOVE,
    cluster::LEAVE,
    cluster::READ_LOG,
    cluster::TRIM,
    cluster::LOG_LENGTH,
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: CONNECTIONS,
            patience: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
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
    observer: Arc<OnceLock<Arc<dyn ChangeObserver>>>,
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
        transaction(&mut connection, &built, &[0; 16])
            .await
            .map_err(|failure| OpenError::Store(meaning(failure)))?;
        // Nothing waits in it: there is nothing that closing could lose.
        let _ = connection.close().await;

        let patience = options.statement_timeout + Duration::from_secs(1);
        let pool = connecting::pool(address.clone(), &options);
        Ok(Self {
            primary: Arc::new(Primary {
                pool,
                changes: Semaphore::new(part_of(options.max_connections, 2)),
                creations: Creations::new(),
                wait: options.patience,
                patience: 2 * patience,
            }),
            line: Line::default(),
            clock,
            entropy,
            patience,
            lists: Semaphore::new(part_of(options.max_connections, 4)),
            wait: options.patience,
            observer: Arc::default(),
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
        let mut nonce = [0; 16];
        self.entropy
            .fill(&mut nonce)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let primary = self.primary.clone();
        let observer = self.observer.clone();
        // A task of its own: a caller that goes away cancels nothing.
        let written = tokio::spawn(async move {
            let (carried, standing) = primary.write(&change, &nonce).await?;
            if let (Some(observer), Some(change)) = (observer.get(), carried.logged) {
                observer.committed(&[change]);
            }
            Ok((carried.outcome, standing))
        })
        .await;
        let (outcome, standing) = written
            .unwrap_or_else(|_| Err(StoreError::Internal("a change panicked".to_owned())))?;
        if standing.is_some() {
            self.settled(standing).await;
        }
        Ok(outcome)
    }

    /// Those that wait together are one transaction.
    async fn create(&self, creation: CreateKey) -> Result<KeyCreated, StoreError> {
        self.primary.clone().create(creation).await
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
    async fn write<C: Change>(
        &self,
        change: &C,
        nonce: &[u8; 16],
    ) -> Result<(Carried<C::Outcome>, Option<Standing>), StoreError> {
        let _share = share_of(&self.changes, self.wait, "too many changes are waiting").await?;
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(|error| meaning(error.into()))?;
        let mut tries = 1;
        loop {
            let made =
                tokio::time::timeout(self.patience, transaction(&mut connection, change, nonce))
                    .await;
            match made {
                Ok(Ok(made)) => return Ok(made),
                Ok(Err(failure)) if tries < TRIES && is_worth_another_try(&failure) => tries += 1,
                Ok(Err(failure)) => {
                    // It may be in the middle of something.
                    connection.close_on_drop();
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

/// Makes a change as one transaction; where it [settles](Change::SETTLES), also what its outcome may rest on.
async fn transaction<C: Change>(
    connection: &mut Connection,
    change: &C,
    nonce: &[u8; 16],
) -> Result<(Carried<C::Outcome>, Option<Standing>), Failure> {
    let begin = if C::DURABLE { BEGIN } else { BEGIN_RELAXED };
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let made = async {
        let carried = carry_out(change, nonce, connection).await?;
        let own = carried.logged.as_ref().zip(carried.terms);
        let mut standing = own.map(|(change, terms)| Standing {
            seq: change.seq,
            is_own: true,
            terms,
        });
        if standing.is_none() {
            if C::SETTLES {
                standing = newest(connection).await?;
            }
            sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        }
        Ok((carried, standing))
    };
    let made: Result<_, Failure> = made.await;
    if made.is_err() {
        // Where it fails the connection is of no use any more, which whoever uses it next finds out.
        let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
    }
    made
}

/// What a change may rest on that found nothing to do: whatever it read was committed before this.
async fn newest(connection: &mut Connection) -> Result<Option<Standing>, Failure> {
    let row = sqlx::query(STANDING).fetch_one(connection).await?;
    Ok(Some(Standing {
        seq: row.try_get::<i64, _>("last_seq")?.cast_unsigned(),
        is_own: false,
        terms: cluster::terms(&row)?,
    }))
}

/// The last part of a change, its audit entry and its row in the log, and its commit, in one message: the row of `cluster` is the last that is locked, it is
/// held to the commit, so that the order of the log is that of the commits, and never while the server waits for this
/// process.
async fn record(
    connection: &mut Connection,
    entry: &AuditEntry,
    scope: &Scope,
    stamp: &LogStamp<'_>,
) -> Result<Appended, Failure> {
    let (kind, key_hash, user_id, keyspace) = statements::columns(scope);
    let told = insertion::one(&AUDIT_LOG, entry);
    let text = format!(
        "{told}; WITH bumped AS (UPDATE cluster SET last_seq = last_seq + 1 WHERE id = 1 \
             RETURNING last_seq, lease_ms, margin_ms), \
         appended AS (INSERT INTO change_log (seq, nonce, kind, key_hash, user_id, keyspace, at, protocol) \
             SELECT last_seq, {}, '{kind}', {}, {}, {}, {}, {PROTOCOL} FROM bumped) \
         SELECT last_seq, lease_ms, margin_ms, \
             CAST(pg_notify('{}', CAST(last_seq AS TEXT)) AS TEXT) FROM bumped; \
         COMMIT",
        literal::bytes(stamp.nonce),
        literal::optional(key_hash, literal::bytes),
        literal::optional(user_id, literal::text),
        literal::optional(keyspace, literal::text),
        stamp.at.as_micros(),
        cluster::CHANNEL,
    );
    let row = sqlx::raw_sql(AssertSqlSafe(text))
        .fetch_all(connection)
        .await?
        .pop()
        .ok_or_else(|| Failure::Damaged("cluster: there is no row".to_owned()))?;
    Ok(Appended {
        seq: row.try_get("last_seq")?,
        terms: Some(cluster::terms(&row)?),
    })
}

/// What nodes tell each other through this database.
#[allow(clippy::unnecessary_wraps, reason = "an embedded database has none")]
fn shared_by_nodes(store: Arc<PostgresStore>) -> Option<Arc<dyn Cluster>> {
    Some(store)
}

#[cfg(test)]
mod tests;
