//! A database of one's own, opened, and short ways to fill it and to look at it from outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::audit::{Actor, ActorKind, Attribution, AuditEntry};
use keywright_core::authority::{Caller, KeyEdit};
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::{ApiKey, KeyRecord, Metadata};
use keywright_core::keyspace::{DEFAULT, Keyspace, SERVICE};
use keywright_core::lifecycle::{Lifecycle, Transition};
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use keywright_core::timestamp::Timestamp;
use keywright_store::postgres::PostgresStore;
use keywright_store::sqlite::SqliteStore;
use keywright_store::{AuditQuery, KeyCreated, KeyEdited, KeySelector, OpenError, Store};
use keywright_testkit::{TestDatabase, fresh_database};
use sqlx::{AssertSqlSafe, Connection, Row};
use tempfile::TempDir;
use uuid::Uuid;

use crate::ambient::{Counting, StandingClock, draw};

/// Where a database is.
pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

impl Place {
    /// The file of an embedded database, in a folder that is not there yet.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("data").join("keywright.db"),
            Self::Postgres(_) => panic!("there is no file"),
        }
    }
}

/// Where its server is.
pub(crate) fn postgres_url(world: &World) -> &str {
    let Place::Postgres(database) = &world.place else {
        panic!("this is no PostgreSQL")
    };
    database.url()
}

/// An empty database, opened.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) place: Place,
}

/// A row of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) seq: i64,
    pub(crate) nonce: Vec<u8>,
    /// `key <hash>`, `user <id>` or `keyspace <name>`.
    pub(crate) what: String,
    pub(crate) at: Timestamp,
}

impl World {
    pub(crate) async fn on_sqlite() -> Self {
        Self::at(Place::Sqlite(TempDir::new().expect("a temporary folder"))).await
    }

    pub(crate) async fn on_postgres() -> Self {
        let database = tokio::task::spawn_blocking(fresh_database)
            .await
            .expect("a database");
        Self::at(Place::Postgres(database)).await
    }

    async fn at(place: Place) -> Self {
        let clock = Arc::new(StandingClock::new());
        let store = open(&place, &clock).await.expect("an empty database opens");
        Self {
            store,
            clock,
            place,
        }
    }

    /// Opens the same database once more.
    pub(crate) async fn open_again(&self) -> Result<Arc<dyn Store>, OpenError> {
        open(&self.place, &self.clock).await
    }

    /// Opens the same embedded database once more, as what it is.
    pub(crate) async fn open_sqlite(&self) -> Result<SqliteStore, OpenError> {
        open_sqlite(&self.place, &self.clock).await
    }

