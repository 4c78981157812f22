//! Keyspaces (CONTRACT §4.4).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ALL_OPERATIONS, Kind, World, on_both_stores, pointers};

on_both_stores![
    two_keyspaces_are_built_in,
    a_keyspace_is_made_and_answered_as_it_was_asked,
    a_permission_is_a_bare_name_or_a_name_with_a_description,
    a_keyspace_needs_only_a_name_and_a_prefix,
    everybody_who_may_ask_for_keys_sees_the_keyspaces,
    a_name_is_taken_once,
    a_prefix_overlaps_no_other,
    what_a_keyspace_cannot_be_is_told_at_once,
    a_catalogue_holds_64_names,
    a_patch_adds_describes_and_never_removes,
    a_patch_changes_and_clears_the_description,
    a_patch_that_changes_nothing_is_answered_with_the_keyspace,
    the_catalogue_of_service_keys_is_fixed,
    a_keyspace_that_is_not_there_is_not_found,
    two_keyspaces_of_one_name_are_not_made_at_once,
    a_self_service_keyspace_lets_users_make_keys,
    self_service_cannot_be_cleared,
    a_key_in_a_description_is_refused_and_not_echoed,
];

async fn two_keyspaces_are_built_in(store: Kind) {
    let world = World::on(store).await;
    let permissions = |names: &[&str]| {
        names
            .iter()
            .map(|name| json!({"name": name, "description": null}))
            .collect::<Vec<_>>()
    };
    let origin = ["EXECUTE_GRAPH", "READ_GRAPH", "EXECUTE_BLOCK", "READ_BLOCK"];
    assert_eq!(
        world.admin().await.get("/api/keyspaces").await.ok(),
        json!([
            {
                "name": "default",
                "prefix": "agpt_",
                "description": "Keys of users",
                "self_service": true,
                "permissions": permissions(&origin),
                "created_at": "2026-11-22T09:00:00.000000Z",
            },
            {
                "name": "keywright",
                "prefix": "kw_",
                "description": "Service keys: the server's own operations",
                "self_service": false,
                "permissions": permissions(&ALL_OPERATIONS),
                "created_at": "2026-11-22T09:00:00.000000Z",
            },
        ])
    );
}

async fn a_keyspace_is_made_and_answered_as_it_was_asked(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    world.clock.advance(Duration::from_micros(1));
    let wanted = json!({
        "name": "live",
        "prefix": "sk_live_",
        "description": "Charges",
        "self_service": true,
        "permissions": ["charges:read", {"name": "charges:write", "description": "Takes money"}],
    });
    let made = admin.post("/api/keyspaces", wanted).await.ok();
    assert_eq!(
        made,
        json!({
            "name": "live",
            "prefix": "sk_live_",
            "description": "Charges",
            "self_service": true,
            "permissions": [
                {"name": "charges:read", "description": null},
                {"name": "charges:write", "description": "Takes money"},
            ],
            "created_at": "2026-11-22T09:00:00.000001Z",
        })
    );
    assert_eq!(admin.get("/api/keyspaces/live").await.ok(), made);
    let names: Vec<_> = admin
        .whole_list("/api/keyspaces")
        .await
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["default", "keywright", "live"]);
}

async fn a_permission_is_a_bare_name_or_a_name_with_a_description(store: Kind) {
    let world = World::on(store).await;
    let permissions = json!(["a", {"name": "b"}, {"name": "c", "description": null}, {"name": "d", "description": ""}]);
    let wanted = json!({"name": "x", "prefix": "x_", "permissions": permissions});
    let made = world
        .admin()
        .await
        .post("/api/keyspaces", wanted)
        .await
        .ok();
    assert_eq!(
        made["permissions"],
        json!([
            {"name": "a", "description": null},
            {"name": "b", "description": null},
            {"name": "c", "description": null},
            {"name": "d", "description": ""},
        ])
    );
}

