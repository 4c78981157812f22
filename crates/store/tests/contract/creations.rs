//! Creations that come together: they may share a commit, and share nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use keywright_core::audit::Action;
use keywright_core::authority::{Caller, Refusal};
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Keyspace;
use keywright_store::postgres::{Options, PostgresStore};
use keywright_store::{KeyCreated, Store, StoreError};
use sqlx::Connection as _;

use crate::ambient::Counting;
use crate::world::{Place, World, eventually, keyspace_name, user};

contract! {
    keys_made_together_are_all_there_counted_and_audited_once,
    one_that_is_impossible_does_not_keep_others_from_being_made,
    each_is_allowed_or_refused_for_itself,
    each_of_many_meets_its_own_fate,
    keys_of_callers_who_go_away_are_made,
}

async fn create(
    world: &World,
    record: &KeyRecord,
    caller: Caller,
) -> Result<KeyCreated, StoreError> {
    let record = record.clone();
    world.store.create_key(record, caller, world.by()).await
}

async fn keys_made_together_are_all_there_counted_and_audited_once(world: World) {
    // More than any group holds, and owners that several of them share.
    let owner = |n| format!("user {}", n % 7);
    let drafts: Vec<_> = (0..300).map(|n| world.draft(&owner(n))).collect();
    let made = join_all(
        drafts
            .iter()
            .map(|record| create(&world, record, Caller::Operator)),
    );
    for outcome in made.await {
        assert_eq!(outcome, Ok(KeyCreated::Done));
    }
    for record in &drafts {
        assert_eq!(&world.look_up(record).await, record);
    }
    for n in 0..7 {
        let found = world.store.find_user(&user(&owner(n))).await;
        let expected = drafts
            .iter()
            .filter(|record| record.key.user_id == user(&owner(n)))
            .count();
        assert_eq!(found.unwrap().unwrap().api_keys, expected as u64);
    }
    let audit = world.audit().await;
    assert!(audit.iter().all(|entry| entry.action == Action::KeyCreated));
    let told: BTreeSet<_> = audit.iter().filter_map(|entry| entry.key_id).collect();
    assert_eq!((audit.len(), told.len()), (300, 300));
}

