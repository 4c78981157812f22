//! Keyspaces: the built-in ones, and those that are made and changed while keys are used.

use futures::future::join_all;
use keywright_core::audit::{Action, snapshot_of_keyspace};
use keywright_core::identifier::{KeyPrefix, PermissionName};
use keywright_core::key_text::{KeyText, TagKey, TagKeys, WellFormed};
use keywright_core::keyspace::{Keyspace, KeyspaceEdit, KeyspaceRefusal, PermissionEdit, SERVICE};
use keywright_core::permission::{Catalogue, CatalogueError, Permission};
use keywright_core::text::Description;
use keywright_store::{KeyspaceCreated, KeyspaceEdited, MAX_KEYSPACES};
use serde_json::{Value, json};

use crate::ambient::Counting;
use crate::world::{BUILT_IN, World, keyspace_name};

contract! {
    a_database_begins_with_the_built_in_keyspaces,
    the_built_in_keyspaces_stay_as_they_are_when_opened_again,
    a_keyspace_is_found_and_listed_as_it_was_made,
    making_a_keyspace_is_audited_and_logged,
    a_name_is_taken_once,
    prefixes_overlap_in_neither_direction,
    there_are_only_so_many_keyspaces,
    of_many_that_ask_for_one_name_one_gets_it,
    of_many_whose_prefixes_overlap_one_is_made,
    an_edit_is_written_audited_and_logged,
    an_edit_that_held_already_writes_nothing,
    an_edit_of_no_keyspace_is_missing_and_of_the_built_in_one_refused,
    permissions_added_at_once_are_all_kept,
    a_key_is_answered_with_the_catalogue_of_now,
}

fn draft(world: &World, name: &str, prefix: &str) -> Keyspace {
    Keyspace {
        name: keyspace_name(name),
        prefix: KeyPrefix::new(prefix).unwrap(),
        description: Some(Description::new("for tests").unwrap()),
        self_service: false,
        catalogue: Catalogue::new([
            permission("B", None),
            permission("a:b.c-d", Some("ü \"quoted\"")),
        ])
        .unwrap(),
        created_at: world.now(),
    }
}

fn permission(name: &str, description: Option<&str>) -> Permission {
    Permission {
        name: PermissionName::new(name).unwrap(),
        description: description.map(|text| Description::new(text).unwrap()),
    }
}

fn tag_keys() -> TagKeys {
    TagKeys::new(TagKey::generate(&Counting).unwrap())
}

async fn ask_for(world: &World, keyspace: Keyspace) -> KeyspaceCreated {
    world
        .store
        .create_keyspace(keyspace, tag_keys(), world.by())
        .await
        .unwrap()
}

/// Makes a keyspace that is not self-service.
pub(crate) async fn make(world: &World, name: &str, prefix: &str) -> Keyspace {
    let keyspace = draft(world, name, prefix);
    assert_eq!(
        ask_for(world, keyspace.clone()).await,
        KeyspaceCreated::Done
    );
    keyspace
}

async fn edit(world: &World, name: &str, edit: KeyspaceEdit) -> KeyspaceEdited {
    world
        .store
        .edit_keyspace(keyspace_name(name), edit, world.by())
        .await
        .unwrap()
}

fn adding(names: &[&str]) -> KeyspaceEdit {
    let edit_of = |name: &&str| PermissionEdit {
        name: PermissionName::new(*name).unwrap(),
        description: None,
    };
    KeyspaceEdit {
        permissions: names.iter().map(edit_of).collect(),
        ..KeyspaceEdit::default()
    }
}

async fn a_database_begins_with_the_built_in_keyspaces(world: World) {
    let built_in = Keyspace::built_in(world.now());
    assert_eq!(world.store.list_keyspaces().await, Ok(built_in.to_vec()));
    for keyspace in built_in {
        let (found, tag_keys) = world
            .store
            .find_keyspace(&keyspace.name)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found, keyspace);
        assert_eq!(tag_keys.to_bytes().len(), TagKey::BYTES);
    }
    assert_eq!(
        (world.audit().await, world.logged().await),
        (vec![], vec![])
    );
}

async fn the_built_in_keyspaces_stay_as_they_are_when_opened_again(world: World) {
    let name = keyspace_name("default");
    let (_, tag_keys) = world.store.find_keyspace(&name).await.unwrap().unwrap();
    let prefix = KeyPrefix::new("agpt_").unwrap();
    let text = KeyText::mint(&prefix, tag_keys.newest(), &Counting).unwrap();
    edit(
        &world,
        "default",
        KeyspaceEdit {
            description: Some(None),
            ..KeyspaceEdit::default()
        },
    )
    .await;
    let before = world.store.list_keyspaces().await;

    world.store.close().await;
    world.clock.tick();
    let store = world.open_again().await.unwrap();
    assert_eq!(store.list_keyspaces().await, before);
    let (_, tag_keys) = store.find_keyspace(&name).await.unwrap().unwrap();
    assert!(
        tag_keys.made(&WellFormed::parse(text.expose()).unwrap()),
        "the tag keys are the same"
    );
}