async fn a_keyspace_needs_only_a_name_and_a_prefix(store: Kind) {
    let world = World::on(store).await;
    let made = world
        .admin()
        .await
        .post("/api/keyspaces", json!({"name": "x", "prefix": "x_"}))
        .await
        .ok();
    assert_eq!(
        (
            &made["self_service"],
            &made["description"],
            &made["permissions"]
        ),
        (&json!(false), &Value::Null, &json!([]))
    );
}

async fn everybody_who_may_ask_for_keys_sees_the_keyspaces(store: Kind) {
    let world = World::on(store).await;
    let seen = world.admin().await.get("/api/keyspaces").await.ok();
    assert_eq!(world.user("ada").get("/api/keyspaces").await.ok(), seen);
    assert_eq!(
        world
            .service(&["keyspaces:read"])
            .await
            .get("/api/keyspaces")
            .await
            .ok(),
        seen
    );
    assert_eq!(
        world.user("ada").get("/api/keyspaces/default").await.ok(),
        seen[0]
    );
}

async fn a_name_is_taken_once(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for (name, prefix) in [("default", "x_"), ("keywright", "y_")] {
        let problem = admin
            .post("/api/keyspaces", json!({"name": name, "prefix": prefix}))
            .await
            .refused(409, "keyspace_exists");
        let detail = "there is a keyspace of this name: choose another, or change that one";
        assert_eq!(problem["detail"], detail);
    }
}

async fn a_prefix_overlaps_no_other(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    admin
        .post(
            "/api/keyspaces",
            json!({"name": "live", "prefix": "sk_live_"}),
        )
        .await
        .ok();
    for (prefix, other) in [
        ("sk_live_", "live"),
        ("sk_live_a_", "live"),
        ("sk_", "live"),
        ("agpt_x_", "default"),
        ("kw_", "keywright"),
        ("kw__", "keywright"),
    ] {
        let answer = admin
            .post("/api/keyspaces", json!({"name": "other", "prefix": prefix}))
            .await;
        let detail = format!(
            "the prefix begins with that of the keyspace {other}, or the other way round: choose another"
        );
        assert_eq!(
            answer.refused(409, "prefix_overlaps")["detail"],
            detail,
            "{prefix}"
        );
    }
    admin
        .post(
            "/api/keyspaces",
            json!({"name": "test", "prefix": "sk_test_"}),
        )
        .await
        .ok();
}

async fn what_a_keyspace_cannot_be_is_told_at_once(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let wanted = json!({
        "name": "Live",
        "prefix": "sk-live",
        "description": "x".repeat(501),
        "permissions": ["ok", "", "1a", {"name": "b c"}, "ok", {"name": "ok"}, {"name": "d", "description": "\u{0}"}, "é", &"x".repeat(65)],
    });
    let problem = admin
        .post("/api/keyspaces", wanted)
        .await
        .refused(422, "validation_failed");
    assert_eq!(
        pointers(&problem),
        [
            "/name",
            "/prefix",
            "/description",
            "/permissions/1",
            "/permissions/2",
            "/permissions/3/name",
            "/permissions/4",
            "/permissions/5/name",
            "/permissions/6/description",
            "/permissions/7",
            "/permissions/8",
        ]
    );
    for (wanted, pointer) in [
        (json!({"prefix": "x_"}), "/name"),
        (json!({"name": "x"}), "/prefix"),
        (json!({"name": "x", "prefix": "_"}), "/prefix"),
        (
            json!({"name": "x", "prefix": "abcdefghijklmnop_"}),
            "/prefix",
        ),
        (json!({"name": &"x".repeat(33), "prefix": "x_"}), "/name"),
        (
            json!({"name": "x", "prefix": "x_", "selfservice": true}),
            "/selfservice",
        ),
        (
            json!({"name": "x", "prefix": "x_", "self_service": "yes"}),
            "/self_service",
        ),
    ] {
        let problem = admin
            .post("/api/keyspaces", wanted)
            .await
            .refused(422, "validation_failed");
        assert_eq!(pointers(&problem), [pointer]);
    }
}

