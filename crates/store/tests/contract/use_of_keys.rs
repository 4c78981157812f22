//! When keys were used last.

use futures::future::join_all;
use keywright_core::authority::KeyEdit;
use keywright_core::identifier::KeyId;
use keywright_core::key::{ApiKey, KeyRecord};
use keywright_core::lifecycle::Transition;
use keywright_core::permission::Grants;
use keywright_core::timestamp::Timestamp;
use keywright_store::Uses;

use crate::world::{World, id};

contract! {
    a_use_is_noted_and_changes_nothing_else,
    a_use_never_goes_back,
    of_several_uses_of_one_key_the_last_counts,
    uses_of_keys_that_are_gone_are_passed_over,
    an_edit_does_not_undo_a_use,
    uses_of_the_same_keys_at_once_end_with_the_last,
}

async fn used(world: &World, record: &KeyRecord) -> Option<i64> {
    world
        .look_up(record)
        .await
        .key
        .last_used_at
        .map(Timestamp::as_micros)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn last_used(last_used: impl IntoIterator<Item = (KeyId, Timestamp)>) -> Uses {
    Uses {
        last_used: last_used.into_iter().collect(),
        ..Uses::default()
    }
}

async fn a_use_is_noted_and_changes_nothing_else(world: World) {
    let (one, two) = (world.key("alice").await, world.key("bob").await);
    world.store.record_use(Uses::default()).await.unwrap();
    world
        .store
        .record_use(last_used([(one.key.id, at(7))]))
        .await
        .unwrap();
    let expected = KeyRecord {
        key: ApiKey {
            last_used_at: Some(at(7)),
            ..one.key.clone()
        },
        ..one.clone()
    };
    assert_eq!(world.look_up(&one).await, expected);
    assert_eq!(world.look_up(&two).await, two);
    assert_eq!(
        (world.audit_since(2).await, world.logged().await),
        (vec![], vec![])
    );
}

async fn a_use_never_goes_back(world: World) {
    let record = world.key("alice").await;
    for (noted, expected) in [(5, 5), (4, 5), (5, 5), (6, 6), (-1, 6)] {
        world
            .store
            .record_use(last_used([(record.key.id, at(noted))]))
            .await
            .unwrap();
        assert_eq!(used(&world, &record).await, Some(expected));
    }
}

async fn of_several_uses_of_one_key_the_last_counts(world: World) {
    let record = world.key("alice").await;
    let uses = [3, 9, 1].map(|micros| (record.key.id, at(micros)));
    world.store.record_use(last_used(uses)).await.unwrap();
    assert_eq!(used(&world, &record).await, Some(9));
}

async fn uses_of_keys_that_are_gone_are_passed_over(world: World) {
    let record = world.key("alice").await;
    world
        .store
        .record_use(last_used([
            (KeyId(id()), at(1)),
            (record.key.id, at(2)),
            (KeyId(id()), at(3)),
        ]))
        .await
        .unwrap();
    assert_eq!(used(&world, &record).await, Some(2));
}

async fn an_edit_does_not_undo_a_use(world: World) {
    let record = world.key("alice").await;
    world
        .store
        .record_use(last_used([(record.key.id, at(5))]))
        .await
        .unwrap();
    world.transition(&record, Transition::Suspend).await;
    world
        .edit(&record, KeyEdit::Permissions(Grants::NONE))
        .await;
    assert_eq!(used(&world, &record).await, Some(5));
}

async fn uses_of_the_same_keys_at_once_end_with_the_last(world: World) {
    let mut ids = Vec::new();
    let mut records = Vec::new();
    for _ in 0..50 {
        let record = world.key("alice").await;
        ids.push(record.key.id);
        records.push(record);
    }
    let notes = (0..8).map(|round| {
        // In another order each time: who locks in the order of asking would stand in each other's way.
        let mut uses: Vec<_> = ids.iter().map(|id| (*id, at(round))).collect();
        uses.rotate_left(usize::try_from(round).unwrap() * 6);
        world.store.record_use(last_used(uses))
    });
    let answers = join_all(notes).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    for record in &records {
        assert_eq!(used(&world, record).await, Some(7));
    }
}
