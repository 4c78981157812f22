//! A back end acts for its users with a service key (CONTRACT §4.1).

use serde_json::{Value, json};

use crate::support::{Kind, World, on_both_stores, pointers};

on_both_stores![
    a_service_key_makes_a_key_for_the_user_it_names,
    a_service_key_must_name_a_user_to_make_or_list_keys,
    a_service_key_that_names_a_user_reaches_only_that_users_keys,
    a_service_key_that_names_nobody_reaches_every_key_by_its_id,
    an_id_that_no_user_can_have_is_refused,
    an_id_in_other_letters_is_taken,
    naming_a_user_twice_is_a_conflict,
    listing_the_keys_of_somebody_unknown_does_not_make_them,
    a_service_key_makes_lists_and_changes_service_keys,
    a_service_key_is_nobodys_whom_a_header_could_name,
    without_a_user_no_list_but_that_of_service_keys_is_answered,
];

async fn a_service_key_makes_a_key_for_the_user_it_names(store: Kind) {
    let world = World::on(store).await;
    let back_end = world.service(&["keys:write"]).await;
    let key = back_end
        .acting_for("ada")
        .create_key("a", &["READ_GRAPH"])
        .await;
    assert_eq!(key.key["user_id"], "ada");
    assert_eq!(
        world.user("ada").get("/api/api-keys").await.ok(),
        json!([key.key])
    );
}

async fn a_service_key_must_name_a_user_to_make_or_list_keys(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let detail = "is required: the id of the user that the service key acts for";
    for answer in [
        admin
            .post("/api/api-keys", json!({"name": "a", "permissions": []}))
            .await,
        admin.get("/api/api-keys").await,
        admin.get("/api/api-keys?keyspace=default").await,
    ] {
        let problem = answer.refused(422, "validation_failed");
        assert_eq!(
            problem["errors"],
            json!([{"pointer": "Keywright-User", "detail": detail}])
        );
    }
}

async fn a_service_key_that_names_a_user_reaches_only_that_users_keys(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let key = world.user("ada").create_key("a", &[]).await;
    let path = key.path();
    assert_eq!(admin.acting_for("ada").get(&path).await.ok(), key.key);
    let for_eve = admin.acting_for("eve");
    for answer in [
        for_eve.get(&path).await,
        for_eve.delete(&path).await,
        for_eve.act(&format!("{path}/suspend")).await,
        for_eve.act(&format!("{path}/reactivate")).await,
        for_eve.patch(&path, json!({"name": "b"})).await,
        for_eve
            .put(&format!("{path}/permissions"), json!({"permissions": []}))
            .await,
    ] {
        answer.refused(404, "not_found");
    }
    assert_eq!(for_eve.get("/api/api-keys").await.ok(), json!([]));
    assert_eq!(
        admin.acting_for("ada").get("/api/api-keys").await.ok(),
        json!([key.key])
    );
}

async fn a_service_key_that_names_nobody_reaches_every_key_by_its_id(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for user in ["ada", "eve"] {
        let key = world.user(user).create_key("a", &[]).await;
        let path = key.path();
        assert_eq!(admin.get(&path).await.ok(), key.key);
        let expected = |field: &str, value: Value| (json!(user), field.to_owned(), value);
        for (answer, (owner, field, value)) in [
            (
                admin.patch(&path, json!({"name": "b"})).await,
                expected("name", json!("b")),
            ),
            (
                admin
                    .put(
                        &format!("{path}/permissions"),
                        json!({"permissions": ["READ_GRAPH"]}),
                    )
                    .await,
                expected("permissions", json!(["READ_GRAPH"])),
            ),
            (
                admin.act(&format!("{path}/suspend")).await,
                expected("status", json!("SUSPENDED")),
            ),
            (
                admin.act(&format!("{path}/reactivate")).await,
                expected("status", json!("ACTIVE")),
            ),
            (
                admin.delete(&path).await,
                expected("status", json!("REVOKED")),
            ),
        ] {
            let key = answer.ok();
            assert_eq!((&key["user_id"], &key[&field]), (&owner, &value));
        }
    }
}

async fn an_id_that_no_user_can_have_is_refused(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let long = "ü".repeat(256);
    for (id, detail) in [
        ("", "must have 1 to 255 characters, and has 0"),
        (&*long, "must have 1 to 255 characters, and has 256"),
    ] {
        for path in ["/api/api-keys", "/api/keyspaces", "/api/keyspaces/default"] {
            let problem = admin
                .acting_for(id)
                .get(path)
                .await
                .refused(422, "validation_failed");
            assert_eq!(
                problem["errors"],
                json!([{"pointer": "Keywright-User", "detail": detail}]),
                "{path}"
            );
        }
    }
}