async fn a_catalogue_holds_64_names(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let names = |count: usize| (0..count).map(|n| format!("P{n}")).collect::<Vec<_>>();
    let of = |count: usize| json!({"name": "x", "prefix": "x_", "self_service": true, "permissions": names(count)});
    let problem = admin
        .post("/api/keyspaces", of(65))
        .await
        .refused(422, "validation_failed");
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/permissions", "detail": "a keyspace has at most 64 permissions"}])
    );
    admin.post("/api/keyspaces", of(64)).await.ok();
    let problem = admin
        .patch(
            "/api/keyspaces/x",
            json!({"permissions": ["P0", "one-more"]}),
        )
        .await
        .refused(422, "validation_failed");
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/permissions", "detail": "a keyspace has at most 64 permissions"}])
    );
    let key = world
        .user("ada")
        .create(json!({"name": "a", "keyspace": "x", "permissions": names(64)}))
        .await;
    assert_eq!(key.key["permissions"], json!(names(64)));
    assert_eq!(
        admin
            .verify(json!({"key": key.text, "permissions": ["P63"]}))
            .await["code"],
        "VALID"
    );
}

async fn a_patch_adds_describes_and_never_removes(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let wanted = json!({"name": "x", "prefix": "x_", "permissions": ["a", {"name": "b", "description": "B"}]});
    let made = admin.post("/api/keyspaces", wanted).await.ok();
    let patch = json!({"permissions": ["c", {"name": "a", "description": "A"}, "b"]});
    let patched = admin.patch("/api/keyspaces/x", patch).await.ok();
    let mut expected = made;
    expected["permissions"] = json!([
        {"name": "a", "description": "A"},
        {"name": "b", "description": "B"},
        {"name": "c", "description": null},
    ]);
    assert_eq!(patched, expected);
    let patched = admin
        .patch(
            "/api/keyspaces/x",
            json!({"permissions": [{"name": "b", "description": null}]}),
        )
        .await
        .ok();
    expected["permissions"][1]["description"] = Value::Null;
    assert_eq!(patched, expected);
    assert_eq!(
        admin
            .patch("/api/keyspaces/x", json!({"permissions": []}))
            .await
            .ok(),
        expected
    );
    assert_eq!(admin.get("/api/keyspaces/x").await.ok(), expected);
    for (fixed, pointer) in [
        (json!({"name": "y"}), "/name"),
        (json!({"prefix": "y_"}), "/prefix"),
    ] {
        let problem = admin
            .patch("/api/keyspaces/x", fixed)
            .await
            .refused(422, "validation_failed");
        assert_eq!(pointers(&problem), [pointer]);
    }
}

async fn a_patch_changes_and_clears_the_description(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for name in ["default", "keywright"] {
        let path = format!("/api/keyspaces/{name}");
        let described = admin.patch(&path, json!({"description": "new"})).await.ok();
        assert_eq!(described["description"], "new");
        let cleared = admin.patch(&path, json!({"description": null})).await.ok();
        assert_eq!(cleared["description"], Value::Null);
        assert_eq!(admin.get(&path).await.ok(), cleared);
    }
}

async fn a_patch_that_changes_nothing_is_answered_with_the_keyspace(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let before = admin.get("/api/keyspaces/default").await.ok();
    for patch in [
        json!({}),
        json!({"permissions": ["READ_GRAPH"]}),
        json!({"self_service": true}),
    ] {
        assert_eq!(
            admin.patch("/api/keyspaces/default", patch).await.ok(),
            before
        );
    }
}

async fn the_catalogue_of_service_keys_is_fixed(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let before = admin.get("/api/keyspaces/keywright").await.ok();
    for patch in [
        json!({"permissions": ["root"]}),
        json!({"permissions": ["keys:write"]}),
        json!({"self_service": true}),
        json!({"self_service": false}),
        json!({"description": "mine", "permissions": [{"name": "keys:write", "description": "mine"}]}),
    ] {
        let problem = admin
            .patch("/api/keyspaces/keywright", patch)
            .await
            .refused(409, "built_in_keyspace");
        let detail =
            "the permissions and self_service of the built-in keyspace keywright cannot be changed";
        assert_eq!(problem["detail"], detail);
    }
    assert_eq!(admin.get("/api/keyspaces/keywright").await.ok(), before);
}

