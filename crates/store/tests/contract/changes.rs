//! Changes as transactions: the order of the log, and callers that go away.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::KeyspaceEdit;
use keywright_core::lifecycle::{Status, Transition};
use keywright_store::{KeySelector, KeyspaceEdited, StoreError};

use crate::world::{World, eventually, keyspace_name, line_of, user};

contract! {
    the_log_has_every_change_once_and_no_gap,
    the_log_of_one_key_is_in_the_order_of_its_changes,
    a_change_goes_on_when_its_caller_goes_away,
    a_closed_store_has_finished_what_it_began_and_takes_no_more,
    a_store_that_works_says_so,
}

async fn the_log_has_every_change_once_and_no_gap(world: World) {
    let mut keys = Vec::new();
    for n in 0..24 {
        keys.push(world.key(&format!("user {n}")).await);
    }
    let suspensions = join_all(
        keys.iter()
            .map(|record| world.transition(record, Transition::Suspend)),
    );
    let deletions = join_all((0..8).map(|n| {
        world
            .store
            .delete_user(user(&format!("user {n}")), world.by())
    }));
    // Refused, and so without a row.
    let refusals = join_all((0..8).map(|_| world.store.delete_user(user("nobody"), world.by())));
    tokio::join!(suspensions, deletions, refusals);

    let log = world.change_log().await;
    let seqs: Vec<_> = log.iter().map(|row| row.seq).collect();
    let expected: Vec<_> = (1..=i64::try_from(log.len()).unwrap()).collect();
    assert_eq!(seqs, expected);
    assert_eq!(
        world.number("SELECT last_seq FROM cluster").await,
        *expected.last().unwrap()
    );
    let nonces: BTreeSet<_> = log.iter().map(|row| &row.nonce).collect();
    assert_eq!(nonces.len(), log.len(), "nonces differ");
    let lines: BTreeSet<_> = log.iter().map(|row| row.what.clone()).collect();
    assert_eq!(lines.len(), log.len(), "each change once");
    assert!((8..24).all(|n| lines.contains(&line_of(&keys[n]))));
    assert!((0..8).all(|n| lines.contains(&format!("user user {n}"))));
}

async fn the_log_of_one_key_is_in_the_order_of_its_changes(world: World) {
    let record = world.key("alice").await;
    let mut times = Vec::new();
    for transition in [
        Transition::Suspend,
        Transition::Reactivate,
        Transition::Suspend,
        Transition::Revoke,
    ] {
        times.push(world.clock.tick());
        world.transition(&record, transition).await;
    }
    let log = world.change_log().await;
    assert_eq!(log.iter().map(|row| row.at).collect::<Vec<_>>(), times);
}

async fn a_change_goes_on_when_its_caller_goes_away(world: World) {
    let mut keys: Vec<KeyRecord> = Vec::new();
    for _ in 0..8 {
        keys.push(world.key("alice").await);
    }
    for record in &keys {
        let suspension = world.transition(record, Transition::Suspend);
        // Asked once, so that it has begun, and then dropped.
        assert!(futures::poll!(Box::pin(suspension)).is_pending());
    }
    let all_suspended = || async {
        let found = join_all(keys.iter().map(|record| world.look_up(record))).await;
        found
            .iter()
            .all(|record| record.key.lifecycle.status() == Status::Suspended)
    };
    eventually("the changes are made", all_suspended).await;
    assert_eq!(world.logged().await.len(), keys.len());
    assert_eq!(world.audit_since(keys.len()).await.len(), keys.len());
}

async fn a_closed_store_has_finished_what_it_began_and_takes_no_more(world: World) {
    let record = world.key("alice").await;
    let (store, by) = (world.store.clone(), world.by());
    let id = record.key.id;
    let suspend = move || {
        let (store, by) = (store.clone(), by.clone());
        async move {
            let edit = keywright_core::authority::KeyEdit::Transition(Transition::Suspend);
            let caller = keywright_core::authority::Caller::Operator;
            store.edit_key(KeySelector::Id(id), caller, edit, by).await
        }
    };
    suspend().await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(10), world.store.close()).await;
    assert!(closed.is_ok(), "closing comes to an end");
    assert!(matches!(suspend().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(
        world.store.find_key(id).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(world.store.check().await.is_err());
    world.store.close().await;

    let again = world.open_again().await.unwrap();
    let found = again.find_key(id).await.unwrap().unwrap();
    assert_eq!(found.key.lifecycle.status(), Status::Suspended);
}

async fn a_store_that_works_says_so(world: World) {
    assert_eq!(world.store.check().await, Ok(()));
    let connections = world.store.connections();
    assert!(
        connections.open >= 1 && connections.idle <= connections.open,
        "{connections:?}"
    );
    let name = keyspace_name("default");
    let unchanged = world
        .store
        .edit_keyspace(name, KeyspaceEdit::default(), world.by())
        .await;
    assert!(matches!(unchanged, Ok(KeyspaceEdited::Done(_))));
}
