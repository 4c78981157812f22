//! The audit log: what it says of who, and its filters.

use keywright_core::audit::{Action, Actor, ActorKind, AuditEntry};
use keywright_core::authority::Caller;
use keywright_core::lifecycle::Transition;
use keywright_core::permission::Grants;
use keywright_store::AuditQuery;

use crate::world::{World, user};

contract! {
    who_and_from_where_come_back_as_they_were,
    each_filter_leaves_what_it_says,
    filters_must_all_hold,
    entries_outlive_what_they_tell_of,
}

fn all() -> AuditQuery {
    AuditQuery {
        limit: 1000,
        ..AuditQuery::default()
    }
}

async fn who_and_from_where_come_back_as_they_were(world: World) {
    let mut expected = Vec::new();
    for kind in ActorKind::ALL {
        world.clock.tick();
        let mut by = world.by();
        by.actor = Actor {
            kind,
            id: format!("ü 'quoted' {}", kind.as_str()),
        };
        if kind == ActorKind::CommandLine {
            (by.ip, by.user_agent, by.request_id) = (None, None, None);
        }
        world
            .store
            .create_key(world.draft("alice"), Caller::Operator, by.clone())
            .await
            .unwrap();
        expected.push(by);
    }
    let told: Vec<_> = world
        .audit()
        .await
        .into_iter()
        .map(|entry| entry.by)
        .collect();
    assert_eq!(told, expected);
}

/// Some entries of all kinds, by two actors, a second apart.
async fn some_history(world: &World) -> Vec<AuditEntry> {
    for name in ["alice", "bob"] {
        let mut by = world.by();
        by.actor = Actor {
            kind: ActorKind::User,
            id: name.to_owned(),
        };
        world.clock.tick();
        world
            .store
            .create_key(world.draft(name), Caller::Operator, by)
            .await
            .unwrap();
        world.clock.tick();
        let second = world.key(name).await;
        world.clock.tick();
        world.transition(&second, Transition::Suspend).await;
        world.clock.tick();
        world.transition(&second, Transition::Revoke).await;
    }
    world.clock.tick();
    crate::keyspaces::make(world, "live", "sk_live_").await;
    world.clock.tick();
    world.service_key(Grants(1)).await;
    world.clock.tick();
    world
        .store
        .delete_user(user("bob"), world.by())
        .await
        .unwrap();
    world.audit().await
}

async fn assert_listed(world: &World, query: AuditQuery, expected: impl Fn(&&AuditEntry) -> bool) {
    let mut expected: Vec<_> = some_of(&world.audit().await, expected);
    expected.reverse();
    assert!(!expected.is_empty(), "nothing to find by {query:?}");
    let page = world.store.list_audit(&query).await.unwrap();
    assert_eq!(page.entries, expected, "{query:?}");
}

fn some_of(entries: &[AuditEntry], wanted: impl Fn(&&AuditEntry) -> bool) -> Vec<AuditEntry> {
    entries.iter().filter(wanted).cloned().collect()
}

async fn each_filter_leaves_what_it_says(world: World) {
    let history = some_history(&world).await;
    assert_eq!(history.len(), 11);
    assert_listed(&world, all(), |_| true).await;
    let key_id = history[1].key_id;
    assert_listed(&world, AuditQuery { key_id, ..all() }, |entry| {
        entry.key_id == key_id
    })
    .await;
    let bob = Some(user("bob"));
    assert_listed(
        &world,
        AuditQuery {
            user_id: bob.clone(),
            ..all()
        },
        |entry| entry.user_id == bob,
    )
    .await;
    let actor_kind = Some(ActorKind::User);
    assert_listed(
        &world,
        AuditQuery {
            actor_kind,
            ..all()
        },
        |entry| entry.by.actor.kind == ActorKind::User,
    )
    .await;
    let actor_id = Some("alice".to_owned());
    assert_listed(&world, AuditQuery { actor_id, ..all() }, |entry| {
        entry.by.actor.id == "alice"
    })
    .await;
    for action in Action::ALL
        .into_iter()
        .filter(|action| history.iter().any(|entry| entry.action == *action))
    {
        let query = AuditQuery {
            action: Some(action),
            ..all()
        };
        assert_listed(&world, query, |entry| entry.action == action).await;
    }
    let moment = history[4].by.at;
    assert_listed(
        &world,
        AuditQuery {
            from: Some(moment),
            ..all()
        },
        |entry| entry.by.at >= moment,
    )
    .await;
    assert_listed(
        &world,
        AuditQuery {
            to: Some(moment),
            ..all()
        },
        |entry| entry.by.at < moment,
    )
    .await;
}

async fn filters_must_all_hold(world: World) {
    let history = some_history(&world).await;
    let wanted = &history[2];
    let query = AuditQuery {
        key_id: wanted.key_id,
        user_id: wanted.user_id.clone(),
        actor_kind: Some(wanted.by.actor.kind),
        actor_id: Some(wanted.by.actor.id.clone()),
        action: Some(wanted.action),
        from: Some(wanted.by.at),
        to: Some(world.now()),
        after: None,
        limit: 1,
    };
    let page = world.store.list_audit(&query).await.unwrap();
    assert_eq!((page.entries, page.more), (vec![wanted.clone()], false));
    let nothing = AuditQuery {
        user_id: Some(user("bob")),
        ..query
    };
    assert_eq!(world.store.list_audit(&nothing).await.unwrap().entries, []);
}

async fn entries_outlive_what_they_tell_of(world: World) {
    let record = world.key("alice").await;
    world
        .store
        .delete_user(user("alice"), world.by())
        .await
        .unwrap();
    let query = AuditQuery {
        key_id: Some(record.key.id),
        ..all()
    };
    assert_eq!(
        world.store.list_audit(&query).await.unwrap().entries.len(),
        1
    );
}
