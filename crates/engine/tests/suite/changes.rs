//! Changes of keys and users: seen by the next verification, whatever memory knew or was about to learn.

use std::sync::atomic::{AtomicBool, Ordering};

use keywright_core::ambient::Clock;
use keywright_core::authority::{DetailsEdit, KeyEdit};
use keywright_core::decision::Code;
use keywright_core::key::Metadata;
use keywright_core::lifecycle::Transition;
use keywright_core::permission::Grants;
use serde_json::json;

use crate::world::{Key, Seen, World, begin};

on_both_stores! {
    every_change_is_seen_though_the_key_was_in_memory,
    every_change_is_seen_though_there_was_known_to_be_no_key,
    every_change_during_a_load_is_seen_by_who_waits_and_by_who_comes_later,
    changes_one_after_another_during_one_load_are_all_seen,
    a_user_who_was_deleted_and_comes_again_has_none_of_the_old_keys,
    a_user_who_is_deleted_and_comes_again_during_a_load_has_none_of_the_old_keys,
    a_key_that_never_stops_changing_is_decided_all_the_same,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Suspension,
    Reactivation,
    Revocation,
    Permissions,
    Name,
    Metadata,
    Expiry,
    DeletionOfTheUser,
}

impl Change {
    const ALL: [Self; 8] = [
        Self::Suspension,
        Self::Reactivation,
        Self::Revocation,
        Self::Permissions,
        Self::Name,
        Self::Metadata,
        Self::Expiry,
        Self::DeletionOfTheUser,
    ];

    /// The user whose key it is about.
    fn user(self) -> String {
        format!("{self:?}")
    }

    async fn prepare(self, world: &World, key: &Key) {
        if matches!(self, Self::Reactivation) {
            world.transition(key, Transition::Suspend).await;
        }
    }

    async fn make(self, world: &World, key: &Key) {
        let details = |details| KeyEdit::Details(details);
        let edit = match self {
            Self::Suspension => KeyEdit::Transition(Transition::Suspend),
            Self::Reactivation => KeyEdit::Transition(Transition::Reactivate),
            Self::Revocation => KeyEdit::Transition(Transition::Revoke),
            Self::Permissions => KeyEdit::Permissions(Grants(0b100)),
            Self::Name => return world.rename(key, "another name").await,
            Self::Metadata => {
                let object = json!({"plan": "pro"});
                details(DetailsEdit {
                    metadata: Some(Metadata::new(object.as_object().unwrap()).unwrap()),
                    ..DetailsEdit::default()
                })
            }
            Self::Expiry => details(DetailsEdit {
                expires_at: Some(Some(world.clock.now())),
                ..DetailsEdit::default()
            }),
            Self::DeletionOfTheUser => return world.delete_user(&self.user()).await,
        };
        world.edit(key, edit).await;
    }
}

async fn every_change_is_seen_though_the_key_was_in_memory(world: World) {
    for change in Change::ALL {
        let key = world.key(&change.user()).await;
        change.prepare(&world, &key).await;
        let before = world.truth(&key).await;
        assert_eq!(world.verify(&key.text).await, before);
        world.store.queries();
        assert_eq!(world.verify(&key.text).await, before);
        assert_eq!(world.store.queries(), 0, "it was in memory");

        change.make(&world, &key).await;
        let after = world.truth(&key).await;
        assert_ne!(after, before);
        assert_eq!(world.verify(&key.text).await, after, "{change:?}");
        assert_eq!(world.store.queries(), 1);
        assert_eq!(world.verify(&key.text).await, after, "{change:?}");
        assert_eq!(world.store.queries(), 0, "it is in memory again");
    }
}

async fn every_change_is_seen_though_there_was_known_to_be_no_key(world: World) {
    for change in Change::ALL {
        let key = world.draft(&change.user()).await;
        assert_eq!(world.verify(&key.text).await, Seen::nothing());
        world.store.queries();
        assert_eq!(world.verify(&key.text).await, Seen::nothing());
        assert_eq!(world.store.queries(), 0, "it was known");

        world.create(&key).await;
        change.prepare(&world, &key).await;
        change.make(&world, &key).await;
        let truth = world.truth(&key).await;
        assert_eq!(world.verify(&key.text).await, truth, "{change:?}");
    }
}

