//! Service keys: the first one, and the last one that can write keys.

use std::time::Duration;

use futures::future::join_all;
use keywright_core::audit::Action;
use keywright_core::authority::{DetailsEdit, KeyEdit, Refusal};
use keywright_core::identifier::UserId;
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Operation;
use keywright_core::lifecycle::{Status, Transition};
use keywright_core::permission::Grants;
use keywright_store::{KeyEdited, KeyQuery};

use crate::world::World;

contract! {
    the_first_service_key_is_made_once_however_many_ask_at_once,
    a_revoked_service_key_is_one_too,
    of_the_last_two_writers_revoked_at_once_one_stays,
    of_many_writers_ended_in_every_way_at_once_one_stays,
    a_writer_that_is_suspended_expired_or_of_a_user_does_not_count,
    a_writer_that_ends_sooner_does_not_count,
    a_service_key_that_cannot_write_keys_is_revoked_freely,
}

const WRITER: Grants = Operation::KeysWrite.grant();

fn everything() -> Grants {
    Operation::ALL.iter().fold(Grants::NONE, |all, operation| {
        Grants(all.0 | operation.grant().0)
    })
}

async fn all_service_keys(world: &World) -> Vec<KeyRecord> {
    let query = KeyQuery {
        user_id: Some(UserId::reserved()),
        status: None,
        keyspace: None,
        after: None,
        limit: 500,
    };
    world.store.list_keys(&query).await.unwrap().entries
}

async fn the_first_service_key_is_made_once_however_many_ask_at_once(world: World) {
    let askers = (0..16).map(|_| {
        let record = world.draft_of_service_key(everything());
        let id = record.key.id;
        let asked = world.store.create_first_service_key(record, world.by());
        async move { (id, asked.await.unwrap()) }
    });
    let answers = join_all(askers).await;
    let made: Vec<_> = answers
        .iter()
        .filter(|(_, made)| *made)
        .map(|(id, _)| *id)
        .collect();
    let there: Vec<_> = all_service_keys(&world)
        .await
        .iter()
        .map(|record| record.key.id)
        .collect();
    assert_eq!((made.len(), &made), (1, &there));
    let entries = world.audit().await;
    assert_eq!(
        entries.iter().map(|entry| entry.action).collect::<Vec<_>>(),
        [Action::KeyCreated]
    );
    assert_eq!(
        world
            .number("SELECT api_keys FROM users WHERE id = ''")
            .await,
        1
    );
}

async fn a_revoked_service_key_is_one_too(world: World) {
    let first = world.service_key(Grants::NONE).await;
    world.transition(&first, Transition::Revoke).await;
    let second = world.draft_of_service_key(everything());
    assert_eq!(
        world
            .store
            .create_first_service_key(second, world.by())
            .await,
        Ok(false)
    );
    assert_eq!(all_service_keys(&world).await.len(), 1);
}

async fn of_the_last_two_writers_revoked_at_once_one_stays(world: World) {
    for _ in 0..8 {
        let (one, two) = (
            world.service_key(WRITER).await,
            world.service_key(everything()).await,
        );
        for leftover in all_service_keys(&world).await {
            if ![one.key.id, two.key.id].contains(&leftover.key.id) {
                world.transition(&leftover, Transition::Revoke).await;
            }
        }
        let (first, second) = tokio::join!(
            world.transition(&one, Transition::Revoke),
            world.transition(&two, Transition::Revoke)
        );
        let refused = [&first, &second]
            .into_iter()
            .filter(|answer| **answer == KeyEdited::Refused(Refusal::LastServiceKey))
            .count();
        assert_eq!(refused, 1, "{first:?} {second:?}");
    }
}

async fn of_many_writers_ended_in_every_way_at_once_one_stays(world: World) {
    let mut writers = Vec::new();
    for _ in 0..12 {
        writers.push(world.service_key(everything()).await);
    }
    let soon = world.clock.tick();
    let expiring = DetailsEdit {
        expires_at: Some(Some(soon)),
        ..DetailsEdit::default()
    };
    let ways = [
        KeyEdit::Transition(Transition::Suspend),
        KeyEdit::Transition(Transition::Revoke),
        KeyEdit::Permissions(Operation::KeysVerify.grant()),
        KeyEdit::Details(expiring),
    ];
    let endings = writers
        .iter()
        .zip(ways.iter().cycle())
        .map(|(writer, way)| world.edit(writer, way.clone()));
    let answers = join_all(endings).await;
    let refused = answers
        .iter()
        .filter(|answer| **answer == KeyEdited::Refused(Refusal::LastServiceKey))
        .count();
    assert_eq!(refused, 1, "{answers:?}");
    let left = all_service_keys(&world).await.into_iter().filter(|record| {
        record.key.lifecycle.status() == Status::Active
            && !record.key.is_expired(soon)
            && record.key.grants.contains_all(WRITER)
    });
    assert_eq!(left.count(), 1);
}

async fn a_writer_that_is_suspended_expired_or_of_a_user_does_not_count(world: World) {
    let last = world.service_key(WRITER).await;
    let suspended = world.service_key(WRITER).await;
    world.transition(&suspended, Transition::Suspend).await;
    let mut expired = world.draft_of_service_key(WRITER);
    expired.key.expires_at = Some(world.now());
    world.create(expired).await;
    // Bit 2 of `default` is another permission.
    let mut of_a_user = world.draft("alice");
    of_a_user.key.grants = WRITER;
    world.create(of_a_user).await;

    let refused = KeyEdited::Refused(Refusal::LastServiceKey);
    assert_eq!(world.transition(&last, Transition::Revoke).await, refused);
    assert_eq!(world.transition(&last, Transition::Suspend).await, refused);
    world.transition(&suspended, Transition::Reactivate).await;
    assert!(matches!(
        world.transition(&last, Transition::Revoke).await,
        KeyEdited::Done(_)
    ));
}

async fn a_writer_that_ends_sooner_does_not_count(world: World) {
    let day = |number: u64| {
        world
            .now()
            .saturating_add(Duration::from_hours(24 * number))
    };
    let lasting = |days: Option<u64>| {
        let mut draft = world.draft_of_service_key(WRITER);
        draft.key.expires_at = days.map(day);
        world.create(draft)
    };
    let (soon, later, never) = (
        lasting(Some(1)).await,
        lasting(Some(2)).await,
        lasting(None).await,
    );
    let refused = KeyEdited::Refused(Refusal::LastServiceKey);
    assert_eq!(world.transition(&never, Transition::Revoke).await, refused);
    for ended in [later, soon] {
        assert!(matches!(
            world.transition(&ended, Transition::Revoke).await,
            KeyEdited::Done(_)
        ));
    }
}

async fn a_service_key_that_cannot_write_keys_is_revoked_freely(world: World) {
    let verifier = world.service_key(Operation::KeysVerify.grant()).await;
    assert!(matches!(
        world.transition(&verifier, Transition::Revoke).await,
        KeyEdited::Done(_)
    ));
}