async fn a_keyspace_is_found_and_listed_as_it_was_made(world: World) {
    let made = draft(&world, "live", "sk_live_");
    let tag_keys = tag_keys();
    let created = world
        .store
        .create_keyspace(made.clone(), tag_keys.clone(), world.by())
        .await;
    assert_eq!(created, Ok(KeyspaceCreated::Done));
    let (found, kept) = world
        .store
        .find_keyspace(&made.name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&found, kept.to_bytes()), (&made, tag_keys.to_bytes()));
    assert!(
        world
            .store
            .find_keyspace(&keyspace_name("dead"))
            .await
            .unwrap()
            .is_none()
    );
    make(&world, "a-b", "ab_").await;
    make(&world, "a0", "a0_").await;
    let listed = world.store.list_keyspaces().await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|keyspace| keyspace.name.as_str())
        .collect();
    assert_eq!(names, ["a-b", "a0", BUILT_IN[0], BUILT_IN[1], "live"]);
    assert!(listed.contains(&made));
}

async fn making_a_keyspace_is_audited_and_logged(world: World) {
    let made = make(&world, "live", "sk_live_").await;
    let [entry] = &world.audit().await[..] else {
        panic!("one entry")
    };
    assert_eq!(
        (entry.action, &entry.keyspace),
        (Action::KeyspaceCreated, &Some(made.name.clone()))
    );
    assert_eq!((entry.key_id, &entry.user_id), (None, &None));
    assert_eq!(
        (&entry.before, &entry.after),
        (&Value::Null, &snapshot_of_keyspace(&made))
    );
    assert_eq!(world.logged().await, ["keyspace live"]);
}

async fn a_name_is_taken_once(world: World) {
    make(&world, "live", "sk_live_").await;
    for (name, prefix) in [
        ("live", "sk_live_"),
        ("live", "other_"),
        ("default", "other_"),
        (SERVICE, "agpt_"),
    ] {
        assert_eq!(
            ask_for(&world, draft(&world, name, prefix)).await,
            KeyspaceCreated::NameTaken,
            "{name}"
        );
    }
    assert_eq!(
        (world.audit().await.len(), world.logged().await.len()),
        (1, 1)
    );
}

async fn prefixes_overlap_in_neither_direction(world: World) {
    make(&world, "live", "sk_live_").await;
    for (prefix, with) in [
        ("sk_live_", "live"),
        ("sk_", "live"),
        ("sk_live_a_", "live"),
        ("agpt_x_", "default"),
        ("kw_x_", SERVICE),
    ] {
        let created = ask_for(&world, draft(&world, "new", prefix)).await;
        assert_eq!(
            created,
            KeyspaceCreated::PrefixOverlaps(keyspace_name(with)),
            "{prefix}"
        );
    }
    make(&world, "test", "sk_test_").await;
    make(&world, "k", "k_").await;
}

async fn there_are_only_so_many_keyspaces(world: World) {
    let missing = MAX_KEYSPACES - BUILT_IN.len() - 1;
    world
        .execute(&format!(
            "INSERT INTO keyspaces (name, prefix, self_service, permissions, tag_keys, created_at) \
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {missing}) \
             SELECT 'n' || n, 'n' || n || '_', k.self_service, '[]', k.tag_keys, 0 \
             FROM numbers JOIN keyspaces k ON k.name = 'default'"
        ))
        .await;
    make(&world, "last", "last_").await;
    assert_eq!(
        world.store.list_keyspaces().await.unwrap().len(),
        MAX_KEYSPACES
    );
    assert_eq!(
        ask_for(&world, draft(&world, "more", "more_")).await,
        KeyspaceCreated::TooMany
    );
    assert_eq!(
        ask_for(&world, draft(&world, "last", "more_")).await,
        KeyspaceCreated::NameTaken
    );
}

async fn of_many_that_ask_for_one_name_one_gets_it(world: World) {
    let drafts = (0..12).map(|n| draft(&world, "live", &format!("p{n}_")));
    let mut answers = join_all(drafts.map(|keyspace| ask_for(&world, keyspace))).await;
    answers.retain(|answer| *answer != KeyspaceCreated::NameTaken);
    assert_eq!(answers, [KeyspaceCreated::Done]);
    assert_eq!(world.logged().await, ["keyspace live"]);
}

