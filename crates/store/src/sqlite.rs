//! The embedded store: one SQLite file, one process, one writer, many readers.

mod classification;
mod file;
mod insertion;
#[cfg(test)]
mod planner;
mod uses;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow as Row,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, Sqlite as Db, SqliteConnection as Connection};
use tokio::task::JoinHandle;

use self::classification::meaning;
use self::file::DatabaseFile;
pub use self::file::make_private_folder;
use self::insertion::{insert_created, insert_entry};
use self::statements::{Built, Change, CreateKey, EditKey, Record, Recorded};
use self::uses::{add_counts, gone_keys, write_last_uses};
use self::writer::Writer;
use crate::cluster::{Cluster, Settling, Standing, Survey};
use crate::failure::Failure;
use crate::line::Line;
use crate::{
    CONNECTIONS, ChangeObserver, KeyCreated, KeyEdited, OpenError, SchemaVersions, StoreError,
};

/// One writer at a time, and a transaction that begins as a writer's: rows need no locks of their own.
macro_rules! for_update {
    () => {
        ""
    };
}

/// As above: nobody else writes meanwhile.
macro_rules! for_share {
    () => {
        ""
    };
}

/// Whether who answers may know less than another. Nobody else has the file.
macro_rules! in_recovery {
    () => {
        "FALSE AS in_recovery"
    };
}

/// Whether a column has one of the values that this selects.
macro_rules! among {
    ($select:literal) => {
        concat!("IN (", $select, ")")
    };
}

/// The name of a key as it is searched: without the case of A to Z, in the order of code points.
macro_rules! searched_name {
    () => {
        "lower(k.name)"
    };
}

#[allow(
    clippy::duplicate_mod,
    reason = "compiled once for each driver, so that each has its real types"
)]
#[path = "statements/mod.rs"]
mod statements;

type ThisStore = SqliteStore;

const NAME: &str = "sqlite";

/// The lock on the file sees to it.
const IS_EXCLUSIVE: bool = true;

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "keys",
        include_str!("../migrations/sqlite/0001_keys.sql"),
    ),
    (
        2,
        "usage",
        include_str!("../migrations/sqlite/0002_usage.sql"),
    ),
    (
        3,
        "imported keys",
        include_str!("../migrations/sqlite/0003_imported_keys.sql"),
    ),
    (
        4,
        "console",
        include_str!("../migrations/sqlite/0004_console.sql"),
    ),
    (
        5,
        "search",
        include_str!("../migrations/sqlite/0005_search.sql"),
    ),
];

const LEDGER_EXISTS: &str =
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";
const NEXT_SEQ: &str = "UPDATE cluster SET last_seq = last_seq + 1 WHERE id = 1 RETURNING last_seq";
const APPEND: &str = "INSERT INTO change_log (seq, nonce, kind, key_hash, user_id, keyspace, at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const LAST_SEQ: &str = "SELECT last_seq FROM cluster WHERE id = 1";
const SURVEY: &str =
    "SELECT last_seq, (SELECT MIN(seq) FROM change_log) AS oldest FROM cluster WHERE id = 1";
const OWN_STATEMENTS: &[&str] = &[LEDGER_EXISTS, NEXT_SEQ, APPEND, LAST_SEQ, SURVEY];

/// How many connections read lists at once.
const LISTERS: u32 = 2;

/// After how many instructions of its machine SQLite looks whether a list is still wanted: less than a millisecond.
const STEPS: i32 = 10_000;

/// How an embedded database is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections look things up at once. Two more read lists.
    pub readers: u32,
    /// How long to wait for a connection, for one reading, for the queue of changes, or for another program that
    /// holds the file's own lock (a backup, the `sqlite3` shell).
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: CONNECTIONS,
            patience: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// How many files a store holds open at most: the database and its log for each connection (readers, listers and
    /// two for the writer, which opens a new one before it lets go of one that failed), the log's index, the lock.
    #[must_use]
    pub fn open_files(&self) -> u64 {
        2 * (u64::from(self.readers) + u64::from(LISTERS) + 2) + 2
    }
}

/// An embedded database, opened by this process and no other.
pub struct SqliteStore {
    readers: SqlitePool,
    /// Who waits for a key to be read.
    line: Line,
    /// What reads lists. It may be slow, and keeps nobody waiting who looks up one key.
    listers: SqlitePool,
    writer: Writer,
    /// The task of the writer, until somebody waits for its end.
    writing: Mutex<Option<JoinHandle<()>>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    patience: Duration,
    observer: Arc<OnceLock<Arc<dyn ChangeObserver>>>,
    settling: OnceLock<Arc<dyn Settling>>,
}

