//! A user makes and manages keys (CONTRACT §4.1).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CreatedKey, Kind, World, on_both_stores, pointers};

on_both_stores![
    a_change_and_its_repeat_tell_how_many_nodes_know,
    a_user_makes_a_key_and_is_shown_its_text,
    the_fields_of_the_origin_come_first_and_under_their_names,
    everything_that_a_key_can_have_is_answered_as_it_was_asked,
    the_text_of_a_key_is_never_shown_again,
    a_suspended_key_can_be_reactivated,
    suspending_again_keeps_the_first_time,
    reactivating_an_active_key_changes_nothing,
    a_revoked_key_stays_revoked_after_a_repeat,
    a_suspended_key_that_is_revoked_still_tells_when_it_was_suspended,
    a_revoked_key_refuses_every_change_but_its_revocation,
    permissions_are_replaced_and_may_become_none,
    a_patch_keeps_what_it_does_not_name,
    a_patch_with_null_clears,
    a_patch_replaces_metadata_whole,
    a_patch_that_changes_nothing_leaves_updated_at,
    an_empty_patch_is_answered_with_the_key,
    a_name_cannot_be_cleared,
    another_users_key_is_answered_as_one_that_does_not_exist,
    an_id_is_taken_in_the_one_form_that_answers_show,
    a_user_appears_at_first_use,
    every_refused_field_is_told_at_once,
    every_refused_field_of_a_patch_is_told_at_once,
    lengths_are_in_characters,
    metadata_has_its_bound_in_bytes,
    unknown_and_repeated_permissions_are_told_with_those_that_exist,
    an_expiry_must_lie_in_the_future,
    an_unknown_keyspace_is_refused_before_anything_is_made,
    metadata_has_32_levels,
    numbers_in_metadata_come_back_exactly,
    a_key_in_a_name_or_description_is_refused_and_not_echoed,
    a_revoked_key_is_told_as_revoked_whatever_else_is_wrong,
    times_are_those_of_rfc_3339,
];

const NO_SUCH_KEY: &str = "/api/api-keys/00000000-0000-7000-8000-000000000000";

fn wanted(name: &str) -> Value {
    json!({"name": name, "permissions": []})
}

async fn a_user_makes_a_key_and_is_shown_its_text(store: Kind) {
    let world = World::on(store).await;
    let answer = world
        .user("ada")
        .post(
            "/api/api-keys",
            json!({"name": "build server", "permissions": ["READ_GRAPH"]}),
        )
        .await;
    let created = answer.ok();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));

    let text = created["plain_text_key"].as_str().unwrap();
    assert_eq!(text.len(), 54);
    let id = created["api_key"]["id"].as_str().unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "a UUIDv7");
    assert_eq!(
        created,
        json!({
            "plain_text_key": text,
            "api_key": {
                "id": id,
                "name": "build server",
                "prefix": text[..8],
                "postfix": text[46..],
                "status": "ACTIVE",
                "permissions": ["READ_GRAPH"],
                "created_at": "2026-11-22T09:00:00.000000Z",
                "last_used_at": null,
                "revoked_at": null,
                "description": null,
                "user_id": "ada",
                "keyspace": "default",
                "expires_at": null,
                "suspended_at": null,
                "updated_at": "2026-11-22T09:00:00.000000Z",
                "metadata": {},
            },
        })
    );
}

async fn the_fields_of_the_origin_come_first_and_under_their_names(store: Kind) {
    let world = World::on(store).await;
    let answer = world.user("ada").post("/api/api-keys", wanted("a")).await;
    let places: Vec<_> = [
        "api_key",
        "id",
        "name",
        "prefix",
        "postfix",
        "status",
        "permissions",
        "created_at",
        "last_used_at",
        "revoked_at",
        "description",
        "user_id",
        "keyspace",
        "expires_at",
        "suspended_at",
        "updated_at",
        "metadata",
        "plain_text_key",
    ]
    .iter()
    .map(|name| {
        answer
            .body
            .find(&format!("\"{name}\":"))
            .unwrap_or_else(|| panic!("{name}"))
    })
    .collect();
    assert!(places.is_sorted(), "{}", answer.body);
}

