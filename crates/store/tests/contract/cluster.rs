//! What only the store of a cluster promises: several nodes, and a server that comes and goes.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use keywright_core::authority::Refusal;
use keywright_core::lifecycle::Transition;
use keywright_store::postgres::{Options, PostgresStore};
use keywright_store::{KeyCreated, KeyEdited, OpenError, Store, StoreError};
use keywright_testkit::{TemporaryPostgres, fresh_database};
use sqlx::Connection;

use crate::ambient::{Counting, StandingClock};
use crate::world::{World, eventually, keyspace_name, postgres_url, user};

async fn connect(url: &str) -> Result<PostgresStore, OpenError> {
    connect_with(url, Options::default()).await
}

async fn connect_with(url: &str, options: Options) -> Result<PostgresStore, OpenError> {
    PostgresStore::connect(
        url,
        Arc::new(StandingClock::new()),
        Arc::new(Counting),
        options,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_open_an_empty_postgres_at_once() {
    let database = fresh_database();
    let opened = join_all((0..8).map(|_| connect(database.url()))).await;
    let mut tag_keys = std::collections::BTreeSet::new();
    for node in opened {
        let node = node.unwrap();
        let name = keyspace_name("default");
        let (_, keys) = node.find_keyspace(&name).await.unwrap().unwrap();
        tag_keys.insert(keys.to_bytes().to_vec());
    }
    assert_eq!(tag_keys.len(), 1, "all nodes have the same tag keys");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_being_shown() {
    for url in [
        "",
        "mysql://root:hunter2@host/db",
        "postgres://root:hunter2@host:port/db",
    ] {
        let refused = connect(url).await.err().expect("refused");
        assert!(matches!(refused, OpenError::Url(_)), "{refused}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_available() {
    // Nobody listens on the port that stands for "any".
    let refused = connect("postgres://nobody@127.0.0.1:1/none")
        .await
        .err()
        .expect("refused");
    assert!(
        matches!(refused, OpenError::Store(StoreError::Unavailable(_))),
        "{refused}"
    );
}

/// A store that may be too impatient to connect at once on a machine that has much to do. The tests set up their
/// worlds through another one.
async fn connect_at_last(url: &str, options: Options) -> PostgresStore {
    let connecting = async {
        loop {
            if let Ok(store) = connect_with(url, options.clone()).await {
                return store;
            }
        }
    };
    tokio::time::timeout(A_LONG_TIME, connecting)
        .await
        .expect("it connects at last")
}

/// Only a ceiling: what takes so long hangs.
const A_LONG_TIME: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_waits_too_long_for_a_lock_is_undone() {
    let world = World::on_postgres().await;
    let options = Options {
        statement_timeout: Duration::from_millis(500),
        ..Options::default()
    };
    let impatient = connect_at_last(postgres_url(&world), options).await;
    let record = world.key("alice").await;
    let mut outside = sqlx::PgConnection::connect(postgres_url(&world))
        .await
        .unwrap();
    let mut holding = outside.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM cluster FOR UPDATE")
        .execute(&mut *holding)
        .await
        .unwrap();

    let which = keywright_store::KeySelector::Id(record.key.id);
    let suspend = keywright_core::authority::KeyEdit::Transition(Transition::Suspend);
    let caller = keywright_core::authority::Caller::Operator;
    let edited = impatient.edit_key(which, caller, suspend, world.by()).await;
    assert!(
        matches!(edited, Err(StoreError::Unavailable(_))),
        "{edited:?}"
    );
    holding.rollback().await.unwrap();
    assert_eq!(world.look_up(&record).await, record);
    assert_eq!(
        (world.audit_since(1).await, world.logged().await),
        (vec![], vec![])
    );
    assert!(matches!(
        world.transition(&record, Transition::Suspend).await,
        KeyEdited::Done(_)
    ));
    assert_eq!(
        world.change_log().await[0].seq,
        1,
        "what was undone left no gap"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_leave_connections_to_verification() {
    let world = World::on_postgres().await;
    let record = world.key("alice").await;
    let mut outside = sqlx::PgConnection::connect(postgres_url(&world))
        .await
        .unwrap();
    let mut holding = outside.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM cluster FOR UPDATE")
        .execute(&mut *holding)
        .await
        .unwrap();
    let mut stuck = Vec::new();
    // More than a group takes.
    for _ in 0..40 {
        stuck.push(world.key("bob").await);
    }
    let suspending = join_all(
        stuck
            .iter()
            .map(|key| world.transition(key, Transition::Suspend)),
    );
    let verifying = async {
        // As many groups as may are in the database, and wait there; the others wait for those.
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
             AND datname = current_database()";
        let mut watching = sqlx::PgConnection::connect(postgres_url(&world))
            .await
            .unwrap();
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&mut watching)
            .await
            .unwrap()
            < 2
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.look_up(&record).await, record);
        holding.rollback().await.unwrap();
    };
    let (suspended, ()) = tokio::join!(suspending, verifying);
    assert!(
        suspended
            .into_iter()
            .all(|answer| matches!(answer, KeyEdited::Done(_)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gets_no_connection_in_time_is_told_so() {
    let world = World::on_postgres().await;
    let options = Options {
        max_connections: 1,
        patience: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(3),
        ..Options::default()
    };
    let impatient = connect_at_last(postgres_url(&world), options).await;
    let alice = user("alice");
    let mut outside = sqlx::PgConnection::connect(postgres_url(&world))
        .await
        .unwrap();
    let mut holding = outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE users")
        .execute(&mut *holding)
        .await
        .unwrap();
    let asked = join_all((0..4).map(|_| impatient.find_user(&alice))).await;
    assert!(
        asked
            .iter()
            .all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))),
        "{asked:?}"
    );
    holding.rollback().await.unwrap();
    eventually("it is available again", || async {
        impatient.find_user(&alice).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_waits_for_an_edit_of_its_keyspace_and_is_refused_by_it() {
    let world = World::on_postgres().await;
    let mut outside = sqlx::PgConnection::connect(postgres_url(&world))
        .await
        .unwrap();
    let mut editing = outside.begin().await.unwrap();
    sqlx::query("UPDATE keyspaces SET self_service = FALSE WHERE name = 'default'")
        .execute(&mut *editing)
        .await
        .unwrap();
    let record = world.draft("alice");
    let creation = tokio::spawn({
        let (store, record, by) = (world.store.clone(), record.clone(), world.by());
        let alice = keywright_core::authority::Caller::User(user("alice"));
        async move { store.create_key(record, alice, by).await }
    });
    eventually("the creation waits", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        world.number(waiting).await == 1
    })
    .await;
    editing.commit().await.unwrap();
    assert_eq!(
        creation.await.unwrap(),
        Ok(KeyCreated::Refused(Refusal::NotSelfService))
    );
    assert_eq!(world.store.find_key(record.key.id).await, Ok(None));
    assert_eq!(world.store.find_user(&user("alice")).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_is_read_and_not_written() {
    let world = World::on_postgres().await;
    let record = world.key("alice").await;
    world
        .execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', \
             current_database()); END $$",
        )
        .await;
    let store = world.open_again().await.unwrap();
    assert_eq!(store.find_key(record.key.id).await, Ok(Some(record)));
    let deleted = store.delete_user(user("alice"), world.by()).await;
    assert!(
        matches!(deleted, Err(StoreError::NotWritable(_))),
        "{deleted:?}"
    );
    let checked = store.check().await;
    assert!(
        matches!(checked, Err(StoreError::NotWritable(_))),
        "{checked:?}"
    );
}

/// A server that can be said to have become a standby, while its connections stay.
async fn fickle() -> World {
    let world = World::on_postgres().await;
    world
        .execute(
            "CREATE TABLE demotions (at BIGINT); \
             CREATE FUNCTION public.pg_is_in_recovery() RETURNS BOOLEAN LANGUAGE sql \
                 AS 'SELECT EXISTS (SELECT 1 FROM public.demotions)'; \
             DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', \
                 current_database()); END $$",
        )
        .await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_become_a_standby_is_believed_in_nothing_that_verification_rests_on() {
    let world = fickle().await;
    let record = world.key("alice").await;
    let absent = world.draft("alice").digest;
    let options = Options {
        max_connections: 1,
        ..Options::default()
    };
    let store = connect_with(postgres_url(&world), options).await.unwrap();
    let found = Ok(Some(record.clone()));
    assert_eq!(store.find_key_by_digest(&record.digest).await, found);

    for _ in 0..2 {
        // The one connection was made to a primary.
        assert_eq!(store.find_key_by_digest(&absent).await, Ok(None));
        world.execute("INSERT INTO demotions VALUES (0)").await;
        let standby = StoreError::Unavailable("the server is a standby".to_owned());
        let asked = store.find_key_by_digest(&absent).await;
        assert_eq!(asked, Err(standby.clone()));
        // Another is not made while there is none to a primary.
        let asked = store.find_key_by_digest(&record.digest).await;
        assert!(
            matches!(asked, Err(StoreError::Unavailable(_))),
            "{asked:?}"
        );
        world.execute("DELETE FROM demotions").await;
        eventually("it goes on with another connection", || async {
            store.find_key_by_digest(&record.digest).await == found
        })
        .await;
    }

    for round in 0..6 {
        eventually("it goes on with another connection", || async {
            store.find_key_by_digest(&record.digest).await == found
        })
        .await;
        world.execute("INSERT INTO demotions VALUES (0)").await;
        let refused = match round {
            0 => store.find_key_by_digest(&record.digest).await.err(),
            1 => store.load_key(&record.digest).await.err(),
            2 => store.load_keyspaces().await.err(),
            3 => store.survey().await.err(),
            4 => store.settle().await.err(),
            // It finds nobody, and says so by what it read there.
            _ => {
                let deleted = store.delete_user(user("nobody"), world.by());
                deleted.await.err()
            }
        };
        let standby = StoreError::Unavailable("the server is a standby".to_owned());
        assert_eq!(refused, Some(standby), "{round}");
        world.execute("DELETE FROM demotions").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_is_not_available_until_it_is_back() {
    let server = Arc::new(TemporaryPostgres::start());
    let database = server.create_database();
    let alice = user("alice");
    connect(&database)
        .await
        .unwrap()
        .ensure_user(&alice, keywright_core::timestamp::Timestamp::from_micros(1))
        .await
        .unwrap();
    let options = Options {
        patience: Duration::from_secs(1),
        ..Options::default()
    };
    let store = connect_at_last(&database, options).await;
    let found = store.find_user(&alice).await;
    assert!(matches!(found, Ok(Some(_))), "{found:?}");
    for kill in [false, true] {
        if kill {
            server.kill();
        } else {
            server.stop();
        }
        let asked = store.find_user(&alice).await;
        assert!(
            matches!(asked, Err(StoreError::Unavailable(_))),
            "{asked:?}"
        );
        let written = store
            .delete_user(user("nobody"), World::nobody_in_particular())
            .await;
        assert!(
            matches!(written, Err(StoreError::Unavailable(_))),
            "{written:?}"
        );
        assert!(matches!(
            store.check().await,
            Err(StoreError::Unavailable(_))
        ));
        server.start_again();
        eventually("it is available again", || async {
            store.find_user(&alice).await == found
        })
        .await;
        assert_eq!(store.check().await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_not_waited_for_for_ever() {
    let server = TemporaryPostgres::start();
    let database = server.create_database();
    let options = Options {
        patience: Duration::from_millis(300),
        statement_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let store = connect_at_last(&database, options).await;
    let alice = user("alice");
    eventually("it is available", || async {
        store.find_user(&alice).await == Ok(None)
    })
    .await;
    server.freeze();
    let asked = tokio::time::timeout(A_LONG_TIME, store.find_user(&alice)).await;
    let written = store.delete_user(user("nobody"), World::nobody_in_particular());
    let written = tokio::time::timeout(A_LONG_TIME, written).await;
    server.resume();
    assert!(
        matches!(asked, Ok(Err(StoreError::Unavailable(_)))),
        "{asked:?}"
    );
    assert!(
        matches!(written, Ok(Err(StoreError::Unavailable(_)))),
        "{written:?}"
    );
    eventually("it is available again", || async {
        store.find_user(&alice).await == Ok(None)
    })
    .await;
}
