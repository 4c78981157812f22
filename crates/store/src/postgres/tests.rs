//! How transactions begin, end and are begun again.

use std::sync::atomic::{AtomicU32, Ordering};

use keywright_core::timestamp::Timestamp;
use keywright_testkit::fresh_database;
use uuid::Uuid;

use super::statements::Made;
use super::*;
use crate::standing::Standing;

async fn connect(url: &str) -> PostgresStore {
    PostgresStore::connect(
        url,
        Arc::new(Standing),
        Arc::new(Standing),
        Options::default(),
    )
    .await
    .unwrap()
}

/// Counts its tries in the table of users, and in the first of them raises an error of this code.
struct Raising {
    code: &'static str,
    times: u32,
    tries: Arc<AtomicU32>,
}

impl Change for Raising {
    type Outcome = ();

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        let tried = self.tries.fetch_add(1, Ordering::Relaxed);
        sqlx::query("INSERT INTO users (id, created_at, api_keys) VALUES ($1, 1, 0)")
            .bind(format!("try {tried}"))
            .execute(&mut *connection)
            .await?;
        if tried < self.times {
            let raise = format!(
                "DO $$ BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '{}'; END $$",
                self.code
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(raise))
                .execute(&mut *connection)
                .await?;
        }
        Ok(Made::unrecorded(()))
    }
}

async fn raise(
    store: &PostgresStore,
    code: &'static str,
    times: u32,
) -> (Result<(), StoreError>, u32) {
    let tries = Arc::new(AtomicU32::new(0));
    let answer = store
        .write(Raising {
            code,
            times,
            tries: tries.clone(),
        })
        .await;
    (answer, tries.load(Ordering::Relaxed))
}

async fn users(store: &PostgresStore) -> Vec<String> {
    let statement = "SELECT id FROM users WHERE id <> '' ORDER BY id";
    sqlx::query_scalar(statement)
        .fetch_all(store.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_rolled_back_for_anothers_sake_is_begun_again() {
    let database = fresh_database();
    let store = connect(database.url()).await;
    for (code, tries) in [("40001", 3), ("40P01", 3)] {
        assert_eq!(raise(&store, code, 2).await, (Ok(()), tries));
        assert_eq!(users(&store).await, ["try 2"], "what failed is undone");
        sqlx::query("DELETE FROM users WHERE id <> ''")
            .execute(store.pool())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_not_begun_again_for_ever_nor_after_other_errors() {
    let database = fresh_database();
    let store = connect(database.url()).await;
    let (answer, tries) = raise(&store, "40001", u32::MAX).await;
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
    assert_eq!(tries, TRIES);
    let (answer, tries) = raise(&store, "23505", 1).await;
    assert!(matches!(answer, Err(StoreError::Internal(_))), "{answer:?}");
    assert_eq!(tries, 1);
    let (answer, tries) = raise(&store, "53100", 1).await;
    assert!(
        matches!(answer, Err(StoreError::NotWritable(_))),
        "{answer:?}"
    );
    assert_eq!(tries, 1);
    assert_eq!(users(&store).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_refused_leaves_its_connection_to_the_next() {
    let database = fresh_database();
    let options = Options {
        max_connections: 1,
        ..Options::default()
    };
    let clock = Arc::new(Standing);
    let store = PostgresStore::connect(database.url(), clock.clone(), clock, options)
        .await
        .unwrap();
    let server_process = async || {
        sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()")
            .fetch_one(store.pool())
            .await
            .unwrap()
    };
    let before = server_process().await;
    for code in ["23505", "53100"] {
        let (answer, _) = raise(&store, code, 1).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(server_process().await, before);
    assert_eq!(raise(&store, "23505", 0).await, (Ok(()), 1));
    assert_eq!(users(&store).await, ["try 0"], "nothing was left open");
    // One that is gone is not given to anybody.
    let end = format!("DO $$ BEGIN PERFORM pg_terminate_backend({before}); END $$");
    let ended = sqlx::raw_sql(sqlx::AssertSqlSafe(end))
        .execute(store.pool())
        .await;
    assert!(ended.is_err(), "it ended itself");
    assert_ne!(server_process().await, before);
}

/// Tells a setting within the transaction.
struct Setting<const DURABLE: bool>(&'static str);

impl<const DURABLE: bool> Change for Setting<DURABLE> {
    type Outcome = String;
    const DURABLE: bool = DURABLE;

    async fn make(&self, connection: &mut Connection) -> Result<Made<String>, Failure> {
        let setting = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(self.0)
            .fetch_one(connection)
            .await?;
        Ok(Made::unrecorded(setting))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_brings_its_own_settings() {
    let database = fresh_database();
    let store = connect(database.url()).await;
    // I1, whatever the server's setting is (the tests' server has it off).
    assert_eq!(
        store
            .write(Setting::<true>("synchronous_commit"))
            .await
            .unwrap(),
        "on"
    );
    assert_eq!(
        store
            .write(Setting::<false>("synchronous_commit"))
            .await
            .unwrap(),
        "off"
    );
    for (setting, value) in [
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "3s"),
        ("statement_timeout", "10s"),
        ("transaction_isolation", "read committed"),
        ("application_name", "keywright"),
    ] {
        assert_eq!(
            store.write(Setting::<true>(setting)).await.unwrap(),
            value,
            "{setting}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_in_the_middle_does_not_stop_the_others() {
    let database = fresh_database();
    let (stopped, other) = (connect(database.url()).await, connect(database.url()).await);
    let mut begun = stopped.pool().begin_with(BEGIN).await.unwrap();
    sqlx::query("SELECT last_seq FROM cluster FOR UPDATE")
        .fetch_one(&mut *begun)
        .await
        .unwrap();
    // From here on `stopped` does nothing. The server ends its transaction before the other gives up.
    let name = keywright_core::identifier::KeyspaceName::new("default").unwrap();
    let edit = keywright_core::keyspace::KeyspaceEdit {
        self_service: Some(false),
        ..keywright_core::keyspace::KeyspaceEdit::default()
    };
    let by = keywright_core::audit::Attribution {
        entry_id: Uuid::nil(),
        at: Timestamp::from_micros(1),
        actor: keywright_core::audit::Actor {
            kind: keywright_core::audit::ActorKind::CommandLine,
            id: "test".to_owned(),
        },
        ip: None,
        user_agent: None,
        request_id: None,
    };
    let edited = crate::Store::edit_keyspace(&other, name, edit, by).await;
    assert!(
        matches!(edited, Ok(crate::KeyspaceEdited::Done(_))),
        "{edited:?}"
    );
    assert!(
        begun.commit().await.is_err(),
        "what stopped finds its transaction gone"
    );
}