async fn everything_that_a_key_can_have_is_answered_as_it_was_asked(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let metadata = json!({"plan": "pro", "seats": 3, "nested": {"ünï": [1, 2.5, null, true]}});
    let created = ada
        .create(json!({
            "name": "ä/ö ☃",
            "description": "for the robot",
            "keyspace": "default",
            "permissions": ["READ_BLOCK", "EXECUTE_GRAPH"],
            "expires_at": "2026-11-22T11:00:00+01:00",
            "metadata": metadata,
        }))
        .await;
    let key = ada.get(&created.path()).await.ok();
    assert_eq!(key, created.key);
    assert_eq!(key["name"], "ä/ö ☃");
    assert_eq!(key["description"], "for the robot");
    assert_eq!(key["permissions"], json!(["EXECUTE_GRAPH", "READ_BLOCK"]));
    assert_eq!(key["expires_at"], "2026-11-22T10:00:00.000000Z");
    assert_eq!(key["metadata"], metadata);
}

async fn the_text_of_a_key_is_never_shown_again(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let CreatedKey { text, .. } = &ada.create_key("a", &[]).await;
    let key = ada.create_key("b", &[]).await;
    for answer in [
        ada.get("/api/api-keys").await,
        ada.get(&key.path()).await,
        ada.act(&format!("{}/suspend", key.path())).await,
        world.holder(text).get("/api/whoami").await,
        world.admin().await.get("/api/audit").await,
    ] {
        answer.ok();
        assert!(!answer.body.contains(&text[..20]), "{}", answer.body);
        assert!(!answer.body.contains(&key.text[..20]), "{}", answer.body);
        assert!(!answer.body.contains("hash"), "{}", answer.body);
    }
}

async fn a_suspended_key_can_be_reactivated(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &["READ_GRAPH"]).await;
    world.clock.advance(Duration::from_secs(1));

    let mut expected = key.key.clone();
    expected["status"] = "SUSPENDED".into();
    expected["suspended_at"] = "2026-11-22T09:00:01.000000Z".into();
    expected["updated_at"] = "2026-11-22T09:00:01.000000Z".into();
    let suspended = ada.act(&format!("{}/suspend", key.path())).await.ok();
    assert_eq!(suspended, expected);
    assert_eq!(ada.get(&key.path()).await.ok(), expected);

    world.clock.advance(Duration::from_secs(1));
    let mut expected = key.key.clone();
    expected["updated_at"] = "2026-11-22T09:00:02.000000Z".into();
    let reactivated = ada.act(&format!("{}/reactivate", key.path())).await.ok();
    assert_eq!(reactivated, expected);
    assert_eq!(ada.get(&key.path()).await.ok(), expected);
}

async fn suspending_again_keeps_the_first_time(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let path = format!("{}/suspend", ada.create_key("a", &[]).await.path());
    let first = ada.act(&path).await.ok();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ada.act(&path).await.ok(), first);
}

async fn reactivating_an_active_key_changes_nothing(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    let again = ada.act(&format!("{}/reactivate", key.path())).await.ok();
    assert_eq!(again, key.key);
}

async fn a_revoked_key_stays_revoked_after_a_repeat(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    let revoked = ada.delete(&key.path()).await.ok();
    let mut expected = key.key.clone();
    expected["status"] = "REVOKED".into();
    expected["revoked_at"] = "2026-11-22T09:00:01.000000Z".into();
    expected["updated_at"] = "2026-11-22T09:00:01.000000Z".into();
    assert_eq!(revoked, expected);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ada.delete(&key.path()).await.ok(), expected);
}

async fn a_suspended_key_that_is_revoked_still_tells_when_it_was_suspended(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    ada.act(&format!("{}/suspend", key.path())).await.ok();
    world.clock.advance(Duration::from_secs(1));
    let revoked = ada.delete(&key.path()).await.ok();
    assert_eq!(revoked["suspended_at"], "2026-11-22T09:00:00.000000Z");
    assert_eq!(revoked["revoked_at"], "2026-11-22T09:00:01.000000Z");
}

async fn a_revoked_key_refuses_every_change_but_its_revocation(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    let path = key.path();
    let revoked = ada.delete(&path).await.ok();
    for answer in [
        ada.act(&format!("{path}/suspend")).await,
        ada.act(&format!("{path}/reactivate")).await,
        ada.patch(&path, json!({"name": "b"})).await,
        ada.patch(&path, json!({"expires_at": null})).await,
        ada.put(
            &format!("{path}/permissions"),
            json!({"permissions": ["READ_GRAPH"]}),
        )
        .await,
    ] {
        let problem = answer.refused(409, "key_revoked");
        let detail = "this key is revoked, which is final: make a new one";
        assert_eq!(problem["detail"], detail);
    }
    assert_eq!(ada.get(&path).await.ok(), revoked);
}