async fn every_change_during_a_load_is_seen_by_who_waits_and_by_who_comes_later(world: World) {
    // So that keyspaces are known, and the key is what is waited for.
    world.verify(&world.key("ada").await.text).await;
    for change in Change::ALL {
        let key = world.key(&change.user()).await;
        change.prepare(&world, &key).await;
        let before = world.truth(&key).await;
        world.store.queries();
        world.store.hold_only(key.record.digest);

        world.store.keys.after.close();
        let early = begin(world.verify(&key.text)).await;
        world.store.keys.after.has(1).await;
        change.make(&world, &key).await;
        let late = begin(world.verify(&key.text)).await;
        world.store.keys.after.open();

        let truth = world.truth(&key).await;
        assert_ne!(truth, before);
        assert_eq!(late.await, truth, "{change:?}, begun after it");
        assert_eq!(early.await, truth, "{change:?}, begun before it");
        assert_eq!(world.store.queries(), 2, "one load, which read twice");
        assert_eq!(world.verify(&key.text).await, truth, "{change:?}, later");
        assert_eq!(world.store.queries(), 0);
    }
}

async fn changes_one_after_another_during_one_load_are_all_seen(world: World) {
    world.verify(&world.key("ada").await.text).await;
    let key = world.key("ada").await;
    world.store.queries();
    world.store.keys.after.close();
    let first = begin(world.verify(&key.text)).await;
    let mut others = Vec::new();
    for name in ["one", "two", "three"] {
        world.store.keys.after.has(1).await;
        world.rename(&key, name).await;
        others.push(begin(world.verify(&key.text)).await);
        // It reads again, and is held again.
        world.store.keys.after.let_one_go();
    }
    world.store.keys.after.open();
    let truth = world.truth(&key).await;
    assert_eq!(first.await, truth);
    for other in others {
        assert_eq!(other.await, truth);
    }
    assert_eq!(world.store.queries(), 4, "one load");
}

async fn a_user_who_was_deleted_and_comes_again_has_none_of_the_old_keys(world: World) {
    let old = world.key("ada").await;
    let of_another = world.key("bob").await;
    assert_eq!(world.code(&old.text).await, Code::Valid);
    assert_eq!(world.code(&of_another.text).await, Code::Valid);
    world.delete_user("ada").await;
    let new = world.key("ada").await;
    for _ in 0..2 {
        assert_eq!(world.verify(&old.text).await, Seen::nothing());
        assert_eq!(world.code(&new.text).await, Code::Valid);
    }
    world.store.queries();
    assert_eq!(world.code(&of_another.text).await, Code::Valid);
    assert_eq!(world.store.queries(), 0, "other users' keys stay in memory");

    world.delete_user("ada").await;
    assert_eq!(world.verify(&new.text).await, Seen::nothing());
}

async fn a_user_who_is_deleted_and_comes_again_during_a_load_has_none_of_the_old_keys(
    world: World,
) {
    let old = world.key("ada").await;
    world.verify(&world.key("bob").await.text).await;
    world.store.hold_only(old.record.digest);
    world.store.keys.after.close();
    let early = begin(world.verify(&old.text)).await;
    world.store.keys.after.has(1).await;
    world.delete_user("ada").await;
    let new = world.key("ada").await;
    assert_eq!(world.code(&new.text).await, Code::Valid);
    let late = begin(world.verify(&old.text)).await;
    world.store.keys.after.open();
    assert_eq!(early.await, Seen::nothing());
    assert_eq!(late.await, Seen::nothing());
    assert_eq!(world.verify(&old.text).await, Seen::nothing());
    assert_eq!(world.code(&new.text).await, Code::Valid);
}

async fn a_key_that_never_stops_changing_is_decided_all_the_same(world: World) {
    world.verify(&world.key("ada").await.text).await;
    let key = world.key("ada").await;
    let ended = AtomicBool::new(false);
    let changing = async {
        let mut number = 0;
        while !ended.load(Ordering::SeqCst) {
            number += 1;
            world.rename(&key, &format!("name {number}")).await;
        }
    };
    let verifying = async {
        for _ in 0..50 {
            assert_eq!(world.code(&key.text).await, Code::Valid);
        }
        ended.store(true, Ordering::SeqCst);
    };
    futures::join!(changing, verifying);
    assert_eq!(world.verify(&key.text).await, world.truth(&key).await);
}
