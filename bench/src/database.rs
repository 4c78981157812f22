//! Databases to measure on: an embedded one in a folder, or one in a PostgreSQL cluster that commits to the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use keywright_store::Store;
use keywright_store::postgres::{self, PostgresStore};
use keywright_store::sqlite::{self, SqliteStore};
use keywright_testkit::TemporaryPostgres;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::Outcome;
use crate::ambient::{SystemClock, SystemEntropy};
use crate::population::Population;
use crate::process::{Keywright, scratch};

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The embedded one.
    Sqlite,
    /// That of a cluster.
    Postgres,
}

impl Kind {
    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A PostgreSQL cluster of its own that commits to the disk, as a server for customers would.
pub fn durable_cluster() -> Arc<TemporaryPostgres> {
    Arc::new(TemporaryPostgres::options().durable(true).start())
}

/// A database, with a folder for what a server on it keeps.
pub struct Database {
    place: Place,
    folder: PathBuf,
    _scratch: Option<TempDir>,
}

enum Place {
    Sqlite,
    Postgres {
        url: String,
        _cluster: Option<Arc<TemporaryPostgres>>,
    },
}

impl Database {
    /// An embedded one in `folder`, which stays; or else in a folder that goes with it.
    pub fn sqlite(folder: Option<&Path>) -> Outcome<Self> {
        Self::at(Place::Sqlite, folder)
    }

    /// An empty one in `cluster`.
    pub fn postgres_in(cluster: &Arc<TemporaryPostgres>) -> Outcome<Self> {
        let place = Place::Postgres {
            url: cluster.create_database(),
            _cluster: Some(cluster.clone()),
        };
        Self::at(place, None)
    }

    /// The one at `url`, which stays, as `folder` does.
    pub fn postgres_at(url: &str, folder: Option<&Path>) -> Outcome<Self> {
        let place = Place::Postgres {
            url: url.to_owned(),
            _cluster: None,
        };
        Self::at(place, folder)
    }

    fn at(place: Place, folder: Option<&Path>) -> Outcome<Self> {
        let scratch = if folder.is_some() {
            None
        } else {
            Some(scratch()?)
        };
        let folder = match (folder, &scratch) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(scratch)) => scratch.path().join("data"),
            (None, None) => return Err("there is no folder".into()),
        };
        fs::create_dir_all(&folder)?;
        Ok(Self {
            place,
            folder,
            _scratch: scratch,
        })
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self.place {
            Place::Sqlite => Kind::Sqlite,
            Place::Postgres { .. } => Kind::Postgres,
        }
    }

    /// The file of an embedded one.
    pub fn file(&self) -> PathBuf {
        self.folder.join("keywright.db")
    }

    /// The URL of a PostgreSQL one; of an embedded one there is none.
    pub fn url(&self) -> Option<&str> {
        match &self.place {
            Place::Sqlite => None,
            Place::Postgres { url, .. } => Some(url),
        }
    }

    /// The file of an embedded one, to be opened by the bare driver.
    pub fn bare_sqlite(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.file())
    }

    /// Opens it as the server does, by the same defaults.
    pub async fn open(&self) -> Outcome<Arc<dyn Store>> {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        Ok(match &self.place {
            Place::Sqlite => {
                let options = sqlite::Options::default();
                Arc::new(SqliteStore::open(&self.file(), clock, entropy, options).await?)
            }
            Place::Postgres { url, .. } => {
                let options = postgres::Options::default();
                Arc::new(PostgresStore::connect(url, clock, entropy, options).await?)
            }
        })
    }

    /// What a loader fills it with, or has filled it.
    pub async fn population(&self) -> Outcome<Population> {
        let store = self.open().await?;
        let population = Population::of(&*store).await;
        store.close().await;
        population
    }

    /// Starts a server on it, with further `options` of `serve`, and waits until it is ready.
    pub fn serve<'a>(&'a self, options: impl IntoIterator<Item = &'a str>) -> Outcome<Keywright> {
        let mut given: Vec<String> = options.into_iter().map(str::to_owned).collect();
        if let Place::Postgres { url, .. } = &self.place {
            // In a file, as it should be: others could read a password among the arguments.
            let file = self.folder.join("bench.toml");
            let secret = "0123456789abcdef0123456789abcdef";
            fs::write(
                &file,
                format!("database = \"{url}\"\njwt-secret = \"{secret}\"\n"),
            )?;
            given.extend(["--config".to_owned(), file.display().to_string()]);
        }
        Keywright::start(&self.folder, given)
    }
}
