//! Creations of keys that are made together.

use keywright_core::audit::{Actor, ActorKind, Attribution};
use keywright_core::authority::{Caller, Refusal};
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::key::{ApiKey, KeyRecord, Metadata};
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::Lifecycle;
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use uuid::Uuid;

use super::*;
use crate::KeyCreated;

/// The creation of key number `n`, for one of three owners.
fn creation(n: u128) -> CreateKey {
    let at = Timestamp::from_micros(1);
    let [keyspace, _] = Keyspace::built_in(at);
    let key = ApiKey {
        id: KeyId(Uuid::from_u128(n)),
        keyspace: keyspace.name.clone(),
        user_id: UserId::new(format!("owner {}", n % 3)).unwrap(),
        name: KeyName::new(format!("key {n}")).unwrap(),
        description: None,
        prefix: "agpt_abc".to_owned(),
        postfix: "01234567".to_owned(),
        lifecycle: Lifecycle::Active,
        grants: Grants(1),
        created_at: at,
        updated_at: at,
        last_used_at: None,
        expires_at: None,
        metadata: Metadata::empty(),
    };
    CreateKey {
        record: KeyRecord {
            key,
            digest: Digest::of(&n.to_string()),
            keyspace: Arc::new(keyspace),
        },
        caller: Caller::Operator,
        by: Attribution {
            entry_id: Uuid::from_u128(n),
            at,
            actor: Actor {
                kind: ActorKind::CommandLine,
                id: "tests".to_owned(),
            },
            ip: None,
            user_agent: None,
            request_id: None,
        },
    }
}

/// Has all keys created from within one batch, and this change in it too.
async fn create_together(
    store: &SqliteStore,
    creations: Vec<CreateKey>,
    change: Script,
) -> (Vec<Result<KeyCreated, StoreError>>, Result<(), StoreError>) {
    let all = creations.into_iter().map(|one| store.create(one));
    let all = futures::future::join_all(all);
    while_busy(store, futures::future::join(all, store.write(change))).await
}

async fn keys(store: &SqliteStore) -> Vec<String> {
    let mut connection = store.read().await.unwrap();
    let names = "SELECT name FROM api_keys k JOIN audit_log a ON a.key_id = k.id ORDER BY k.id";
    sqlx::query_scalar(names)
        .fetch_all(&mut *connection)
        .await
        .unwrap()
}

/// How many keys the owners have: counted, and as the counts say.
async fn counts(store: &SqliteStore) -> (i64, i64) {
    let mut connection = store.read().await.unwrap();
    let counts = "SELECT (SELECT count(*) FROM api_keys), (SELECT sum(api_keys) FROM users)";
    sqlx::query_as(counts)
        .fetch_one(&mut *connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn keys_that_are_made_together_share_one_commit_with_other_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let before = commits(folder.path());
    // Every size of a statement is used.
    let creations = (1..=127).map(creation).collect();
    let (made, other) = create_together(&store, creations, make("other")).await;
    assert!(made.iter().all(|one| *one == Ok(KeyCreated::Done)));
    assert_eq!(other, Ok(()));
    assert_eq!(commits(folder.path()) - before, 1);
    assert_eq!(
        (keys(&store).await.len(), counts(&store).await),
        (127, (127, 127))
    );
    let named = names(&store).await;
    assert_eq!(named, ["other", "owner 0", "owner 1", "owner 2"]);
}

#[tokio::test]
async fn those_beside_one_that_fails_are_made_in_the_same_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let before = commits(folder.path());
    let mut creations: Vec<_> = (1..=10).map(creation).collect();
    creations[1].caller = Caller::Holder;
    creations[4].record.digest = creations[3].record.digest;
    let failing = Script {
        fails: true,
        ..make("failed")
    };
    let (made, other) = create_together(&store, creations, failing).await;
    for (n, outcome) in made.into_iter().enumerate() {
        match n {
            1 => assert_eq!(outcome, Ok(KeyCreated::Refused(Refusal::ServiceKeysOnly))),
            4 => assert!(
                matches!(outcome, Err(StoreError::Internal(_))),
                "{outcome:?}"
            ),
            _ => assert_eq!(outcome, Ok(KeyCreated::Done)),
        }
    }
    assert!(matches!(other, Err(StoreError::Damaged(_))), "{other:?}");
    assert_eq!(commits(folder.path()) - before, 1);
    let there = [
        "key 1", "key 3", "key 4", "key 6", "key 7", "key 8", "key 9", "key 10",
    ];
    assert_eq!(keys(&store).await, there);
    assert_eq!(counts(&store).await, (8, 8));
}

/// What is done at the sixth key of a group, whose owners and first keys are written by then.
async fn at_the_sixth_key(store: &SqliteStore, what: &'static str) {
    let trigger = format!(
        "CREATE TRIGGER told BEFORE INSERT ON api_keys WHEN new.name = 'key 6' BEGIN SELECT {what}; END"
    );
    store.write(Script::of(&[&*trigger.leak()])).await.unwrap();
}

#[tokio::test]
async fn a_group_that_fails_in_the_middle_leaves_nothing_of_itself() {
    // FAIL keeps what the statement has written before.
    for what in ["RAISE(ABORT, 'told to')", "RAISE(FAIL, 'told to')"] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        at_the_sixth_key(&store, what).await;
        let creations = (1..=10).map(creation).collect();
        let (made, other) = create_together(&store, creations, make("other")).await;
        for (n, outcome) in made.into_iter().enumerate() {
            assert_eq!(outcome.is_ok(), n != 5, "{what}: {n}: {outcome:?}");
        }
        assert_eq!(other, Ok(()));
        assert_eq!(
            (keys(&store).await.len(), counts(&store).await),
            (9, (9, 9))
        );
    }
}

#[tokio::test]
async fn a_group_whose_transaction_sqlite_itself_ends_fails_with_all_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    at_the_sixth_key(&store, "RAISE(ROLLBACK, 'told to')").await;
    let creations = (1..=10).map(creation).collect();
    let (made, other) = create_together(&store, creations, make("other")).await;
    assert!(made.iter().all(Result::is_err), "{made:?}");
    assert!(other.is_err());
    assert_eq!(names(&store).await, [""; 0]);
    assert_eq!(store.create(creation(1)).await, Ok(KeyCreated::Done));
    assert_eq!(
        (keys(&store).await.len(), counts(&store).await),
        (1, (1, 1))
    );
}

#[tokio::test]
async fn a_full_disk_takes_no_group_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store
        .write(Script::of(&["PRAGMA max_page_count = 1"]))
        .await
        .unwrap();
    let mut numbers = 1..;
    let mut done = 0;
    let refused = loop {
        let creations = numbers.by_ref().take(100).map(creation).collect();
        let (made, _) = create_together(&store, creations, Script::default()).await;
        done += made
            .iter()
            .filter(|one| one.is_ok())
            .map(|_| 1)
            .sum::<i64>();
        assert_eq!(counts(&store).await.0, done);
        if let Some(refused) = made.into_iter().find_map(Result::err) {
            break refused;
        }
    };
    assert!(matches!(refused, StoreError::NotWritable(_)), "{refused:?}");
    let (there, counted) = counts(&store).await;
    assert_eq!(there, counted);
    store
        .write(Script::of(&["PRAGMA max_page_count = 1000000"]))
        .await
        .unwrap();
    let creations = numbers.take(100).map(creation).collect();
    let (made, _) = create_together(&store, creations, Script::default()).await;
    assert!(made.iter().all(Result::is_ok));
    assert_eq!(counts(&store).await, (there + 100, there + 100));
}