async fn a_keyspace_that_is_not_there_is_not_found(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for name in ["nowhere", "Default", "%00", "default%20", &"x".repeat(33)] {
        let path = format!("/api/keyspaces/{name}");
        let problem = admin.get(&path).await.refused(404, "not_found");
        assert_eq!(
            problem["detail"],
            "there is no such keyspace; GET /api/keyspaces lists them"
        );
        admin
            .patch(&path, json!({}))
            .await
            .refused(404, "not_found");
    }
}

async fn two_keyspaces_of_one_name_are_not_made_at_once(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let make = |name: &str, prefix: &str| {
        let (admin, wanted) = (admin.clone(), json!({"name": name, "prefix": prefix}));
        async move { admin.post("/api/keyspaces", wanted).await.status }
    };
    let (a, b) = tokio::join!(make("x", "x_"), make("x", "z_"));
    assert_eq!(a.min(b), 200);
    assert_eq!(a.max(b), 409);
    let (a, b) = tokio::join!(make("v", "v_"), make("w", "v_w_"));
    assert_eq!((a.min(b), a.max(b)), (200, 409));
}

async fn a_self_service_keyspace_lets_users_make_keys(store: Kind) {
    let world = World::on(store).await;
    let wanted = json!({"name": "test", "prefix": "sk_test_", "self_service": true, "permissions": ["charge"]});
    world
        .admin()
        .await
        .post("/api/keyspaces", wanted)
        .await
        .ok();
    let key = world
        .user("ada")
        .create(json!({"name": "a", "keyspace": "test", "permissions": ["charge"]}))
        .await;
    assert_eq!(key.key["keyspace"], "test");
    let problem = world
        .user("ada")
        .post(
            "/api/api-keys",
            json!({"name": "a", "keyspace": "test", "permissions": ["READ_GRAPH"]}),
        )
        .await;
    let detail = "is no permission of this keyspace; there are: charge";
    assert_eq!(
        problem.refused(422, "validation_failed")["errors"],
        json!([{"pointer": "/permissions/0", "detail": detail}])
    );
}

async fn self_service_cannot_be_cleared(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let path = "/api/keyspaces/default";
    let before = admin.get(path).await.ok();
    let cleared = json!({"self_service": null, "description": "new"});
    let problem = admin
        .patch(path, cleared)
        .await
        .refused(422, "validation_failed");
    let detail = "cannot be cleared: it is true or false";
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/self_service", "detail": detail}])
    );
    assert_eq!(admin.get(path).await.ok(), before);
}

async fn a_key_in_a_description_is_refused_and_not_echoed(store: Kind) {
    let world = World::on(store).await;
    let (_, text) = world.service_key(&ALL_OPERATIONS).await;
    let admin = world.admin().await;
    let described = json!({"permissions": [{"name": "read", "description": text}]});
    let mut wanted = described.clone();
    wanted["name"] = "live".into();
    wanted["prefix"] = "live_".into();
    wanted["description"] = text.clone().into();
    let made = admin.post("/api/keyspaces", wanted).await;
    let path = "/api/keyspaces/default";
    let of_keyspace = admin.patch(path, json!({"description": text})).await;
    let of_permission = admin.patch(path, described).await;
    for (answer, expected) in [
        (made, &["/description", "/permissions/0/description"][..]),
        (of_keyspace, &["/description"]),
        (of_permission, &["/permissions/0/description"]),
    ] {
        assert!(!answer.body.contains(&text), "{}", answer.body);
        let problem = answer.refused(422, "validation_failed");
        assert_eq!(pointers(&problem), expected);
    }
}
