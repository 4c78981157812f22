//! Who may do what (CONTRACT §1 and §4.1), and the ways to try to get round it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ALL_OPERATIONS, Client, CreatedKey, Kind, Token, World, on_both_stores};

on_both_stores![
    a_user_makes_no_service_key,
    a_user_reaches_no_service_key_by_its_id,
    a_users_key_is_no_service_key,
    nobody_makes_a_service_key_that_holds_more_than_they_do,
    nobody_gives_a_service_key_more_than_they_hold,
    nobody_takes_from_a_service_key_what_they_lack,
    nobody_changes_a_service_key_that_holds_more_than_they_do,
    nobody_reactivates_a_service_key_that_holds_more_than_they_do,
    suspending_and_revoking_a_service_key_need_only_keys_write,
    a_service_key_cannot_raise_itself,
    a_user_makes_no_key_where_the_keyspace_is_not_self_service,
    a_user_changes_no_more_than_the_name_where_the_keyspace_is_not_self_service,
    a_service_key_does_for_a_user_what_the_keyspace_leaves_to_it,
    self_service_can_be_taken_away_from_a_keyspace,
    the_reserved_owner_cannot_be_seen_or_deleted_or_acted_for,
    the_last_writer_cannot_be_suspended_or_revoked,
    the_last_writer_cannot_lose_keys_write,
    the_last_writer_cannot_be_given_an_end,
    the_last_writer_cannot_revoke_itself_as_its_holder,
    a_writer_that_is_expired_or_suspended_is_no_other_writer,
    the_last_writer_can_be_ended_once_there_is_another,
    two_writers_cannot_end_each_other_at_once,
    two_writers_cannot_end_themselves_at_once,
    two_credentials_are_a_conflict,
    a_jwt_cannot_name_another_user,
    a_jwt_is_taken_only_as_a_bearer,
];

/// A service key with its client.
async fn service(world: &World, operations: &[&str]) -> (String, Client, String) {
    let (id, text) = world.service_key(operations).await;
    (
        format!("/api/api-keys/{id}"),
        world.anonymous().bearer(&text),
        text,
    )
}

async fn a_user_makes_no_service_key(store: Kind) {
    let world = World::on(store).await;
    for permissions in [json!([]), json!(["keys:verify"]), json!(["nonsense"])] {
        let wanted = json!({"name": "a", "keyspace": "keywright", "permissions": permissions});
        let problem = world
            .user("ada")
            .post("/api/api-keys", wanted)
            .await
            .refused(403, "service_key_required");
        let detail =
            "service keys are made and changed only by service keys: authenticate with one";
        assert_eq!(problem["detail"], detail);
    }
}

async fn a_user_reaches_no_service_key_by_its_id(store: Kind) {
    let world = World::on(store).await;
    let (path, ..) = service(&world, &["keys:verify"]).await;
    let ada = world.user("ada");
    for answer in [
        ada.get(&path).await,
        ada.delete(&path).await,
        ada.act(&format!("{path}/suspend")).await,
        ada.act(&format!("{path}/reactivate")).await,
        ada.patch(&path, json!({"name": "b"})).await,
        ada.put(&format!("{path}/permissions"), json!({"permissions": []}))
            .await,
    ] {
        answer.refused(404, "not_found");
    }
}

async fn a_users_key_is_no_service_key(store: Kind) {
    let world = World::on(store).await;
    // Even where its permissions have the names of operations.
    let admin = world.admin().await;
    let permissions: Vec<_> = ALL_OPERATIONS.into();
    let wanted = json!({"name": "fake", "prefix": "fake_", "self_service": true, "permissions": permissions});
    admin.post("/api/keyspaces", wanted).await.ok();
    let ada = world.user("ada");
    let fake = ada
        .create(json!({"name": "a", "keyspace": "fake", "permissions": permissions}))
        .await;
    let plain = ada.create_key("a", &["READ_GRAPH"]).await;
    for text in [fake.text, plain.text] {
        for client in [world.anonymous().bearer(&text), world.holder(&text)] {
            for answer in [
                client.get("/api/users").await,
                client.get("/api/audit").await,
                client.acting_for("eve").get("/api/api-keys").await,
                client.post("/api/verify", json!({"key": text})).await,
                client.get("/api/api-keys").await,
                client.get("/api/keyspaces").await,
            ] {
                let problem = answer.refused(401, "invalid_token");
                assert_eq!(
                    problem["detail"],
                    "this is not a service key of this server"
                );
            }
        }
    }
}

