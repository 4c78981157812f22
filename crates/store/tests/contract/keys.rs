//! Keys: making, finding and listing them.

use keywright_core::audit::{Action, snapshot_of_key};
use keywright_core::authority::{Caller, Refusal};
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::key::{KeyRecord, Metadata};
use keywright_core::keyspace::KeyspaceEdit;
use keywright_core::lifecycle::{Lifecycle, Status, Transition};
use keywright_core::permission::Grants;
use keywright_core::text::{Description, KeyName};
use keywright_core::timestamp::Timestamp;
use keywright_store::{KeyCreated, KeyQuery, KeyspaceEdited, StoreError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, id, keyspace_name, user};

contract! {
    a_key_is_found_by_id_and_by_digest_as_it_was_made,
    every_field_of_a_key_comes_back,
    a_key_that_nobody_made_is_not_found,
    making_a_key_makes_its_owner_and_counts_it,
    making_a_key_is_audited_and_changes_no_earlier_answer,
    who_may_make_a_key_is_asked_when_it_is_made,
    a_key_in_no_keyspace_is_not_made_and_leaves_nothing,
    a_second_key_of_the_same_text_is_refused_and_leaves_nothing,
    a_refusal_shows_no_hash,
    ten_keys_that_share_a_prefix_are_all_found,
    a_list_has_only_the_users_own_keys,
    a_list_is_filtered_by_status_and_by_keyspace,
}

async fn a_key_is_found_by_id_and_by_digest_as_it_was_made(world: World) {
    let made = world.key("alice").await;
    world.key("bob").await;
    assert_eq!(
        world.store.find_key(made.key.id).await,
        Ok(Some(made.clone()))
    );
    assert_eq!(
        world.store.find_key_by_digest(&made.digest).await,
        Ok(Some(made))
    );
}

async fn every_field_of_a_key_comes_back(world: World) {
    let mut full = world.draft("ünïcode 🔑 'quoted' \\ \"and\" %s");
    full.key.name = KeyName::new("ü".repeat(100)).unwrap();
    full.key.description = Some(Description::new("first\nsecond; DROP TABLE api_keys --").unwrap());
    full.key.grants = Grants(u64::MAX);
    full.key.last_used_at = Some(Timestamp::from_micros(-1));
    full.key.expires_at = Some(Timestamp::from_micros(253_402_300_799_999_999));
    full.key.metadata = Metadata::new(
        json!({"a": [1, null, {"b": "ü\u{1}"}]})
            .as_object()
            .unwrap(),
    )
    .unwrap();
    let mut suspended = world.draft("alice");
    suspended.key.lifecycle = Lifecycle::Suspended {
        at: Timestamp::from_micros(0),
    };
    let mut revoked = world.draft("alice");
    revoked.key.lifecycle = Lifecycle::Revoked {
        at: Timestamp::from_micros(2),
        suspended_at: Some(Timestamp::from_micros(1)),
    };
    for record in [full, suspended, revoked] {
        world.create(record.clone()).await;
        assert_eq!(world.look_up(&record).await, record);
    }
}

async fn a_key_that_nobody_made_is_not_found(world: World) {
    world.key("alice").await;
    assert_eq!(world.store.find_key(KeyId(id())).await, Ok(None));
    assert_eq!(world.store.find_key(KeyId(Uuid::nil())).await, Ok(None));
    assert_eq!(
        world.store.find_key_by_digest(&Digest::of("made up")).await,
        Ok(None)
    );
}

async fn making_a_key_makes_its_owner_and_counts_it(world: World) {
    assert_eq!(world.store.find_user(&user("alice")).await, Ok(None));
    let first_seen = world.now();
    for count in 1..=3 {
        world.key("alice").await;
        let alice = world
            .store
            .find_user(&user("alice"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((alice.created_at, alice.api_keys), (first_seen, count));
        world.clock.tick();
    }
}

async fn making_a_key_is_audited_and_changes_no_earlier_answer(world: World) {
    let record = world.draft("alice");
    let by = world.by();
    world
        .store
        .create_key(record.clone(), Caller::Operator, by.clone())
        .await
        .unwrap();
    let [entry] = &world.audit().await[..] else {
        panic!("one entry")
    };
    assert_eq!(entry.by, by);
    assert_eq!(entry.action, Action::KeyCreated);
    assert_eq!(entry.key_id, Some(record.key.id));
    assert_eq!(entry.user_id, Some(user("alice")));
    assert_eq!(entry.keyspace, Some(keyspace_name("default")));
    assert_eq!(
        (&entry.before, &entry.after),
        (&Value::Null, &snapshot_of_key(&record))
    );
    assert_eq!(world.logged().await, Vec::<String>::new());
}

async fn who_may_make_a_key_is_asked_when_it_is_made(world: World) {
    // Made while users could make keys themselves, and written when they cannot any longer.
    let record = world.draft("alice");
    let closing = KeyspaceEdit {
        self_service: Some(false),
        ..KeyspaceEdit::default()
    };
    let closed = world
        .store
        .edit_keyspace(keyspace_name("default"), closing, world.by())
        .await;
    assert!(matches!(closed, Ok(KeyspaceEdited::Done(_))), "{closed:?}");
    let alice = Caller::User(user("alice"));
    assert_eq!(
        world
            .store
            .create_key(record.clone(), alice, world.by())
            .await,
        Ok(KeyCreated::Refused(Refusal::NotSelfService))
    );
    assert_eq!(world.store.find_key(record.key.id).await, Ok(None));
    assert_eq!(world.store.find_user(&user("alice")).await, Ok(None));
    assert_eq!(world.audit().await.len(), 1);
    world.create(record).await;

    let all = Grants(0b11);
    let service_key = world.draft_of_service_key(all);
    let weaker = Caller::ServiceKey {
        grants: Grants(0b01),
        acting_for: None,
    };
    let missing = Grants(0b10);
    assert_eq!(
        world
            .store
            .create_key(service_key, weaker, world.by())
            .await,
        Ok(KeyCreated::Refused(Refusal::InsufficientScope { missing }))
    );
}

async fn a_key_in_no_keyspace_is_not_made_and_leaves_nothing(world: World) {
    let mut record = world.draft("alice");
    record.key.keyspace = keyspace_name("nowhere");
    let refused = world
        .store
        .create_key(record, Caller::Operator, world.by())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Internal(_))),
        "{refused:?}"
    );
    assert_eq!(world.store.find_user(&user("alice")).await, Ok(None));
    assert_eq!(world.audit().await, []);
}

