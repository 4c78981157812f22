//! Which store a database's URL means: the only place in the workspace that names one.

use std::path::PathBuf;
use std::sync::Arc;

use keywright_store::postgres::{self, PostgresStore};
use keywright_store::sqlite::{self, SqliteStore};
use keywright_store::{OpenError, SchemaVersions, Store, StoreError};
use secrecy::ExposeSecret;

use crate::configuration::{DatabaseUrl, Storage};
use crate::failure::Failure;
use crate::service_key;
use crate::system::{SystemClock, SystemEntropy};

/// Opens the database, brings its tables up to date, and makes what is missing.
///
/// # Errors
/// [`Failure::Refused`] with what the store says, which is what to do.
pub(crate) async fn open(storage: &Storage) -> Result<Arc<dyn Store>, Failure> {
    let clock = Arc::new(SystemClock);
    let entropy = Arc::new(SystemEntropy);
    let opened: Result<Arc<dyn Store>, OpenError> = match &storage.database {
        DatabaseUrl::Sqlite(path) => {
            let options = embedded_options(storage);
            let store = SqliteStore::open(path, clock, entropy, options).await;
            store.map(|store| Arc::new(store) as _)
        }
        DatabaseUrl::Postgres(url) => {
            let options = postgres::Options {
                max_connections: storage.connections.get(),
                tells: storage.tells,
                ..postgres::Options::default()
            };
            let store = PostgresStore::connect(url.expose_secret(), clock, entropy, options).await;
            store.map(|store| Arc::new(store) as _)
        }
    };
    opened.map_err(|error| cannot_open(&storage.database, &error))
}

/// How many files or connections an opened database has open at most.
pub(crate) fn open_files(storage: &Storage) -> u64 {
    match &storage.database {
        DatabaseUrl::Sqlite(_) => embedded_options(storage).open_files(),
        DatabaseUrl::Postgres(_) => u64::from(storage.connections.get()),
    }
}

fn embedded_options(storage: &Storage) -> sqlite::Options {
    sqlite::Options {
        readers: storage.connections.get(),
        ..sqlite::Options::default()
    }
}

/// What is damaged in an embedded database, if anything. Changes nothing, and takes no lock that a running server holds.
///
/// # Errors
/// As [`open`].
pub(crate) async fn damage(database: &DatabaseUrl) -> Result<Option<String>, Failure> {
    match database {
        DatabaseUrl::Sqlite(path) => SqliteStore::damage(path)
            .await
            .map_err(|error| cannot_open(database, &error)),
        // PostgreSQL looks after its own files.
        DatabaseUrl::Postgres(_) => Ok(None),
    }
}

/// The files and folders of an embedded database that its server must be able to write, as far as they are there.
pub(crate) fn written_files(database: &DatabaseUrl) -> Vec<PathBuf> {
    match database {
        DatabaseUrl::Sqlite(path) => SqliteStore::written_files(path),
        DatabaseUrl::Postgres(_) => Vec::new(),
    }
}

/// How far the tables of the database are. Changes nothing, and takes no lock that a running server holds.
///
/// # Errors
/// As [`open`].
pub(crate) async fn schema_versions(database: &DatabaseUrl) -> Result<SchemaVersions, Failure> {
    let versions = match database {
        DatabaseUrl::Sqlite(path) => SqliteStore::schema_versions(path).await,
        DatabaseUrl::Postgres(url) => PostgresStore::schema_versions(url.expose_secret()).await,
    };
    versions.map_err(|error| cannot_open(database, &error))
}

/// Whether there is a service key, of whatever status, in a database of this version's schema. Changes nothing, and
/// takes no lock that a running server holds.
///
/// # Errors
/// As [`open`].
pub(crate) async fn service_key_exists(storage: &Storage) -> Result<bool, Failure> {
    // Whoever opens an embedded database holds it alone, and its server may be running, or about to start.
    if let DatabaseUrl::Sqlite(path) = &storage.database {
        let exists = SqliteStore::service_key_exists(path).await;
        return exists.map_err(|error| cannot_open(&storage.database, &error));
    }
    let store = open(storage).await?;
    let exists = service_key::exists(&*store).await;
    store.close().await;
    exists
}

fn cannot_open(database: &DatabaseUrl, error: &OpenError) -> Failure {
    match error {
        // These name the file themselves, or are about the program.
        OpenError::InUse { .. } | OpenError::File { .. } | OpenError::Entropy(_) => {
            Failure::refused(error.to_string())
        }
        _ => Failure::refused(format!("{database}: {error}")),
    }
}

/// A statement failed on a database that was opened.
pub(crate) fn failed(error: &StoreError) -> Failure {
    Failure::refused(error.to_string())
}
