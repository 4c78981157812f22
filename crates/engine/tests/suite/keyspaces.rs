//! Changes of keyspaces: seen by the next verification, though keyspaces were in memory or being read.

use keywright_core::authority::KeyEdit;
use keywright_core::decision::{Code, Question};
use keywright_core::keyspace::DEFAULT;
use keywright_engine::Decision;

use crate::world::{Seen, World, begin};

on_both_stores! {
    a_permission_that_was_added_and_granted_is_seen_though_the_key_was_in_memory,
    a_permission_that_is_added_and_granted_while_the_key_is_read_is_seen,
    a_permission_that_is_added_and_granted_while_keyspaces_are_read_is_seen,
    a_permission_that_was_added_is_seen_to_be_missing_under_its_name,
    a_prefix_that_was_refused_is_good_once_there_is_a_keyspace,
    a_prefix_that_is_made_while_keyspaces_are_read_is_good_for_who_waits_and_who_comes_later,
    keyspaces_are_read_once_for_all_who_wait,
}

async fn a_permission_that_was_added_and_granted_is_seen_though_the_key_was_in_memory(
    world: World,
) {
    let key = world.key("ada").await;
    assert_eq!(world.verify(&key.text).await, world.truth(&key).await);
    let grants = world.permission("NEW").await;
    assert_eq!(world.verify(&key.text).await, world.truth(&key).await);
    world.edit(&key, KeyEdit::Permissions(grants)).await;
    assert_may_only("NEW", &world.verify(&key.text).await);
    assert_eq!(world.verify(&key.text).await, world.truth(&key).await);
}

#[track_caller]
fn assert_may_only(permission: &str, seen: &Seen) {
    let (_, _, permissions, _) = seen.of_key.as_ref().expect("it was found");
    assert_eq!(permissions, &[permission]);
}

async fn a_permission_that_is_added_and_granted_while_the_key_is_read_is_seen(world: World) {
    world.verify(&world.key("ada").await.text).await;
    // Once before the key is read, and once after.
    let way = &world.store.keys;
    for (hold, permission) in [(&way.before, "SOON"), (&way.after, "LATE")] {
        let key = world.key("ada").await;
        hold.close();
        let early = begin(world.verify(&key.text)).await;
        hold.has(1).await;
        let grants = world.permission(permission).await;
        world.edit(&key, KeyEdit::Permissions(grants)).await;
        let late = begin(world.verify(&key.text)).await;
        hold.open();
        let (early, late) = futures::join!(early, late);
        assert_may_only(permission, &early);
        assert_may_only(permission, &late);
        assert_eq!(world.verify(&key.text).await, world.truth(&key).await);
    }
}

async fn a_permission_that_is_added_and_granted_while_keyspaces_are_read_is_seen(world: World) {
    let key = world.key("ada").await;
    world.store.keyspaces.after.close();
    let early = begin(world.verify(&key.text)).await;
    world.store.keyspaces.after.has(1).await;
    let grants = world.permission("NEW").await;
    world.edit(&key, KeyEdit::Permissions(grants)).await;
    let late = begin(world.verify(&key.text)).await;
    world.store.keyspaces.after.open();
    let (early, late) = futures::join!(early, late);
    assert_may_only("NEW", &early);
    assert_may_only("NEW", &late);
    assert_may_only("NEW", &world.verify(&key.text).await);
}

async fn a_permission_that_was_added_is_seen_to_be_missing_under_its_name(world: World) {
    let key = world.key("ada").await;
    world.verify(&key.text).await;
    world.permission("NEW").await;
    let question = Question {
        permissions: &["NEW"],
        keyspace: Some(DEFAULT),
    };
    let missing = |decision: Decision<'_>| {
        let found = decision.found.expect("it was found");
        assert_eq!(decision.code, Code::InsufficientPermissions);
        found.keyspace.catalogue.number_of("NEW").is_some()
    };
    let known = world.verifier.verify(&key.text, &question, missing).await;
    assert_eq!(known, Ok(true));
}

async fn a_prefix_that_was_refused_is_good_once_there_is_a_keyspace(world: World) {
    let (keyspace, tag_keys) = world.draft_of_keyspace("partners", "partner_");
    let key = world.draft_in(keyspace.clone(), &tag_keys, "ada");
    assert_eq!(world.code(&key.text).await, Code::NotFound);
    assert_eq!(world.store.queries(), 0, "it was refused without a query");

    world.create_keyspace(&keyspace, &tag_keys).await;
    // Not a word about the key yet, but it could be one now.
    let unwritten = world.draft_in(keyspace, &tag_keys, "ada");
    assert_eq!(world.code(&unwritten.text).await, Code::NotFound);
    assert_eq!(world.store.queries(), 1);
    world.create(&key).await;
    assert_eq!(world.verify(&key.text).await, world.truth(&key).await);
    assert_eq!(world.code(&key.text).await, Code::Valid);
}

async fn a_prefix_that_is_made_while_keyspaces_are_read_is_good_for_who_waits_and_who_comes_later(
    world: World,
) {
    let (keyspace, tag_keys) = world.draft_of_keyspace("partners", "partner_");
    let key = world.draft_in(keyspace.clone(), &tag_keys, "ada");
    world.store.keyspaces.after.close();
    let early = begin(world.code(&key.text)).await;
    world.store.keyspaces.after.has(1).await;
    world.create_keyspace(&keyspace, &tag_keys).await;
    world.create(&key).await;
    let late = begin(world.code(&key.text)).await;
    world.store.keyspaces.after.open();
    assert_eq!(futures::join!(early, late), (Code::Valid, Code::Valid));
    assert_eq!(
        world.store.keyspaces.asked(),
        2,
        "the old ones, and then the new"
    );
    assert_eq!(world.code(&key.text).await, Code::Valid);
}

async fn keyspaces_are_read_once_for_all_who_wait(world: World) {
    let key = world.key("ada").await;
    world.store.keyspaces.before.close();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(begin(world.code(&key.text)).await);
    }
    world.store.keyspaces.before.has(1).await;
    world.store.keyspaces.before.open();
    for code in futures::future::join_all(waiting).await {
        assert_eq!(code, Code::Valid);
    }
    assert_eq!(world.store.keyspaces.asked(), 1);
    assert_eq!(world.store.queries(), 1);
}