async fn permissions_are_replaced_and_may_become_none(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &["READ_GRAPH"]).await;
    let path = format!("{}/permissions", key.path());
    world.clock.advance(Duration::from_secs(1));

    let replaced = ada
        .put(
            &path,
            json!({"permissions": ["READ_BLOCK", "EXECUTE_BLOCK"]}),
        )
        .await
        .ok();
    let mut expected = key.key.clone();
    expected["permissions"] = json!(["EXECUTE_BLOCK", "READ_BLOCK"]);
    expected["updated_at"] = "2026-11-22T09:00:01.000000Z".into();
    assert_eq!(replaced, expected);

    let none = ada.put(&path, json!({"permissions": []})).await.ok();
    assert_eq!(none["permissions"], json!([]));
    ada.put(&path, json!({}))
        .await
        .refused(422, "validation_failed");
}

/// A key that has something in every field that a PATCH can change.
async fn a_change_and_its_repeat_tell_how_many_nodes_know(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    let suspend = format!("{}/suspend", key.path());
    for _ in 0..2 {
        let answer = ada.act(&suspend).await;
        answer.ok();
        assert_eq!(answer.header("keywright-nodes"), Some("1"));
        assert_eq!(answer.header("keywright-propagation-ms"), Some("0"));
    }
    let shown = ada.get(&key.path()).await;
    assert_eq!(shown.header("keywright-nodes"), None, "nothing was changed");
}

async fn full_key(world: &World) -> CreatedKey {
    let wanted = json!({
        "name": "a",
        "permissions": [],
        "description": "d",
        "expires_at": "2027-01-01T00:00:00Z",
        "metadata": {"a": 1, "b": 2},
    });
    let created = world.user("ada").create(wanted).await;
    world.clock.advance(Duration::from_secs(1));
    created
}

async fn a_patch_keeps_what_it_does_not_name(store: Kind) {
    let world = World::on(store).await;
    let key = full_key(&world).await;
    for (field, value) in [
        ("name", json!("b")),
        ("description", json!("e")),
        ("expires_at", json!("2028-01-01T00:00:00.000000Z")),
        ("metadata", json!({"c": 3})),
    ] {
        let before = world.user("ada").get(&key.path()).await.ok();
        let patched = world
            .user("ada")
            .patch(&key.path(), json!({field: value}))
            .await
            .ok();
        let mut expected = before;
        expected[field] = value;
        expected["updated_at"] = world.clock.text().into();
        assert_eq!(patched, expected);
        world.clock.advance(Duration::from_secs(1));
    }
}

async fn a_patch_with_null_clears(store: Kind) {
    let world = World::on(store).await;
    let key = full_key(&world).await;
    let null = json!({"description": null, "expires_at": null, "metadata": null});
    let patched = world.user("ada").patch(&key.path(), null).await.ok();
    let mut expected = key.key.clone();
    expected["description"] = Value::Null;
    expected["expires_at"] = Value::Null;
    expected["metadata"] = json!({});
    expected["updated_at"] = world.clock.text().into();
    assert_eq!(patched, expected);
}

async fn a_patch_replaces_metadata_whole(store: Kind) {
    let world = World::on(store).await;
    let key = full_key(&world).await;
    let patch = json!({"metadata": {"b": {"deep": null}}});
    let patched = world.user("ada").patch(&key.path(), patch).await.ok();
    assert_eq!(patched["metadata"], json!({"b": {"deep": null}}));
}

async fn a_patch_that_changes_nothing_leaves_updated_at(store: Kind) {
    let world = World::on(store).await;
    let key = full_key(&world).await;
    let patch = json!({"name": "a", "description": "d", "metadata": {"a": 1, "b": 2}});
    assert_eq!(
        world.user("ada").patch(&key.path(), patch).await.ok(),
        key.key
    );
}

async fn an_empty_patch_is_answered_with_the_key(store: Kind) {
    let world = World::on(store).await;
    let key = full_key(&world).await;
    let patched = world.user("ada").patch(&key.path(), json!({})).await.ok();
    assert_eq!(patched, key.key);
}

async fn a_name_cannot_be_cleared(store: Kind) {
    let world = World::on(store).await;
    let key = full_key(&world).await;
    let answer = world
        .user("ada")
        .patch(&key.path(), json!({"name": null}))
        .await;
    let problem = answer.refused(422, "validation_failed");
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/name", "detail": "cannot be cleared: a key has a name"}])
    );
}