async fn nobody_makes_a_service_key_that_holds_more_than_they_do(store: Kind) {
    let world = World::on(store).await;
    let (_, writer, _) = service(&world, &["keys:write", "keys:verify"]).await;
    let wanted = |permissions: Value| json!({"name": "a", "keyspace": "keywright", "permissions": permissions});
    let answer = writer
        .post(
            "/api/api-keys",
            wanted(json!(["users:write", "keys:verify", "audit:read"])),
        )
        .await;
    let problem = answer.refused(403, "insufficient_scope");
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"users:write audit:read\"")
    );
    assert_eq!(
        problem["detail"],
        "the service key lacks users:write, audit:read: use one that holds it"
    );
    writer
        .create(wanted(json!(["keys:verify", "keys:write"])))
        .await;
    writer.create(wanted(json!([]))).await;
}

async fn nobody_gives_a_service_key_more_than_they_hold(store: Kind) {
    let world = World::on(store).await;
    let (_, writer, _) = service(&world, &["keys:write", "keys:verify"]).await;
    let (path, ..) = service(&world, &["keys:verify"]).await;
    let path = format!("{path}/permissions");
    let more = json!({"permissions": ["keys:verify", "users:write"]});
    let answer = writer.put(&path, more).await;
    answer.refused(403, "insufficient_scope");
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"users:write\"")
    );
    let as_much = json!({"permissions": ["keys:verify", "keys:write"]});
    assert_eq!(
        writer.put(&path, as_much).await.ok()["permissions"],
        json!(["keys:verify", "keys:write"])
    );
}

async fn nobody_takes_from_a_service_key_what_they_lack(store: Kind) {
    let world = World::on(store).await;
    let (_, writer, _) = service(&world, &["keys:write", "keys:verify"]).await;
    let (path, ..) = service(&world, &["users:write", "keys:verify"]).await;
    let answer = writer
        .put(&format!("{path}/permissions"), json!({"permissions": []}))
        .await;
    answer.refused(403, "insufficient_scope");
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"users:write\"")
    );
}

async fn nobody_changes_a_service_key_that_holds_more_than_they_do(store: Kind) {
    let world = World::on(store).await;
    let (_, writer, _) = service(&world, &["keys:write"]).await;
    let (path, ..) = service(&world, &["users:write"]).await;
    for patch in [
        json!({"name": "b"}),
        json!({"metadata": {"a": 1}}),
        json!({"expires_at": "2026-11-22T09:00:01Z"}),
        json!({"description": "d"}),
        json!({}),
    ] {
        let answer = writer.patch(&path, patch).await;
        let problem = answer.refused(403, "insufficient_scope");
        assert_eq!(
            problem["detail"],
            "the service key lacks users:write: use one that holds it"
        );
    }
}

async fn nobody_reactivates_a_service_key_that_holds_more_than_they_do(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let (_, writer, _) = service(&world, &["keys:write"]).await;
    let (path, other, _) = service(&world, &["users:read"]).await;
    writer.act(&format!("{path}/suspend")).await.ok();
    writer
        .act(&format!("{path}/reactivate"))
        .await
        .refused(403, "insufficient_scope");
    other.get("/api/users").await.refused(401, "invalid_token");
    admin.act(&format!("{path}/reactivate")).await.ok();
    assert_eq!(other.get("/api/users").await.status, 200);
}

async fn suspending_and_revoking_a_service_key_need_only_keys_write(store: Kind) {
    let world = World::on(store).await;
    let (_, writer, _) = service(&world, &["keys:write"]).await;
    let (path, ..) = service(&world, &ALL_OPERATIONS).await;
    assert_eq!(
        writer.act(&format!("{path}/suspend")).await.ok()["status"],
        "SUSPENDED"
    );
    assert_eq!(writer.delete(&path).await.ok()["status"], "REVOKED");
}

async fn a_service_key_cannot_raise_itself(store: Kind) {
    let world = World::on(store).await;
    let (path, writer, _) = service(&world, &["keys:write"]).await;
    let all = json!({"permissions": ALL_OPERATIONS});
    writer
        .put(&format!("{path}/permissions"), all.clone())
        .await
        .refused(403, "insufficient_scope");
    // Nor by a friend of its own making.
    let friend = writer
        .create(json!({"name": "b", "keyspace": "keywright", "permissions": ["keys:write"]}))
        .await;
    let friend = world.anonymous().bearer(&friend.text);
    friend
        .put(&format!("{path}/permissions"), all)
        .await
        .refused(403, "insufficient_scope");
}

