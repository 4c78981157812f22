//! A database of each kind, for one test.

use std::path::PathBuf;
use std::sync::Arc;

use keywright_core::ambient::{Clock, Entropy};
use keywright_store::Store;
use keywright_store::postgres::{self, PostgresStore};
use keywright_store::sqlite::{self, SqliteStore};
use keywright_testkit::TestDatabase;
use tempfile::TempDir;

/// On which store a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// An empty database that goes with this value.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

impl Database {
    pub(crate) fn fresh(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite(TempDir::with_prefix("keywright-server-").unwrap()),
            Kind::Postgres => Self::Postgres(keywright_testkit::fresh_database()),
        }
    }

    pub(crate) async fn open(
        &self,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(folder) => {
                let path: PathBuf = folder.path().join("keywright.db");
                let options = sqlite::Options::default();
                let store = SqliteStore::open(&path, clock, entropy, options).await;
                Arc::new(store.expect("a fresh file can be opened"))
            }
            Self::Postgres(database) => {
                let options = postgres::Options::default();
                let store = PostgresStore::connect(database.url(), clock, entropy, options).await;
                Arc::new(store.expect("a fresh database can be opened"))
            }
        }
    }
}