async fn another_users_key_is_answered_as_one_that_does_not_exist(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let eve = world.user("eve");
    for path in [&*key.path(), NO_SUCH_KEY] {
        for answer in [
            eve.get(path).await,
            eve.delete(path).await,
            eve.act(&format!("{path}/suspend")).await,
            eve.act(&format!("{path}/reactivate")).await,
            eve.patch(path, json!({"name": "mine"})).await,
            eve.put(&format!("{path}/permissions"), json!({"permissions": []}))
                .await,
            // What she asks for is no matter either.
            eve.put(
                &format!("{path}/permissions"),
                json!({"permissions": ["NOPE"]}),
            )
            .await,
        ] {
            let problem = answer.refused(404, "not_found");
            assert_eq!(problem["detail"], "there is no such key");
        }
    }
    assert_eq!(eve.get("/api/api-keys").await.ok(), json!([]));
    assert_eq!(world.user("ada").get(&key.path()).await.ok(), key.key);
}

async fn an_id_is_taken_in_the_one_form_that_answers_show(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    for id in [
        key.id.replace('-', ""),
        format!("{{{}}}", key.id),
        format!("urn:uuid:{}", key.id),
        "1".to_owned(),
        "%00".to_owned(),
        "%ff".to_owned(),
    ] {
        ada.get(&format!("/api/api-keys/{id}"))
            .await
            .refused(404, "not_found");
    }
}

async fn a_user_appears_at_first_use(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    admin.get("/api/users/ada").await.refused(404, "not_found");
    assert_eq!(world.user("ada").get("/api/api-keys").await.ok(), json!([]));
    let expected = json!({"id": "ada", "created_at": "2026-11-22T09:00:00.000000Z", "api_keys": 0});
    assert_eq!(admin.get("/api/users/ada").await.ok(), expected);
    world.clock.advance(Duration::from_secs(1));
    world.user("ada").get("/api/api-keys").await.ok();
    assert_eq!(admin.get("/api/users/ada").await.ok(), expected);
}

async fn every_refused_field_is_told_at_once(store: Kind) {
    let world = World::on(store).await;
    let answer = world
        .user("ada")
        .post(
            "/api/api-keys",
            json!({
                "name": "",
                "permissions": ["NOPE", "READ_GRAPH", "READ_GRAPH"],
                "description": "x".repeat(501),
                "expires_at": "tomorrow",
                "metadata": {"nul": "\u{0}"},
            }),
        )
        .await;
    let problem = answer.refused(422, "validation_failed");
    assert_eq!(
        pointers(&problem),
        [
            "/name",
            "/permissions/0",
            "/permissions/2",
            "/description",
            "/expires_at",
            "/metadata"
        ]
    );
    let detail = "several fields were refused; `errors` tells which, and why";
    assert_eq!(problem["detail"], detail);
    assert_eq!(world.user("ada").get("/api/api-keys").await.ok(), json!([]));
}

async fn every_refused_field_of_a_patch_is_told_at_once(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    let patch = json!({"name": "a\u{0}", "description": "\u{0}", "expires_at": "2026-11-22T09:00:00Z", "metadata": {"\u{0}": 1}});
    let problem = ada
        .patch(&key.path(), patch)
        .await
        .refused(422, "validation_failed");
    assert_eq!(
        problem["errors"],
        json!([
            {"pointer": "/name", "detail": "must not hold the character NUL"},
            {"pointer": "/description", "detail": "must not hold the character NUL"},
            {"pointer": "/metadata", "detail": "must not hold the character NUL"},
            {"pointer": "/expires_at", "detail": "must lie in the future; it is 2026-11-22T09:00:00.000000Z now"},
        ])
    );
}

async fn lengths_are_in_characters(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let longest =
        json!({"name": "😀".repeat(100), "permissions": [], "description": "ß".repeat(500)});
    let key = ada.create(longest).await;
    assert_eq!(key.key["name"], "😀".repeat(100));
    assert_eq!(
        ada.create(json!({"name": "a", "permissions": [], "description": ""}))
            .await
            .key["description"],
        ""
    );

    let problem = ada
        .post("/api/api-keys", wanted(&"😀".repeat(101)))
        .await
        .refused(422, "validation_failed");
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/name", "detail": "must have 1 to 100 characters, and has 101"}])
    );
}