/// A keyspace that is not self-service, with a key of ada's in it.
async fn guarded_keyspace(world: &World) -> (Client, CreatedKey) {
    let admin = world.admin().await;
    let wanted = json!({"name": "live", "prefix": "sk_live_", "permissions": ["charge", "refund"]});
    admin.post("/api/keyspaces", wanted).await.ok();
    let wanted = json!({"name": "a", "keyspace": "live", "permissions": ["charge"], "metadata": {"plan": "free"}});
    let key = admin.acting_for("ada").create(wanted).await;
    (world.user("ada"), key)
}

async fn a_user_makes_no_key_where_the_keyspace_is_not_self_service(store: Kind) {
    let world = World::on(store).await;
    let (ada, _) = guarded_keyspace(&world).await;
    for permissions in [json!([]), json!(["charge"]), json!(["nonsense"])] {
        let wanted = json!({"name": "b", "keyspace": "live", "permissions": permissions});
        ada.post("/api/api-keys", wanted)
            .await
            .refused(403, "not_self_service");
    }
}

async fn a_user_changes_no_more_than_the_name_where_the_keyspace_is_not_self_service(store: Kind) {
    let world = World::on(store).await;
    let (ada, key) = guarded_keyspace(&world).await;
    let path = key.path();
    for answer in [
        ada.put(
            &format!("{path}/permissions"),
            json!({"permissions": ["refund"]}),
        )
        .await,
        ada.put(&format!("{path}/permissions"), json!({"permissions": []}))
            .await,
        ada.put(
            &format!("{path}/permissions"),
            json!({"permissions": ["charge"]}),
        )
        .await,
        ada.patch(&path, json!({"metadata": {"plan": "pro"}})).await,
        ada.patch(&path, json!({"metadata": null})).await,
        ada.patch(&path, json!({"expires_at": "2027-01-01T00:00:00Z"}))
            .await,
        ada.patch(&path, json!({"expires_at": null})).await,
        // What is allowed does not carry what is not.
        ada.patch(&path, json!({"name": "b", "metadata": {}})).await,
    ] {
        answer.refused(403, "not_self_service");
    }
    assert_eq!(ada.get(&path).await.ok(), key.key);
    assert_eq!(
        ada.get("/api/api-keys?keyspace=live").await.ok(),
        json!([key.key])
    );

    let renamed = ada
        .patch(&path, json!({"name": "b", "description": "mine"}))
        .await
        .ok();
    assert_eq!(
        (&renamed["name"], &renamed["description"]),
        (&json!("b"), &json!("mine"))
    );
    assert_eq!(
        ada.act(&format!("{path}/suspend")).await.ok()["status"],
        "SUSPENDED"
    );
    assert_eq!(
        ada.act(&format!("{path}/reactivate")).await.ok()["status"],
        "ACTIVE"
    );
    assert_eq!(ada.delete(&path).await.ok()["status"], "REVOKED");
}

async fn a_service_key_does_for_a_user_what_the_keyspace_leaves_to_it(store: Kind) {
    let world = World::on(store).await;
    let (_, key) = guarded_keyspace(&world).await;
    let path = key.path();
    let (_, back_end, _) = service(&world, &["keys:write"]).await;
    for back_end in [back_end.clone(), back_end.acting_for("ada")] {
        back_end
            .patch(
                &path,
                json!({"metadata": {"plan": "pro"}, "expires_at": "2027-01-01T00:00:00Z"}),
            )
            .await
            .ok();
        // The rule of holding it oneself is for service keys, whose permissions are the server's own.
        let replaced = back_end
            .put(
                &format!("{path}/permissions"),
                json!({"permissions": ["refund"]}),
            )
            .await
            .ok();
        assert_eq!(replaced["permissions"], json!(["refund"]));
        assert_eq!(replaced["metadata"], json!({"plan": "pro"}));
    }
}