async fn an_id_in_other_letters_is_taken(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for id in ["ä/ö|☃", "auth0|abc", "a b", &"ü".repeat(255)] {
        let key = admin.acting_for(id).create_key("a", &[]).await;
        assert_eq!(key.key["user_id"], id);
        assert_eq!(
            world.user(id).get("/api/api-keys").await.ok(),
            json!([key.key])
        );
    }
}

async fn naming_a_user_twice_is_a_conflict(store: Kind) {
    let world = World::on(store).await;
    let twice = world.admin().await.acting_for("ada").acting_for("eve");
    twice
        .get("/api/api-keys")
        .await
        .refused(400, "conflicting_credentials");
}

async fn listing_the_keys_of_somebody_unknown_does_not_make_them(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    assert_eq!(
        admin.acting_for("nobody").get("/api/api-keys").await.ok(),
        json!([])
    );
    admin
        .get("/api/users/nobody")
        .await
        .refused(404, "not_found");
}

async fn a_service_key_makes_lists_and_changes_service_keys(store: Kind) {
    let world = World::on(store).await;
    let (admin_id, admin_text) = world
        .service_key(&["keys:write", "keys:read", "keys:verify"])
        .await;
    let admin = world.anonymous().bearer(&admin_text);
    world.clock.advance(std::time::Duration::from_secs(1));
    let wanted =
        json!({"name": "verifier", "keyspace": "keywright", "permissions": ["keys:verify"]});
    let made = admin.create(wanted).await;
    assert_eq!(
        (&made.key["user_id"], &made.key["keyspace"]),
        (&json!(""), &json!("keywright"))
    );
    assert!(made.text.starts_with("kw_"));
    assert_eq!(made.text.len(), 52);
    let listed = admin.get("/api/api-keys?keyspace=keywright").await.ok();
    assert_eq!(
        (&listed[0], &listed[1]["id"]),
        (&made.key, &json!(admin_id))
    );
    assert_eq!(
        world.anonymous().bearer(&made.text).code_of("junk").await,
        "NOT_FOUND"
    );
    let renamed = admin
        .patch(
            &made.path(),
            json!({"name": "b", "metadata": {"team": "x"}}),
        )
        .await
        .ok();
    assert_eq!(renamed["name"], "b");
    let suspended = admin.act(&format!("{}/suspend", made.path())).await.ok();
    assert_eq!(suspended["status"], "SUSPENDED");
    let problem = world
        .anonymous()
        .bearer(&made.text)
        .post("/api/verify", json!({"key": "junk"}))
        .await;
    let detail = "this key is suspended: it works again once it is reactivated";
    assert_eq!(problem.refused(401, "invalid_token")["detail"], detail);
}

async fn a_service_key_is_nobodys_whom_a_header_could_name(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let wanted = json!({"name": "a", "keyspace": "keywright", "permissions": []});
    let problem = admin
        .acting_for("ada")
        .post("/api/api-keys", wanted)
        .await
        .refused(422, "validation_failed");
    let detail = "must be left out: service keys belong to the server, not to a user";
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "Keywright-User", "detail": detail}])
    );
    let listed = admin
        .acting_for("ada")
        .get("/api/api-keys?keyspace=keywright")
        .await
        .ok();
    assert_eq!(listed, json!([]));
    let (id, _) = world.service_key(&[]).await;
    let path = format!("/api/api-keys/{id}");
    admin
        .acting_for("ada")
        .get(&path)
        .await
        .refused(404, "not_found");
    admin
        .acting_for("ada")
        .delete(&path)
        .await
        .refused(404, "not_found");
    assert_eq!(admin.get(&path).await.ok()["status"], "ACTIVE");
}

async fn without_a_user_no_list_but_that_of_service_keys_is_answered(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    world.user("ada").create_key("a", &[]).await;
    let listed = admin
        .get("/api/api-keys?keyspace=keywright&status=ACTIVE&limit=1")
        .await
        .ok();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["keyspace"], "keywright");
    let problem = admin
        .get("/api/api-keys?status=ACTIVE")
        .await
        .refused(422, "validation_failed");
    assert_eq!(pointers(&problem), ["Keywright-User"]);
}