async fn metadata_has_its_bound_in_bytes(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    // {"a":"…"} has 8 characters beside the text.
    let fits = "x".repeat(4096 - 8);
    let key = ada
        .create(json!({"name": "a", "permissions": [], "metadata": {"a": fits}}))
        .await;
    assert_eq!(key.key["metadata"]["a"], fits);
    let too_large = json!({"metadata": {"a": format!("{fits}x")}});
    let problem = ada
        .patch(&key.path(), too_large)
        .await
        .refused(422, "validation_failed");
    let detail = "must be at most 4096 bytes as compact JSON, and is 4097";
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/metadata", "detail": detail}])
    );
    for no_object in [json!([]), json!("{}"), json!(1)] {
        let answer = ada.patch(&key.path(), json!({"metadata": no_object})).await;
        assert_eq!(
            pointers(&answer.refused(422, "validation_failed")),
            ["/metadata"]
        );
    }
}

async fn unknown_and_repeated_permissions_are_told_with_those_that_exist(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &["READ_GRAPH"]).await;
    let known = "there are: EXECUTE_GRAPH, READ_GRAPH, EXECUTE_BLOCK, READ_BLOCK";
    let wanted = json!(["read_graph", "READ_BLOCK", "READ_BLOCK"]);
    let path = format!("{}/permissions", key.path());
    for answer in [
        ada.post("/api/api-keys", json!({"name": "a", "permissions": wanted}))
            .await,
        ada.put(&path, json!({"permissions": wanted})).await,
    ] {
        let problem = answer.refused(422, "validation_failed");
        assert_eq!(
            problem["errors"],
            json!([
                {"pointer": "/permissions/0", "detail": format!("is no permission of this keyspace; {known}")},
                {"pointer": "/permissions/2", "detail": format!("stands twice; each may stand once; {known}")},
            ])
        );
    }
    assert_eq!(
        ada.get(&key.path()).await.ok()["permissions"],
        json!(["READ_GRAPH"])
    );
}

async fn an_expiry_must_lie_in_the_future(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let expiring = |at: &str| json!({"name": "a", "permissions": [], "expires_at": at});
    for past in [
        "2026-11-22T09:00:00Z",
        "2026-11-22T10:00:00.0+01:00",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
    ] {
        let problem = ada
            .post("/api/api-keys", expiring(past))
            .await
            .refused(422, "validation_failed");
        let detail = "must lie in the future; it is 2026-11-22T09:00:00.000000Z now";
        assert_eq!(
            problem["errors"],
            json!([{"pointer": "/expires_at", "detail": detail}]),
            "{past}"
        );
    }
    for no_time in [
        "",
        "2027",
        "2027-01-01",
        "2027-01-01T00:00:00",
        "2027-13-01T00:00:00Z",
        "2027-01-01T00:00:00Z[UTC]",
    ] {
        let problem = ada
            .post("/api/api-keys", expiring(no_time))
            .await
            .refused(422, "validation_failed");
        assert_eq!(pointers(&problem), ["/expires_at"], "{no_time}");
    }
    let soon = ada.create(expiring("2026-11-22T09:00:00.000001Z")).await;
    assert_eq!(soon.key["expires_at"], "2026-11-22T09:00:00.000001Z");
    let null = ada
        .create(json!({"name": "a", "permissions": [], "expires_at": null}))
        .await;
    assert_eq!(null.key["expires_at"], Value::Null);
}

async fn an_unknown_keyspace_is_refused_before_anything_is_made(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let within = |keyspace: &str| json!({"name": "a", "permissions": [], "keyspace": keyspace});
    let problem = ada
        .post("/api/api-keys", within("nowhere"))
        .await
        .refused(422, "validation_failed");
    let detail = "names no keyspace that there is; GET /api/keyspaces lists them";
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/keyspace", "detail": detail}])
    );
    let problem = ada
        .post("/api/api-keys", within("Default"))
        .await
        .refused(422, "validation_failed");
    let detail = "must match ^[a-z][a-z0-9-]{0,31}$";
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/keyspace", "detail": detail}])
    );
}

async fn metadata_has_32_levels(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    let wanted = |levels| json!({"name": "a", "permissions": [], "metadata": nested(levels)});
    let key = ada.create(wanted(32)).await;
    assert_eq!(ada.get(&key.path()).await.ok()["metadata"], nested(32));
    let listed = |levels: usize| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    for answer in [
        ada.post("/api/api-keys", wanted(33)).await,
        ada.patch(&key.path(), json!({"metadata": nested(33)}))
            .await,
        ada.patch(&key.path(), json!({"metadata": {"a": listed(32)}}))
            .await,
    ] {
        let problem = answer.refused(422, "validation_failed");
        let detail = "may have 32 levels of objects and lists within each other";
        assert_eq!(
            problem["errors"],
            json!([{"pointer": "/metadata", "detail": detail}])
        );
    }
}

