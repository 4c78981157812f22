//! What can go wrong with a database.

use std::path::PathBuf;

/// Why a method of a store failed. The text is for logs: it may name tables and must not reach a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or did not answer in time. The same call may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database answers but takes no changes: a read-only file or a full disk. Reading goes on.
    #[error("the database takes no changes: {0}")]
    NotWritable(String),
    /// A row holds what no version of this program writes, or the file is no database.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Anything else: a defect of this program.
    #[error("the database refused a statement: {0}")]
    Internal(String),
}

/// Why a database could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the embedded database.
    #[error(
        "{} is in use by another process (it holds the lock {}): stop that process, or use PostgreSQL to run several",
        database.display(),
        lock.display()
    )]
    InUse {
        /// The database file.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// A newer version of this program has migrated the database.
    #[error(
        "the database has schema {found}, and this version of keywright knows schemas up to {known}: run the newer keywright"
    )]
    NewerSchema {
        /// The newest migration in the database.
        found: i64,
        /// The newest migration this program knows.
        known: i64,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The URL is none of a database.
    #[error(
        "the database URL is not understood: {0}; write sqlite:PATH or postgres://USER@HOST/NAME"
    )]
    Url(String),
    /// A migration failed.
    #[error("the database could not be migrated: {0}")]
    Migration(String),
    /// The database could not be reached or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no random bytes for the tag keys of the built-in keyspaces.
    #[error(transparent)]
    Entropy(#[from] keywright_core::ambient::EntropyError),
}