async fn a_second_key_of_the_same_text_is_refused_and_leaves_nothing(world: World) {
    let first = world.key("alice").await;
    let second = KeyRecord {
        digest: first.digest,
        ..world.draft("bob")
    };
    let refused = world
        .store
        .create_key(second.clone(), Caller::Operator, world.by())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Internal(_))),
        "{refused:?}"
    );
    assert_eq!(world.store.find_key(second.key.id).await, Ok(None));
    assert_eq!(world.store.find_user(&user("bob")).await, Ok(None));
    assert_eq!(world.audit().await.len(), 1);
    assert_eq!(world.look_up(&first).await, first);
}

async fn a_refusal_shows_no_hash(world: World) {
    let first = world.key("alice").await;
    let second = KeyRecord {
        digest: first.digest,
        ..world.draft("bob")
    };
    let refused = world
        .store
        .create_key(second, Caller::Operator, world.by())
        .await
        .unwrap_err();
    let shown = format!("{refused} {refused:?}").to_lowercase();
    assert!(shown.contains("hash"), "the constraint is named: {shown}");
    let hex = format!(
        "{:x}",
        u64::from_be_bytes(*first.digest.as_bytes().first_chunk().unwrap())
    );
    assert!(!shown.contains(&hex[..8]), "{shown}");
    assert!(!shown.contains("detail"), "{shown}");
}

async fn ten_keys_that_share_a_prefix_are_all_found(world: World) {
    // In the origin, where keys were found by prefix, the older ones stopped working.
    let mut made = Vec::new();
    for _ in 0..10 {
        let mut record = world.draft("alice");
        "agpt_abc".clone_into(&mut record.key.prefix);
        "the same".clone_into(&mut record.key.postfix);
        made.push(world.create(record).await);
    }
    for record in made {
        assert_eq!(
            world.store.find_key_by_digest(&record.digest).await,
            Ok(Some(record))
        );
    }
}

fn all_of(user_id: &str) -> KeyQuery {
    KeyQuery {
        user_id: Some(user(user_id)),
        status: None,
        keyspace: None,
        after: None,
        limit: 500,
    }
}

async fn a_list_has_only_the_users_own_keys(world: World) {
    let alices = world.key("alice").await;
    world.key("alic").await;
    world.key("alice2").await;
    world.service_key(Grants(1)).await;
    let page = world.store.list_keys(&all_of("alice")).await.unwrap();
    assert_eq!((page.entries, page.more), (vec![alices], false));
    assert_eq!(
        world
            .store
            .list_keys(&all_of("nobody"))
            .await
            .unwrap()
            .entries,
        []
    );
}

async fn a_list_is_filtered_by_status_and_by_keyspace(world: World) {
    let other = crate::keyspaces::make(&world, "other", "other_").await;
    let mut keys = Vec::new();
    for keyspace in [(*world.draft("alice").keyspace).clone(), other] {
        for transition in [None, Some(Transition::Suspend), Some(Transition::Revoke)] {
            let record = world
                .create(world.draft_in(keyspace.clone(), user("alice")))
                .await;
            if let Some(transition) = transition {
                world.transition(&record, transition).await;
            }
            keys.push(world.look_up(&record).await);
        }
    }
    for status in [
        None,
        Some(Status::Active),
        Some(Status::Suspended),
        Some(Status::Revoked),
    ] {
        for keyspace in [None, Some("default"), Some("other"), Some("nowhere")] {
            let query = KeyQuery {
                status,
                keyspace: keyspace.map(keyspace_name),
                ..all_of("alice")
            };
            let listed = world.store.list_keys(&query).await.unwrap().entries;
            let mut expected: Vec<_> = keys
                .iter()
                .filter(|record| {
                    status.is_none_or(|status| record.key.lifecycle.status() == status)
                })
                .filter(|record| keyspace.is_none_or(|name| record.key.keyspace.as_str() == name))
                .cloned()
                .collect();
            expected.reverse();
            assert_eq!(listed, expected, "{status:?} {keyspace:?}");
        }
    }
}