async fn numbers_in_metadata_come_back_exactly(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let numbers =
        r#"{"a":5.691075034743235e-08,"b":18446744073709551615,"c":-9223372036854775808,"d":0.1}"#;
    let metadata: Value = serde_json::from_str(numbers).unwrap();
    let body = format!(r#"{{"name": "a", "permissions": [], "metadata": {numbers}}}"#);
    let answer = ada
        .send(Method::POST, "/api/api-keys", Some(body.into()))
        .await;
    let created = answer.ok();
    let path = format!(
        "/api/api-keys/{}",
        created["api_key"]["id"].as_str().unwrap()
    );
    let shown = ada.get(&path).await;
    let question = json!({"key": created["plain_text_key"]});
    let verified = world.admin().await.post("/api/verify", question).await;
    assert_eq!(created["api_key"]["metadata"], metadata);
    assert_eq!(shown.ok()["metadata"], metadata);
    assert_eq!(verified.ok()["metadata"], metadata);
    for body in [answer.body, shown.body, verified.body] {
        for number in ["5.691075034743235e-8", "18446744073709551615"] {
            assert!(body.contains(number), "{number} in {body}");
        }
    }
}

async fn a_key_in_a_name_or_description_is_refused_and_not_echoed(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    let detail = "must not hold the text of a key: a key is shown once and stored nowhere";
    for secret in [key.text.clone(), format!("robot's: {}.", &key.text[5..])] {
        for field in ["name", "description"] {
            let mut wanted = json!({"name": "a", "permissions": []});
            wanted[field] = secret.clone().into();
            for answer in [
                ada.post("/api/api-keys", wanted).await,
                ada.patch(&key.path(), json!({field: secret})).await,
            ] {
                assert!(!answer.body.contains(&key.text[5..]), "{}", answer.body);
                let problem = answer.refused(422, "validation_failed");
                assert_eq!(
                    problem["errors"],
                    json!([{"pointer": format!("/{field}"), "detail": detail}])
                );
            }
        }
    }
}

async fn a_revoked_key_is_told_as_revoked_whatever_else_is_wrong(store: Kind) {
    let world = World::on(store).await;
    let (ada, admin) = (world.user("ada"), world.admin().await);
    let key = ada.create_key("a", &[]).await;
    let path = key.path();
    let permissions = format!("{path}/permissions");
    ada.delete(&path).await.ok();
    let unknown = json!({"permissions": ["NOPE"]});
    let past = json!({"name": "", "expires_at": "2020-01-01T00:00:00Z"});
    for client in [&ada, &admin] {
        for answer in [
            client.put(&permissions, unknown.clone()).await,
            client.patch(&path, past.clone()).await,
        ] {
            answer.refused(409, "key_revoked");
        }
    }
    admin
        .patch("/api/keyspaces/default", json!({"self_service": false}))
        .await
        .ok();
    for answer in [
        ada.put(&permissions, json!({"permissions": []})).await,
        ada.patch(&path, json!({"metadata": {}})).await,
    ] {
        answer.refused(409, "key_revoked");
    }
    // Whoever may not see it is not told even that.
    let eve = world.user("eve");
    eve.put(&permissions, unknown)
        .await
        .refused(404, "not_found");
    eve.patch(&path, past).await.refused(404, "not_found");
    assert_eq!(ada.delete(&path).await.ok()["status"], "REVOKED");
}

async fn times_are_those_of_rfc_3339(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let expiring = |at: &str| json!({"name": "a", "permissions": [], "expires_at": at});
    let latest = ada.create(expiring("9999-12-31T23:59:59Z")).await;
    assert_eq!(latest.key["expires_at"], "9999-12-31T23:59:59.000000Z");
    assert_eq!(ada.get(&latest.path()).await.ok(), latest.key);
    for other in [
        "20300101T000000Z",
        "2030-W01-1T00:00:00Z",
        "+012030-01-01T00:00:00Z",
        "2030-01-01T00:00Z",
    ] {
        let answer = ada.post("/api/api-keys", expiring(other)).await;
        let problem = answer.refused(422, "validation_failed");
        assert_eq!(pointers(&problem), ["/expires_at"], "{other}");
    }
}
