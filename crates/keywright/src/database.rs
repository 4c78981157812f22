//! Which store a database's URL means: the only place in the workspace that names one.

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
    let connections = storage.connections.get();
    let opened: Result<Arc<dyn Store>, OpenError> = match &storage.database {
        DatabaseUrl::Sqlite(path) => {
            let options = sqlite::Options {
                readers: connections,
                ..sqlite::Options::default()
            };
            let store = SqliteStore::open(path, clock, entropy, options).await;
            store.map(|store| Arc::new(store) as _)
        }
        DatabaseUrl::Postgres(url) => {
            let options = postgres::Options {
                max_connections: connections,
                ..postgres::Options::default()
            };
            let store = PostgresStore::connect(url.expose_secret(), clock, entropy, options).await;
            store.map(|store| Arc::new(store) as _)
        }
    };
    opened.map_err(|error| cannot_open(&storage.database, &error))
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
