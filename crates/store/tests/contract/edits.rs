//! Edits of a key: what they write, and that they write it whole or not at all.

use futures::future::join_all;
use keywright_core::audit::Action;
use keywright_core::authority::{Caller, DetailsEdit, KeyEdit, Refusal};
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::key::{ApiKey, KeyRecord, Metadata};
use keywright_core::lifecycle::{Lifecycle, Status, Transition};
use keywright_core::permission::Grants;
use keywright_core::text::{Description, KeyName};
use keywright_store::{KeyEdited, KeySelector};
use serde_json::json;

use crate::world::{World, id, line_of, user};

contract! {
    a_transition_is_written_audited_and_logged,
    permissions_are_replaced_audited_and_logged,
    details_are_written_audited_and_logged,
    an_edit_that_held_already_writes_nothing,
    a_refused_edit_writes_nothing,
    an_edit_of_no_key_is_refused_as_not_found,
    a_holder_revokes_by_digest_and_may_repeat_it,
    another_users_key_is_not_found,
    storms_of_transitions_end_revoked_with_first_times_kept,
    edits_of_one_key_at_once_are_all_kept,
    an_edit_at_the_same_moment_as_a_deletion_leaves_nothing_half_done,
}

fn done(edited: KeyEdited) -> KeyRecord {
    match edited {
        KeyEdited::Done(record) => record,
        other => panic!("not done: {other:?}"),
    }
}

async fn a_transition_is_written_audited_and_logged(world: World) {
    let made = world.key("alice").await;
    let suspended_at = world.clock.tick();
    let suspended = done(world.transition(&made, Transition::Suspend).await);
    let lifecycle = Lifecycle::Suspended { at: suspended_at };
    let expected = KeyRecord {
        key: ApiKey {
            lifecycle,
            updated_at: suspended_at,
            ..made.key.clone()
        },
        ..made.clone()
    };
    assert_eq!(suspended, expected);
    assert_eq!(world.look_up(&made).await, expected);

    let [entry] = &world.audit_since(1).await[..] else {
        panic!("one entry")
    };
    assert_eq!(
        (entry.action, entry.key_id),
        (Action::KeySuspended, Some(made.key.id))
    );
    assert_eq!(entry.user_id, Some(user("alice")));
    assert_eq!(
        entry.before,
        json!({"status": "ACTIVE", "suspended_at": null})
    );
    assert_eq!(
        entry.after,
        json!({"status": "SUSPENDED", "suspended_at": suspended_at.to_string()})
    );

    let [row] = &world.change_log().await[..] else {
        panic!("one row")
    };
    assert_eq!(
        (row.seq, &row.what, row.at),
        (1, &line_of(&made), suspended_at)
    );
    assert_eq!(row.nonce.len(), 16);
    assert_eq!(world.number("SELECT last_seq FROM cluster").await, 1);

    done(world.transition(&made, Transition::Reactivate).await);
    done(world.transition(&made, Transition::Revoke).await);
    let actions: Vec<_> = world
        .audit_since(2)
        .await
        .iter()
        .map(|entry| entry.action)
        .collect();
    assert_eq!(actions, [Action::KeyReactivated, Action::KeyRevoked]);
    assert_eq!(world.logged().await, vec![line_of(&made); 3]);
}

async fn permissions_are_replaced_audited_and_logged(world: World) {
    let made = world.key("alice").await;
    let edited = done(
        world
            .edit(&made, KeyEdit::Permissions(Grants(0b1010)))
            .await,
    );
    assert_eq!(edited.key.grants, Grants(0b1010));
    assert_eq!(world.look_up(&made).await, edited);
    let [entry] = &world.audit_since(1).await[..] else {
        panic!("one entry")
    };
    assert_eq!(entry.action, Action::KeyPermissionsReplaced);
    assert_eq!(
        entry.before,
        json!({"permissions": ["EXECUTE_GRAPH", "READ_GRAPH"]})
    );
    assert_eq!(
        entry.after,
        json!({"permissions": ["READ_GRAPH", "READ_BLOCK"]})
    );
    assert_eq!(world.logged().await, [line_of(&made)]);
}