    /// Opens the same PostgreSQL database once more, as what it is.
    pub(crate) async fn open_postgres(&self) -> Result<PostgresStore, OpenError> {
        let Place::Postgres(database) = &self.place else {
            panic!("this is no PostgreSQL")
        };
        open_postgres(database, &self.clock).await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// By a command, at no time in particular.
    pub(crate) fn nobody_in_particular() -> Attribution {
        Attribution {
            entry_id: id(),
            at: Timestamp::from_micros(0),
            actor: Actor {
                kind: ActorKind::CommandLine,
                id: "tests".to_owned(),
            },
            ip: None,
            user_agent: None,
            request_id: None,
        }
    }

    /// By a service key, now, from somewhere.
    pub(crate) fn by(&self) -> Attribution {
        Attribution {
            entry_id: id(),
            at: self.now(),
            actor: Actor {
                kind: ActorKind::ServiceKey,
                id: "a service key".to_owned(),
            },
            ip: Some("192.0.2.1".to_owned()),
            user_agent: Some("tests".to_owned()),
            request_id: Some("request".to_owned()),
        }
    }

    /// A key of `user` in `default`, made now and not written yet.
    pub(crate) fn draft(&self, user: &str) -> KeyRecord {
        let [keyspace, _] = Keyspace::built_in(self.now());
        self.draft_in(keyspace, self::user(user))
    }

    /// A service key with these grants, made now and not written yet.
    pub(crate) fn draft_of_service_key(&self, grants: Grants) -> KeyRecord {
        let [_, keyspace] = Keyspace::built_in(self.now());
        let mut record = self.draft_in(keyspace, UserId::reserved());
        record.key.grants = grants;
        record
    }

    pub(crate) fn draft_in(&self, keyspace: Keyspace, user_id: UserId) -> KeyRecord {
        let key = ApiKey {
            id: KeyId(id()),
            keyspace: keyspace.name.clone(),
            user_id,
            name: KeyName::new("a key").unwrap(),
            description: None,
            prefix: format!("{}abc", keyspace.prefix),
            postfix: "01234567".to_owned(),
            lifecycle: Lifecycle::Active,
            grants: Grants(0b11),
            created_at: self.now(),
            updated_at: self.now(),
            last_used_at: None,
            expires_at: None,
            metadata: Metadata::empty(),
        };
        KeyRecord {
            key,
            digest: Digest::of(&format!("{:x}", draw())),
            keyspace: Arc::new(keyspace),
        }
    }

    /// Writes a key.
    pub(crate) async fn create(&self, record: KeyRecord) -> KeyRecord {
        self.store
            .create_key(record.clone(), Caller::Operator, self.by())
            .await
            .map(|created| assert_eq!(created, KeyCreated::Done))
            .expect("a key is made");
        record
    }

    /// A key of `user`, written.
    pub(crate) async fn key(&self, user: &str) -> KeyRecord {
        self.create(self.draft(user)).await
    }

    /// A service key, written.
    pub(crate) async fn service_key(&self, grants: Grants) -> KeyRecord {
        self.create(self.draft_of_service_key(grants)).await
    }

    /// The key as it is now.
    pub(crate) async fn look_up(&self, record: &KeyRecord) -> KeyRecord {
        self.store
            .find_key(record.key.id)
            .await
            .expect("an answer")
            .expect("a key")
    }

    /// Edits a key on the authority of whoever has the database.
    pub(crate) async fn edit(&self, record: &KeyRecord, edit: KeyEdit) -> KeyEdited {
        let which = KeySelector::Id(record.key.id);
        self.store
            .edit_key(which, Caller::Operator, edit, self.by())
            .await
            .expect("an answer")
    }

    pub(crate) async fn transition(&self, record: &KeyRecord, transition: Transition) -> KeyEdited {
        self.edit(record, KeyEdit::Transition(transition)).await
    }

    /// The whole audit log, oldest first.
    pub(crate) async fn audit(&self) -> Vec<AuditEntry> {
        let all = AuditQuery {
            limit: 10_000,
            ..AuditQuery::default()
        };
        let mut page = self.store.list_audit(&all).await.expect("an answer");
        assert!(
            !page.more,
            "the audit log is longer than these tests make it"
        );
        page.entries.reverse();
        page.entries
    }

    /// The entries since there were `count`.
    pub(crate) async fn audit_since(&self, count: usize) -> Vec<AuditEntry> {
        self.audit().await.split_off(count)
    }

    /// The whole change log. Its hashes are shown here as the digests they must be.
    pub(crate) async fn change_log(&self) -> Vec<Logged> {
        const ALL: &str =
            "SELECT seq, nonce, kind, key_hash, user_id, keyspace, at FROM change_log ORDER BY seq";
        macro_rules! logged {
            ($row:ident) => {
                Logged {
                    seq: $row.get("seq"),
                    nonce: $row.get("nonce"),
                    what: match $row.get::<String, _>("kind").as_str() {
                        "key" => key_line(&$row.get::<Vec<u8>, _>("key_hash")),
                        "user" => format!("user {}", $row.get::<String, _>("user_id")),
                        kind => format!("{kind} {}", $row.get::<String, _>("keyspace")),
                    },
                    at: Timestamp::from_micros($row.get("at")),
                }
            };
        }
        match &self.place {
            Place::Sqlite(_) => {
                let mut connection = self.outside_sqlite().await;
                let rows = sqlx::query(ALL).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| logged!(row)).collect()
            }
            Place::Postgres(database) => {
                let mut connection = sqlx::PgConnection::connect(database.url()).await.unwrap();
                let rows = sqlx::query(ALL).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| logged!(row)).collect()
            }
        }
    }

    /// What the change log says, oldest first.
    pub(crate) async fn logged(&self) -> Vec<String> {
        self.change_log()
            .await
            .into_iter()
            .map(|row| row.what)
            .collect()
    }

    /// One number from a statement, asked from outside the store.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        match &self.place {
            Place::Sqlite(_) => {
                let mut connection = self.outside_sqlite().await;
                sqlx::query_scalar(AssertSqlSafe(statement))
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
            }
            Place::Postgres(database) => {
                let mut connection = sqlx::PgConnection::connect(database.url()).await.unwrap();
                sqlx::query_scalar(AssertSqlSafe(statement))
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
            }
        }
    }

    /// Runs a statement from outside the store.
    pub(crate) async fn execute(&self, statement: &str) {
        match &self.place {
            Place::Sqlite(_) => {
                let mut connection = self.outside_sqlite().await;
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
            Place::Postgres(database) => {
                let mut connection = sqlx::PgConnection::connect(database.url()).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
        }
    }

    async fn outside_sqlite(&self) -> sqlx::SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.place.file())
            .busy_timeout(Duration::from_secs(10));
        sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap()
    }
}

async fn open(place: &Place, clock: &Arc<StandingClock>) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match place {
        Place::Sqlite(_) => Arc::new(open_sqlite(place, clock).await?),
        Place::Postgres(database) => Arc::new(open_postgres(database, clock).await?),
    })
}

async fn open_sqlite(place: &Place, clock: &Arc<StandingClock>) -> Result<SqliteStore, OpenError> {
    let options = keywright_store::sqlite::Options::default();
    SqliteStore::open(&place.file(), clock.clone(), Arc::new(Counting), options).await
}

async fn open_postgres(
    database: &TestDatabase,
    clock: &Arc<StandingClock>,
) -> Result<PostgresStore, OpenError> {
    let options = keywright_store::postgres::Options::default();
    PostgresStore::connect(database.url(), clock.clone(), Arc::new(Counting), options).await
}

/// What the change log says of a key.
pub(crate) fn key_line(hash: &[u8]) -> String {
    format!("key {hash:02x?}")
}

/// What the change log says of this key.
pub(crate) fn line_of(record: &KeyRecord) -> String {
    key_line(record.digest.as_bytes())
}

/// An id that no other call gives, later than all before it.
pub(crate) fn id() -> Uuid {
    use std::sync::atomic::{AtomicU64, Ordering};
    static MADE: AtomicU64 = AtomicU64::new(1_795_338_000_123);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&draw().to_le_bytes());
    uuid::Builder::from_unix_timestamp_millis(MADE.fetch_add(1, Ordering::Relaxed), &random)
        .into_uuid()
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub(crate) fn keyspace_name(name: &str) -> KeyspaceName {
    KeyspaceName::new(name).unwrap()
}

/// The names of the built-in keyspaces, as lists have them.
pub(crate) const BUILT_IN: [&str; 2] = [DEFAULT, SERVICE];

/// Waits until `condition` holds. It is only for what another task does; ten seconds are far more than it takes.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let waiting = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