impl SqliteStore {
    /// Opens the database in the file at `path`, making what is missing of it: folder (0700), file (0600), tables,
    /// built-in keyspaces.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where another process, or another store of this one, has it open;
    /// [`OpenError::NewerSchema`] and [`OpenError::Migration`] about its tables; [`OpenError::File`] where folder,
    /// file or lock cannot be made; [`OpenError::Store`] for what SQLite itself refuses.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let file = DatabaseFile::claim(path)?;
        let writing_options = connect_options(&file, &options)
            .journal_mode(SqliteJournalMode::Wal)
            // I1: a commit is on the disk before it is answered.
            .synchronous(SqliteSynchronous::Full)
            // fsync on macOS stops at the drive's own cache.
            .pragma("fullfsync", "ON")
            .pragma("checkpoint_fullfsync", "ON")
            // The log is moved into the database at every 16 MiB, and not at SQLite's 4: a page that many changes
            // write is moved once for all of them. One that a long reader made larger is cut back afterwards.
            .pragma("wal_autocheckpoint", "4096")
            .pragma("journal_size_limit", "67108864")
            // 16 MiB. Keys come at random places of their indexes.
            .pragma("cache_size", "-16384");
        let mut connection = Connection::connect_with(&writing_options)
            .await
            .map_err(refused)?;
        statements::prepare_database(&mut connection).await?;
        let built = Built::new(clock.now(), &*entropy)?;
        writer::alone(&mut connection, &built)
            .await
            .map_err(OpenError::Store)?;

        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                // All are opened here and none is closed before the end: a process that has run out of open files
                // meanwhile still reads.
                .min_connections(connections)
                .idle_timeout(None)
                .max_lifetime(None)
                .acquire_timeout(options.patience)
                // A file cannot hang up.
                .test_before_acquire(false)
                .connect_with(connect_options(&file, &options).pragma("query_only", "ON"))
        };
        let readers = pool(options.readers).await.map_err(refused)?;
        let listers = pool(LISTERS).await.map_err(refused)?;
        let observer = Arc::new(OnceLock::new());
        let task = writer::Task::new(connection, writing_options, file, observer.clone());
        let (writer, writing) = Writer::start(task, options.patience);
        Ok(Self {
            readers,
            line: Line::default(),
            listers,
            writer,
            writing: Mutex::new(Some(writing)),
            clock,
            entropy,
            patience: options.patience,
            observer,
            settling: OnceLock::new(),
        })
    }

    /// How far the tables of the database at `path` are. Changes nothing, and may be asked while a server runs.
    ///
    /// # Errors
    /// [`OpenError::Store`] where there is no such database or it cannot be read.
    pub async fn schema_versions(path: &Path) -> Result<SchemaVersions, OpenError> {
        let mut connection = look_into(path).await?;
        let versions = statements::applied_and_known(&mut connection).await;
        // Nothing was written: there is nothing that closing could lose.
        let _ = connection.close().await;
        versions
    }

    /// Whether the database at `path` holds a service key, of whatever status. Changes nothing, and may be asked
    /// while a server runs.
    ///
    /// # Errors
    /// [`OpenError::Store`] where there is no such database, it has no tables yet, or it cannot be read.
    pub async fn service_key_exists(path: &Path) -> Result<bool, OpenError> {
        let mut connection = look_into(path).await?;
        let exists = statements::any_service_key(&mut connection).await;
        let _ = connection.close().await;
        exists.map_err(|failure| OpenError::Store(meaning(failure)))
    }

    /// What SQLite finds damaged first in the database at `path`; `None` where it finds nothing. Reads all of it,
    /// changes nothing, and may be asked while a server runs.
    ///
    /// # Errors
    /// [`OpenError::Store`] where there is no such database or it cannot be read.
    pub async fn damage(path: &Path) -> Result<Option<String>, OpenError> {
        let mut connection = look_into(path).await?;
        let found: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&mut connection)
            .await;
        let _ = connection.close().await;
        match found.map_err(refused) {
            Ok(found) => Ok((found != "ok").then_some(found)),
            Err(OpenError::Store(StoreError::Damaged(text))) => Ok(Some(text)),
            Err(error) => Err(error),
        }
    }

    /// The files of the database at `path` that are there, and the folder they are in: whoever serves it writes them
    /// all.
    #[must_use]
    pub fn written_files(path: &Path) -> Vec<PathBuf> {
        file::written(path)
    }

    /// The connections that look things up.
    fn pool(&self) -> &SqlitePool {
        &self.readers
    }

    /// A connection for a list. What it does stops when nobody holds the first of the two any more: SQLite would
    /// else read on to the end, and its connection with it.
    async fn read_list(&self) -> Result<(Arc<()>, PoolConnection<Db>), StoreError> {
        let acquired = async {
            let mut connection = self.listers.acquire().await?;
            let wanted = Arc::new(());
            let still_wanted = Arc::downgrade(&wanted);
            connection
                .lock_handle()
                .await?
                .set_progress_handler(STEPS, move || still_wanted.strong_count() > 0);
            Ok((wanted, connection))
        };
        acquired
            .await
            .map_err(|error: sqlx::Error| meaning(error.into()))
    }

    async fn write<C: Change>(&self, change: C) -> Result<C::Outcome, StoreError> {
        let mut nonce = [0; 16];
        self.entropy
            .fill(&mut nonce)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let outcome = self.writer.run(change, nonce).await?;
        if C::SETTLES {
            // This process was told before the answer came.
            self.settled(None).await;
        }
        Ok(outcome)
    }

    /// The one writer makes those that wait together with what else waits.
    async fn edit(&self, edit: EditKey) -> Result<KeyEdited, StoreError> {
        self.write(edit).await
    }

    /// Those that wait together are made together.
    async fn create(&self, creation: CreateKey) -> Result<KeyCreated, StoreError> {
        self.writer.create(creation).await
    }

    fn observer(&self) -> &OnceLock<Arc<dyn ChangeObserver>> {
        &self.observer
    }

    fn pools(&self) -> [&SqlitePool; 2] {
        [&self.readers, &self.listers]
    }

    async fn check_health(&self) -> Result<(), StoreError> {
        let mut connection = self.read().await?;
        sqlx::query(LAST_SEQ)
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| meaning(error.into()))?;
        drop(connection);
        self.writer.check().await
    }

    async fn finish(&self) {
        self.writer.take_no_more();
        self.readers.close().await;
        self.listers.close().await;
        let writing = self
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writing) = writing
            && let Err(error) = writing.await
        {
            tracing::error!(%error, "the task that writes did not end well");
        }
    }
}

