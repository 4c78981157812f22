//! Users, and the reserved owner of service keys, who is not one.

use futures::future::join_all;
use keywright_core::audit::Action;
use keywright_core::authority::Caller;
use keywright_core::identifier::UserId;
use keywright_core::permission::Grants;
use keywright_store::{KeyQuery, User, UserQuery};
use serde_json::{Value, json};

use crate::world::{World, user};

contract! {
    a_user_is_there_from_first_use_on,
    users_seen_by_many_at_once_are_one,
    the_reserved_owner_is_no_user,
    the_reserved_owner_is_never_deleted,
    deleting_a_user_takes_the_keys_and_is_audited_and_logged,
    deleting_nobody_writes_nothing,
    a_deleted_user_can_come_back_without_the_keys,
    keys_are_counted_right_whatever_happens_at_once,
}

fn everybody() -> UserQuery {
    UserQuery {
        id_start: None,
        after: None,
        limit: 500,
    }
}

async fn a_user_is_there_from_first_use_on(world: World) {
    let (alice, first_seen) = (user("alice"), world.now());
    assert_eq!(world.store.find_user(&alice).await, Ok(None));
    for _ in 0..2 {
        world.store.ensure_user(&alice, world.now()).await.unwrap();
        let expected = User {
            id: alice.clone(),
            created_at: first_seen,
            api_keys: 0,
        };
        assert_eq!(world.store.find_user(&alice).await, Ok(Some(expected)));
        world.clock.tick();
    }
    assert_eq!(
        (world.audit().await, world.logged().await),
        (vec![], vec![])
    );
}

async fn users_seen_by_many_at_once_are_one(world: World) {
    let alice = user("alice");
    let seen = join_all((0..16).map(|_| world.store.ensure_user(&alice, world.now()))).await;
    assert!(seen.iter().all(Result::is_ok), "{seen:?}");
    assert_eq!(
        world
            .store
            .list_users(&everybody())
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
}

async fn the_reserved_owner_is_no_user(world: World) {
    world.service_key(Grants(1)).await;
    assert_eq!(world.store.find_user(&UserId::reserved()).await, Ok(None));
    assert_eq!(
        world.store.list_users(&everybody()).await.unwrap().entries,
        []
    );
}

async fn the_reserved_owner_is_never_deleted(world: World) {
    let service_key = world.service_key(Grants(1)).await;
    assert_eq!(
        world
            .store
            .delete_user(UserId::reserved(), world.by())
            .await,
        Ok(false)
    );
    assert_eq!(world.look_up(&service_key).await, service_key);
    assert_eq!(
        (world.audit().await.len(), world.logged().await.len()),
        (1, 0)
    );
}

async fn deleting_a_user_takes_the_keys_and_is_audited_and_logged(world: World) {
    let first_seen = world.now();
    let alices = [world.key("alice").await, world.key("alice").await];
    let bobs = world.key("bob").await;
    let deleted_at = world.clock.tick();
    assert_eq!(
        world.store.delete_user(user("alice"), world.by()).await,
        Ok(true)
    );

    assert_eq!(world.store.find_user(&user("alice")).await, Ok(None));
    for record in alices {
        assert_eq!(world.store.find_key(record.key.id).await, Ok(None));
        assert_eq!(
            world.store.find_key_by_digest(&record.digest).await,
            Ok(None)
        );
    }
    assert_eq!(world.look_up(&bobs).await, bobs);

    let [entry] = &world.audit_since(3).await[..] else {
        panic!("one entry")
    };
    assert_eq!(
        (entry.action, &entry.user_id),
        (Action::UserDeleted, &Some(user("alice")))
    );
    assert_eq!(
        entry.before,
        json!({"api_keys": 2, "created_at": first_seen.to_string()})
    );
    assert_eq!(entry.after, Value::Null);
    let [row] = &world.change_log().await[..] else {
        panic!("one row")
    };
    assert_eq!(
        (row.seq, row.what.as_str(), row.at),
        (1, "user alice", deleted_at)
    );
}

async fn deleting_nobody_writes_nothing(world: World) {
    assert_eq!(
        world.store.delete_user(user("nobody"), world.by()).await,
        Ok(false)
    );
    assert_eq!(
        (world.audit().await, world.logged().await),
        (vec![], vec![])
    );
}

async fn a_deleted_user_can_come_back_without_the_keys(world: World) {
    world.key("alice").await;
    world
        .store
        .delete_user(user("alice"), world.by())
        .await
        .unwrap();
    let back_at = world.clock.tick();
    world
        .store
        .ensure_user(&user("alice"), back_at)
        .await
        .unwrap();
    let back = User {
        id: user("alice"),
        created_at: back_at,
        api_keys: 0,
    };
    assert_eq!(world.store.find_user(&user("alice")).await, Ok(Some(back)));
}

async fn keys_are_counted_right_whatever_happens_at_once(world: World) {
    let creations = async {
        join_all((0..24).map(|_| {
            world
                .store
                .create_key(world.draft("alice"), Caller::Operator, world.by())
        }))
        .await
    };
    let deletions = async {
        for _ in 0..4 {
            world
                .store
                .delete_user(user("alice"), world.by())
                .await
                .unwrap();
        }
    };
    let (created, ()) = tokio::join!(creations, deletions);
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    let query = KeyQuery {
        user_id: Some(user("alice")),
        status: None,
        keyspace: None,
        after: None,
        limit: 500,
    };
    let keys = world.store.list_keys(&query).await.unwrap().entries.len();
    let counted = world
        .store
        .find_user(&user("alice"))
        .await
        .unwrap()
        .map_or(0, |alice| alice.api_keys);
    assert_eq!(counted, keys as u64);
}