async fn self_service_can_be_taken_away_from_a_keyspace(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    admin
        .patch("/api/keyspaces/default", json!({"self_service": false}))
        .await
        .ok();
    let path = format!("{}/permissions", key.path());
    ada.put(&path, json!({"permissions": ["READ_GRAPH"]}))
        .await
        .refused(403, "not_self_service");
    ada.post("/api/api-keys", json!({"name": "b", "permissions": []}))
        .await
        .refused(403, "not_self_service");
    admin
        .patch("/api/keyspaces/default", json!({"self_service": true}))
        .await
        .ok();
    ada.put(&path, json!({"permissions": ["READ_GRAPH"]}))
        .await
        .ok();
}

async fn the_reserved_owner_cannot_be_seen_or_deleted_or_acted_for(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for id in ["", "%00", "%EF%BF%BE%00", "%c3", "keywright%00"] {
        admin
            .get(&format!("/api/users/{id}"))
            .await
            .refused(404, "not_found");
        admin
            .delete(&format!("/api/users/{id}"))
            .await
            .refused(404, "not_found");
        admin
            .get(&format!("/api/users/{id}/api-keys"))
            .await
            .refused(404, "not_found");
    }
    // Names that somebody might think of are users like others, and there are none of them.
    for id in [
        "keywright",
        "%20",
        ".",
        "%2e%2e",
        "%2F",
        "null",
        "*",
        "%22%22",
        "''",
    ] {
        admin
            .delete(&format!("/api/users/{id}"))
            .await
            .refused(404, "not_found");
    }
    admin
        .acting_for("")
        .get("/api/api-keys")
        .await
        .refused(422, "validation_failed");
    world
        .user("")
        .get("/api/api-keys")
        .await
        .refused(401, "invalid_token");
    let nul = Token::of("\u{0}").signed();
    world
        .anonymous()
        .bearer(&nul)
        .get("/api/api-keys")
        .await
        .refused(401, "invalid_token");
    assert_eq!(admin.get("/api/users").await.ok(), json!([]));
    assert_eq!(
        admin.get("/api/audit").await.status,
        200,
        "the admin key is still there"
    );
}

async fn the_last_writer_cannot_be_suspended_or_revoked(store: Kind) {
    let world = World::on(store).await;
    let (path, writer, _) = service(&world, &["keys:write"]).await;
    // Others there are, but they cannot write keys.
    service(&world, &["keys:read", "users:write"]).await;
    let detail = "no active service key that holds keys:write for as long would be left: make another one first";
    for answer in [
        writer.act(&format!("{path}/suspend")).await,
        writer.delete(&path).await,
    ] {
        assert_eq!(answer.refused(409, "last_service_key")["detail"], detail);
    }
    // It goes on working, and what is no loss is allowed.
    writer.act(&format!("{path}/reactivate")).await.ok();
    writer
        .patch(&path, json!({"name": "the last one"}))
        .await
        .ok();
}

async fn the_last_writer_cannot_lose_keys_write(store: Kind) {
    let world = World::on(store).await;
    let (path, writer, _) = service(&world, &["keys:write", "keys:read"]).await;
    let path = format!("{path}/permissions");
    for permissions in [json!([]), json!(["keys:read"])] {
        writer
            .put(&path, json!({"permissions": permissions}))
            .await
            .refused(409, "last_service_key");
    }
    let less = writer
        .put(&path, json!({"permissions": ["keys:write"]}))
        .await
        .ok();
    assert_eq!(less["permissions"], json!(["keys:write"]));
}

async fn the_last_writer_cannot_be_given_an_end(store: Kind) {
    let world = World::on(store).await;
    let (path, writer, _) = service(&world, &["keys:write"]).await;
    for at in ["2026-11-22T09:00:01Z", "9000-01-01T00:00:00Z"] {
        writer
            .patch(&path, json!({"expires_at": at}))
            .await
            .refused(409, "last_service_key");
    }
    writer.patch(&path, json!({"expires_at": null})).await.ok();
}

async fn the_last_writer_cannot_revoke_itself_as_its_holder(store: Kind) {
    let world = World::on(store).await;
    let (_, writer, text) = service(&world, &["keys:write", "keys:verify"]).await;
    world
        .holder(&text)
        .delete("/api/whoami")
        .await
        .refused(409, "last_service_key");
    writer
        .delete("/api/whoami")
        .await
        .refused(409, "last_service_key");
    let still = json!({"key": text, "keyspace": "keywright"});
    assert_eq!(writer.verify(still).await["code"], "VALID");
}