fn refused(error: sqlx::Error) -> OpenError {
    OpenError::Store(meaning(error.into()))
}

/// A connection that cannot write, beside whoever has the database open. Where nobody has, and all is in the one file,
/// it is read as one that does not change: SQLite would else make a log and its index, and leave them there.
async fn look_into(path: &Path) -> Result<Connection, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(file::is_at_rest(path))
        .disable_statement_logging();
    Connection::connect_with(&options).await.map_err(refused)
}

fn connect_options(file: &DatabaseFile, options: &Options) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file.path())
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(options.patience)
        .disable_statement_logging()
}

/// Nobody else has the file.
#[allow(clippy::unnecessary_wraps, reason = "another server can be a standby")]
fn primary_only(_: &Row) -> Result<(), Failure> {
    Ok(())
}

/// There is nobody else to wait for.
async fn newest(_: &mut Connection) -> Result<Option<Standing>, Failure> {
    Ok(None)
}

/// Its one node has agreed on nothing with anybody.
async fn survey(connection: &mut Connection) -> Result<Survey, Failure> {
    let row = sqlx::query(SURVEY).fetch_one(connection).await?;
    let (last_seq, log_rows) = statements::extent_of_log(&row)?;
    Ok(Survey {
        last_seq,
        log_rows,
        agreed: None,
        nodes: Vec::new(),
    })
}

/// It has one node.
fn shared_by_nodes(_: Arc<SqliteStore>) -> Option<Arc<dyn Cluster>> {
    None
}

/// The last part of changes: their audit entries and their rows in the log. The one writer makes the order of the log
/// that of the commits.
async fn record(connection: &mut Connection, records: &[Record<'_>]) -> Result<Recorded, Failure> {
    let mut last: i64 = 0;
    for Record {
        entry,
        scope,
        nonce,
    } in records
    {
        insert_entry(connection, entry).await?;
        last = sqlx::query_scalar(NEXT_SEQ)
            .fetch_one(&mut *connection)
            .await?;
        let (kind, key_hash, user_id, keyspace) = statements::columns(scope);
        sqlx::query(APPEND)
            .bind(last)
            .bind(nonce.as_slice())
            .bind(kind)
            .bind(key_hash)
            .bind(user_id)
            .bind(keyspace)
            .bind(entry.by.at.as_micros())
            .execute(&mut *connection)
            .await?;
    }
    Ok(Recorded {
        last_seq: last.cast_unsigned(),
        terms: None,
    })
}