async fn one_that_is_impossible_does_not_keep_others_from_being_made(world: World) {
    let known = world.key("alice").await;
    let mut twin = world.draft("bob");
    twin.digest = known.digest;
    let mut drafts: Vec<_> = (0..40).map(|n| world.draft(&format!("user {n}"))).collect();
    drafts.insert(20, twin);
    let made = join_all(
        drafts
            .iter()
            .map(|record| create(&world, record, Caller::Operator)),
    );
    for (n, outcome) in made.await.into_iter().enumerate() {
        if n == 20 {
            assert!(
                matches!(outcome, Err(StoreError::Internal(_))),
                "{outcome:?}"
            );
        } else {
            assert_eq!(outcome, Ok(KeyCreated::Done));
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM api_keys").await, 41);
    assert_eq!(world.number("SELECT count(*) FROM audit_log").await, 41);
    assert_eq!(world.store.find_user(&user("bob")).await, Ok(None));
}

async fn each_is_allowed_or_refused_for_itself(world: World) {
    let drafts: Vec<_> = (0..40).map(|n| world.draft(&format!("user {n}"))).collect();
    // A holder of a key may make none.
    let caller = |n: usize| [Caller::Operator, Caller::Holder][n % 2].clone();
    let made = join_all(
        drafts
            .iter()
            .enumerate()
            .map(|(n, record)| create(&world, record, caller(n))),
    );
    let expected = [
        Ok(KeyCreated::Done),
        Ok(KeyCreated::Refused(Refusal::ServiceKeysOnly)),
    ];
    for (n, outcome) in made.await.into_iter().enumerate() {
        assert_eq!(outcome, expected[n % 2]);
    }
    let users = "SELECT count(*) FROM users WHERE id <> ''";
    assert_eq!(world.number(users).await, 20);
    assert_eq!(world.number("SELECT count(*) FROM audit_log").await, 20);
}

/// Those that are impossible, each in a way of its own, stand between others that have the same owner as they.
async fn each_of_many_meets_its_own_fate(world: World) {
    let known = world.key("alice").await;
    let nowhere = || {
        let [mut keyspace, _] = Keyspace::built_in(world.now());
        keyspace.name = keyspace_name("nowhere");
        world.draft_in(keyspace, user("alice"))
    };
    let drafts: Vec<_> = (0..50)
        .map(|n| {
            let mut record = world.draft("alice");
            match n % 5 {
                0 => record.digest = known.digest,
                1 => record.key.id = known.key.id,
                2 => record = nowhere(),
                _ => (),
            }
            record
        })
        .collect();
    let caller = |n: usize| match n % 5 {
        3 => Caller::Holder,
        _ => Caller::Operator,
    };
    let made = join_all(
        drafts
            .iter()
            .enumerate()
            .map(|(n, record)| create(&world, record, caller(n))),
    );
    let refused = Ok(KeyCreated::Refused(Refusal::ServiceKeysOnly));
    for (n, outcome) in made.await.into_iter().enumerate() {
        match n % 5 {
            3 => assert_eq!(outcome, refused),
            4 => assert_eq!(outcome, Ok(KeyCreated::Done)),
            _ => assert!(
                matches!(outcome, Err(StoreError::Internal(_))),
                "{n}: {outcome:?}"
            ),
        }
    }
    for record in drafts.iter().skip(4).step_by(5) {
        assert_eq!(&world.look_up(record).await, record);
    }
    assert_eq!(world.number("SELECT count(*) FROM api_keys").await, 11);
    assert_eq!(world.number("SELECT count(*) FROM audit_log").await, 11);
    let alice = world.store.find_user(&user("alice")).await.unwrap();
    assert_eq!(alice.unwrap().api_keys, 11);
}

async fn keys_of_callers_who_go_away_are_made(world: World) {
    let drafts: Vec<_> = (0..100).map(|_| world.draft("alice")).collect();
    for record in &drafts {
        let mut creation = Box::pin(create(&world, record, Caller::Operator));
        // Once asked, it is on its way.
        let _ = futures::poll!(&mut creation);
    }
    eventually("the keys are made", async || {
        world.number("SELECT count(*) FROM api_keys").await == 100
    })
    .await;
    let alice = world.store.find_user(&user("alice")).await.unwrap();
    assert_eq!(alice.unwrap().api_keys, 100);
    assert_eq!(world.audit().await.len(), 100);
}

/// A connection from outside the store.
async fn outside(world: &World) -> sqlx::PgConnection {
    let Place::Postgres(database) = &world.place else {
        panic!("this is no PostgreSQL")
    };
    sqlx::PgConnection::connect(database.url()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_an_owner_keeps_nobody_else_waiting() {
    let world = World::on_postgres().await;
    world.key("held").await;
    let mut holder = outside(&world).await;
    let mut holding = holder.begin().await.unwrap();
    let hold = "SELECT id FROM users WHERE id = 'held' FOR NO KEY UPDATE";
    sqlx::query(hold).fetch_one(&mut *holding).await.unwrap();

    let waits = world.draft("held");
    let others: Vec<_> = (0..20).map(|n| world.draft(&format!("user {n}"))).collect();
    let waiting = create(&world, &waits, Caller::Operator);
    let done = join_all(
        others
            .iter()
            .map(|record| create(&world, record, Caller::Operator)),
    );
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        early = &mut waiting => panic!("it did not wait: {early:?}"),
        done = done => assert!(done.iter().all(|outcome| *outcome == Ok(KeyCreated::Done))),
    }
    holding.rollback().await.unwrap();
    assert_eq!(waiting.await, Ok(KeyCreated::Done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_on_the_disk_whatever_the_servers_own_setting_is() {
    let world = World::on_postgres().await;
    // The tests' server has it off (I1).
    let note = "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.metadata := '{\"committed\": \"' || current_setting('synchronous_commit') || '\"}'; RETURN NEW; END $$; \
         CREATE TRIGGER note BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION note()";
    world.execute(note).await;
    let record = world.key("alice").await;
    let noted = world.look_up(&record).await.key.metadata;
    assert_eq!(noted.as_json(), "{\"committed\": \"on\"}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_make_keys_of_the_same_users_do_not_deadlock() {
    let world = World::on_postgres().await;
    let nodes = [
        world.open_postgres().await.unwrap(),
        world.open_postgres().await.unwrap(),
    ];
    let drafts: Vec<_> = (0..400)
        .map(|n| world.draft(&format!("user {}", n * 13 % 20)))
        .collect();
    let made = drafts
        .iter()
        .enumerate()
        .map(|(n, record)| nodes[n % 2].create_key(record.clone(), Caller::Operator, world.by()));
    for outcome in join_all(made).await {
        assert_eq!(outcome, Ok(KeyCreated::Done));
    }
    let counted = "SELECT CAST(sum(api_keys) AS BIGINT) FROM users";
    assert_eq!(world.number(counted).await, 400);
}

/// Has each transaction that makes keys take so long, in seconds.
async fn slow_down(world: &World, seconds: f64) {
    let delay = format!(
        "CREATE FUNCTION delay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({seconds}); \
         RETURN NULL; END $$; \
         CREATE TRIGGER delay AFTER INSERT ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION delay()"
    );
    world.execute(&delay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn everybody_is_answered_though_the_database_is_slower_than_they_wait() {
    let world = Arc::new(World::on_postgres().await);
    let Place::Postgres(database) = &world.place else {
        panic!("this is no PostgreSQL")
    };
    let options = Options {
        patience: Duration::from_millis(300),
        ..Options::default()
    };
    let clock = world.clock.clone();
    let store = PostgresStore::connect(database.url(), clock, Arc::new(Counting), options);
    let store = store.await.unwrap();
    slow_down(&world, 1.0).await;
    // More than two groups hold, and all from within one task: the runtime begins with what that one began last.
    let of_world = world.clone();
    let making = tokio::spawn(async move {
        let world = of_world;
        let drafts = (0..600).map(|n| world.draft(&format!("user {n}")));
        let made = drafts.map(|record| store.create_key(record, Caller::Operator, world.by()));
        join_all(made).await
    });
    let made = tokio::time::timeout(Duration::from_secs(10), making).await;
    let made = made.expect("everybody is answered").unwrap();
    let done = made.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((1..600).contains(&done), "{done} were made");
    let stored = world.number("SELECT count(*) FROM api_keys").await;
    assert_eq!(usize::try_from(stored), Ok(done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_one_owner_are_made_together_on_a_slow_disk_too() {
    let world = World::on_postgres().await;
    // Longer than a group waits for a lock, which here is another group's.
    slow_down(&world, 0.2).await;
    let drafts: Vec<_> = (0..300).map(|_| world.draft("alice")).collect();
    let made = drafts
        .iter()
        .map(|record| create(&world, record, Caller::Operator));
    for outcome in join_all(made).await {
        assert_eq!(outcome, Ok(KeyCreated::Done));
    }
}