async fn of_many_whose_prefixes_overlap_one_is_made(world: World) {
    let drafts = (0..12).map(|n| {
        draft(
            &world,
            &format!("live-{n}"),
            &format!("a{}", "_".repeat(n + 1)),
        )
    });
    let mut answers = join_all(drafts.map(|keyspace| ask_for(&world, keyspace))).await;
    answers.retain(|answer| !matches!(answer, KeyspaceCreated::PrefixOverlaps(_)));
    assert_eq!(answers, [KeyspaceCreated::Done]);
    assert_eq!(
        world.store.list_keyspaces().await.unwrap().len(),
        BUILT_IN.len() + 1
    );
}

async fn an_edit_is_written_audited_and_logged(world: World) {
    let before = make(&world, "live", "sk_live_").await;
    let edited = KeyspaceEdit {
        description: Some(None),
        self_service: Some(true),
        permissions: vec![
            PermissionEdit {
                name: PermissionName::new("B").unwrap(),
                description: Some(Some(Description::new("described").unwrap())),
            },
            PermissionEdit {
                name: PermissionName::new("C").unwrap(),
                description: None,
            },
        ],
    };
    let after = before.edited(&edited).unwrap();
    assert_eq!(
        edit(&world, "live", edited).await,
        KeyspaceEdited::Done(after.clone())
    );
    assert_eq!(
        world
            .store
            .find_keyspace(&before.name)
            .await
            .unwrap()
            .unwrap()
            .0,
        after
    );
    let [_, entry] = &world.audit().await[..] else {
        panic!("two entries")
    };
    assert_eq!(
        (entry.action, &entry.keyspace),
        (Action::KeyspaceUpdated, &Some(before.name))
    );
    assert_eq!(entry.before["self_service"], json!(false));
    assert_eq!(entry.after["self_service"], json!(true));
    assert_eq!(
        entry.after.get("prefix"),
        None,
        "what did not change is not recorded"
    );
    assert_eq!(world.logged().await, ["keyspace live", "keyspace live"]);
}

async fn an_edit_that_held_already_writes_nothing(world: World) {
    let made = make(&world, "live", "sk_live_").await;
    let same = KeyspaceEdit {
        self_service: Some(false),
        ..adding(&["B"])
    };
    for edited in [same, KeyspaceEdit::default()] {
        assert_eq!(
            edit(&world, "live", edited).await,
            KeyspaceEdited::Done(made.clone())
        );
    }
    assert_eq!(
        (world.audit().await.len(), world.logged().await.len()),
        (1, 1)
    );
}

async fn an_edit_of_no_keyspace_is_missing_and_of_the_built_in_one_refused(world: World) {
    assert_eq!(
        edit(&world, "nowhere", adding(&["X"])).await,
        KeyspaceEdited::Missing
    );
    assert_eq!(
        edit(&world, SERVICE, adding(&["X"])).await,
        KeyspaceEdited::Refused(KeyspaceRefusal::BuiltIn)
    );
    let too_many: Vec<_> = (0..61).map(|n| format!("P{n}")).collect();
    let too_many: Vec<_> = too_many.iter().map(String::as_str).collect();
    let full = KeyspaceRefusal::Catalogue(CatalogueError::Full);
    assert_eq!(
        edit(&world, "default", adding(&too_many)).await,
        KeyspaceEdited::Refused(full)
    );
    assert_eq!(
        (world.audit().await, world.logged().await),
        (vec![], vec![])
    );
}

async fn permissions_added_at_once_are_all_kept(world: World) {
    let names: Vec<_> = (0..16).map(|n| format!("P{n}")).collect();
    let edits = names
        .iter()
        .map(|name| edit(&world, "default", adding(&[name])));
    join_all(edits).await;
    let (after, _) = world
        .store
        .find_keyspace(&keyspace_name("default"))
        .await
        .unwrap()
        .unwrap();
    assert!(names.iter().all(|name| {
        after
            .catalogue
            .number_of(name)
            .is_some_and(|number| number >= 4)
    }));
    assert_eq!(after.catalogue.permissions().len(), 20);
    assert_eq!(world.logged().await.len(), 16);
}

async fn a_key_is_answered_with_the_catalogue_of_now(world: World) {
    let made = world.key("alice").await;
    let KeyspaceEdited::Done(after) = edit(&world, "default", adding(&["NEW"])).await else {
        panic!("not done")
    };
    assert_eq!(*world.look_up(&made).await.keyspace, after);
    assert_eq!(
        *world
            .store
            .find_key_by_digest(&made.digest)
            .await
            .unwrap()
            .unwrap()
            .keyspace,
        after
    );
}