async fn details_are_written_audited_and_logged(world: World) {
    let made = world.key("alice").await;
    let expires_at = world.clock.tick();
    let everything = DetailsEdit {
        name: Some(KeyName::new("renamed").unwrap()),
        description: Some(Some(Description::new("described").unwrap())),
        metadata: Some(Metadata::new(json!({"plan": 1}).as_object().unwrap()).unwrap()),
        expires_at: Some(Some(expires_at)),
    };
    let edited = done(
        world
            .edit(&made, KeyEdit::Details(everything.clone()))
            .await,
    );
    assert_eq!(world.look_up(&made).await, edited);
    assert_eq!(Some(&edited.key.name), everything.name.as_ref());
    assert_eq!(
        Some(&edited.key.description),
        everything.description.as_ref()
    );
    assert_eq!(Some(&edited.key.metadata), everything.metadata.as_ref());
    assert_eq!(edited.key.expires_at, Some(expires_at));

    let cleared = DetailsEdit {
        description: Some(None),
        expires_at: Some(None),
        ..DetailsEdit::default()
    };
    let edited = done(world.edit(&made, KeyEdit::Details(cleared)).await);
    assert_eq!(
        (&edited.key.description, edited.key.expires_at),
        (&None, None)
    );
    assert_eq!(world.look_up(&made).await, edited);

    let entries = world.audit_since(1).await;
    assert_eq!(
        entries.iter().map(|entry| entry.action).collect::<Vec<_>>(),
        [Action::KeyUpdated; 2]
    );
    assert_eq!(
        entries[0].before,
        json!({"name": "a key", "description": null, "metadata": {}, "expires_at": null})
    );
    assert_eq!(
        entries[1].after,
        json!({"description": null, "expires_at": null})
    );
    assert_eq!(world.logged().await, vec![line_of(&made); 2]);
}

async fn an_edit_that_held_already_writes_nothing(world: World) {
    let made = world.key("alice").await;
    let same = DetailsEdit {
        name: Some(made.key.name.clone()),
        ..DetailsEdit::default()
    };
    world.clock.tick();
    for edit in [
        KeyEdit::Transition(Transition::Reactivate),
        KeyEdit::Permissions(made.key.grants),
        KeyEdit::Details(same),
        KeyEdit::Details(DetailsEdit::default()),
    ] {
        assert_eq!(
            world.edit(&made, edit).await,
            KeyEdited::Unchanged(made.clone())
        );
    }
    assert_eq!(world.look_up(&made).await, made);
    assert_eq!(
        (world.audit_since(1).await, world.logged().await),
        (vec![], vec![])
    );
}

async fn a_refused_edit_writes_nothing(world: World) {
    let made = world.key("alice").await;
    let revoked = done(world.transition(&made, Transition::Revoke).await);
    world.clock.tick();
    for edit in [
        KeyEdit::Transition(Transition::Suspend),
        KeyEdit::Transition(Transition::Reactivate),
        KeyEdit::Permissions(Grants::NONE),
        KeyEdit::Details(DetailsEdit::default()),
    ] {
        assert_eq!(
            world.edit(&made, edit).await,
            KeyEdited::Refused(Refusal::Revoked)
        );
    }
    assert_eq!(
        world.transition(&made, Transition::Revoke).await,
        KeyEdited::Unchanged(revoked.clone())
    );
    assert_eq!(world.look_up(&made).await, revoked);
    assert_eq!(
        (world.audit_since(2).await, world.logged().await),
        (vec![], vec![line_of(&made)])
    );
}

async fn an_edit_of_no_key_is_refused_as_not_found(world: World) {
    for which in [
        KeySelector::Id(KeyId(id())),
        KeySelector::Digest(Digest::of("made up")),
    ] {
        let edit = KeyEdit::Transition(Transition::Revoke);
        let edited = world
            .store
            .edit_key(which, Caller::Operator, edit, world.by())
            .await;
        assert_eq!(edited, Ok(KeyEdited::Refused(Refusal::NotFound)));
    }
}