async fn a_writer_that_is_expired_or_suspended_is_no_other_writer(store: Kind) {
    let world = World::on(store).await;
    let (path, writer, _) = service(&world, &["keys:write"]).await;
    let other = json!({"name": "other", "keyspace": "keywright", "permissions": ["keys:write"]});
    let mut expiring = other.clone();
    expiring["expires_at"] = world.clock.later(Duration::from_secs(1)).into();
    writer.create(expiring).await;
    let suspended = writer.create(other.clone()).await;
    writer
        .act(&format!("{}/suspend", suspended.path()))
        .await
        .ok();
    let revoked = writer.create(other).await;
    writer.delete(&revoked.path()).await.ok();
    world.clock.advance(Duration::from_secs(1));
    writer.delete(&path).await.refused(409, "last_service_key");
    writer
        .act(&format!("{}/reactivate", suspended.path()))
        .await
        .ok();
    writer.delete(&path).await.ok();
}

async fn the_last_writer_can_be_ended_once_there_is_another(store: Kind) {
    let world = World::on(store).await;
    let (path, writer, text) = service(&world, &["keys:write"]).await;
    let other = json!({"name": "other", "keyspace": "keywright", "permissions": ["keys:write"]});
    let other = writer.create(other).await;
    assert_eq!(
        world.holder(&text).delete("/api/whoami").await.ok()["status"],
        "REVOKED"
    );
    writer.get(&path).await.refused(401, "invalid_token");
    world
        .anonymous()
        .bearer(&other.text)
        .delete(&other.path())
        .await
        .refused(409, "last_service_key");
}

async fn two_writers_cannot_end_each_other_at_once(store: Kind) {
    let world = World::on(store).await;
    let (one, first, _) = service(&world, &["keys:write"]).await;
    let (other, second, _) = service(&world, &["keys:write"]).await;
    let (a, b) = tokio::join!(first.delete(&other), second.delete(&one));
    let mut ended = [a.status, b.status];
    ended.sort_unstable();
    // The second comes with a key that is gone by then, or is refused as the last.
    assert!(
        ended[0] == 200 && matches!(ended[1], 401 | 409),
        "{ended:?}"
    );
    let (survivor, path) = if a.status == 200 {
        (first, one)
    } else {
        (second, other)
    };
    survivor
        .delete(&path)
        .await
        .refused(409, "last_service_key");
}

async fn two_writers_cannot_end_themselves_at_once(store: Kind) {
    let world = World::on(store).await;
    let texts = [
        world.service_key(&["keys:write"]).await.1,
        world.service_key(&["keys:write"]).await.1,
    ];
    let [one, other] = texts.map(|text| world.holder(&text));
    let (a, b) = tokio::join!(one.delete("/api/whoami"), other.delete("/api/whoami"));
    let mut ended = [a.status, b.status];
    ended.sort_unstable();
    assert_eq!(ended, [200, 409]);
}

async fn two_credentials_are_a_conflict(store: Kind) {
    let world = World::on(store).await;
    let (_, text) = world.service_key(&ALL_OPERATIONS).await;
    let (ada, jwt) = (world.user("ada"), Token::of("ada").signed());
    let key = ada.create_key("a", &[]).await;
    for client in [
        ada.with("x-api-key", &text),
        ada.with("x-api-key", &key.text),
        world.anonymous().bearer(&text).with("x-api-key", &text),
        world.anonymous().bearer(&text).bearer(&jwt),
        world.holder(&text).with("x-api-key", &text),
        world
            .anonymous()
            .with("authorization", "Basic YTpi")
            .with("x-api-key", &text),
    ] {
        for path in [
            "/api/api-keys",
            "/api/whoami",
            "/api/users",
            "/api/keyspaces",
        ] {
            let answer = client.get(path).await;
            answer.refused(400, "conflicting_credentials");
        }
    }
}

async fn a_jwt_cannot_name_another_user(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    for user in ["ada", "eve"] {
        let client = world.user("eve").acting_for(user);
        client
            .get("/api/api-keys")
            .await
            .refused(400, "conflicting_credentials");
        client
            .delete(&key.path())
            .await
            .refused(400, "conflicting_credentials");
    }
}

async fn a_jwt_is_taken_only_as_a_bearer(store: Kind) {
    let world = World::on(store).await;
    let jwt = Token::of("ada").signed();
    world
        .holder(&jwt)
        .get("/api/api-keys")
        .await
        .refused(401, "invalid_token");
    let client = world.anonymous().with("authorization", &jwt);
    client
        .get("/api/api-keys")
        .await
        .refused(401, "invalid_token");
}