async fn a_holder_revokes_by_digest_and_may_repeat_it(world: World) {
    let made = world.key("alice").await;
    let revoke = || {
        let edit = KeyEdit::Transition(Transition::Revoke);
        world.store.edit_key(
            KeySelector::Digest(made.digest),
            Caller::Holder,
            edit,
            world.by(),
        )
    };
    let revoked_at = world.clock.tick();
    let revoked = done(revoke().await.unwrap());
    assert_eq!(
        revoked.key.lifecycle,
        Lifecycle::Revoked {
            at: revoked_at,
            suspended_at: None
        }
    );
    world.clock.tick();
    assert_eq!(revoke().await, Ok(KeyEdited::Unchanged(revoked)));
}

async fn another_users_key_is_not_found(world: World) {
    let made = world.key("alice").await;
    let edit = KeyEdit::Transition(Transition::Revoke);
    let edited = world
        .store
        .edit_key(
            KeySelector::Id(made.key.id),
            Caller::User(user("bob")),
            edit,
            world.by(),
        )
        .await;
    assert_eq!(edited, Ok(KeyEdited::Refused(Refusal::NotFound)));
    assert_eq!(world.look_up(&made).await, made);
}

async fn storms_of_transitions_end_revoked_with_first_times_kept(world: World) {
    let made = world.key("alice").await;
    let storm = (0..60).map(|step| {
        let transition = [
            Transition::Suspend,
            Transition::Reactivate,
            Transition::Revoke,
        ][step % 3];
        world.clock.tick();
        world.transition(&made, transition)
    });
    let answers = join_all(storm).await;
    let revoked: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            KeyEdited::Done(record) if record.key.lifecycle.status() == Status::Revoked => {
                Some(record)
            }
            _ => None,
        })
        .collect();
    let [first] = revoked[..] else {
        panic!("revoked {} times", revoked.len())
    };
    assert_eq!(world.look_up(&made).await, *first);
    for answer in &answers {
        if let KeyEdited::Unchanged(record) = answer
            && record.key.lifecycle.status() == Status::Revoked
        {
            assert_eq!(record, first, "a repeat gives the first times");
        }
    }
    // Nothing was written after the revocation, and as much was logged as was done.
    let written = answers
        .iter()
        .filter(|answer| matches!(answer, KeyEdited::Done(_)))
        .count();
    assert_eq!(world.logged().await.len(), written);
    assert_eq!(world.audit_since(1).await.len(), written);
}

async fn edits_of_one_key_at_once_are_all_kept(world: World) {
    let made = world.key("alice").await;
    let named = DetailsEdit {
        name: Some(KeyName::new("renamed").unwrap()),
        ..DetailsEdit::default()
    };
    let described = DetailsEdit {
        description: Some(Some(Description::new("described").unwrap())),
        ..DetailsEdit::default()
    };
    let (one, two, three, four) = tokio::join!(
        world.edit(&made, KeyEdit::Details(named)),
        world.edit(&made, KeyEdit::Details(described)),
        world.edit(&made, KeyEdit::Permissions(Grants(0b100))),
        world.transition(&made, Transition::Suspend),
    );
    for edited in [one, two, three, four] {
        done(edited);
    }
    let after = world.look_up(&made).await.key;
    assert_eq!(after.name.as_str(), "renamed");
    assert_eq!(after.description.unwrap().as_str(), "described");
    assert_eq!(
        (after.grants, after.lifecycle.status()),
        (Grants(0b100), Status::Suspended)
    );
}

async fn an_edit_at_the_same_moment_as_a_deletion_leaves_nothing_half_done(world: World) {
    for _ in 0..10 {
        let made = world.key("alice").await;
        let logged_before = world.logged().await.len();
        let (edited, deleted) = tokio::join!(
            world.transition(&made, Transition::Suspend),
            world.store.delete_user(user("alice"), world.by()),
        );
        assert_eq!(deleted, Ok(true));
        assert_eq!(world.store.find_key(made.key.id).await, Ok(None));
        let changes = match edited {
            KeyEdited::Done(_) => 2,
            KeyEdited::Refused(Refusal::NotFound) => 1,
            other => panic!("{other:?}"),
        };
        assert_eq!(world.logged().await.len() - logged_before, changes);
    }
}
