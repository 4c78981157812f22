//! Users, keyspaces, service keys and the audit log, as an administrator sees them.

use serde_json::{Value, json};

use crate::support::{NewKey, World, assert_whole, on_both_stores};

on_both_stores! {
    a_user_who_is_deleted_takes_all_keys_along
    a_keyspace_is_there_as_soon_as_it_is_made
    users_keep_to_what_a_keyspace_leaves_them
    a_service_key_does_what_it_holds_and_no_more
    the_last_service_key_cannot_lock_everybody_out
    every_change_is_in_the_audit_log_and_nothing_else
}

fn a_user_who_is_deleted_takes_all_keys_along(world: &World) {
    let ada = world.user("ada");
    let admin = world.admin();
    let keys: Vec<NewKey> = (0..3).map(|n| ada.key(&format!("number {n}"))).collect();
    ada.suspend(&keys[1]);
    ada.revoke(&keys[2]);
    let others = world.user("bob").key("his");
    assert_eq!(admin.get("/api/users/ada").ok()["api_keys"], 3);
    assert_eq!(
        admin
            .get("/api/users/ada/api-keys")
            .ok()
            .as_array()
            .unwrap()
            .len(),
        3
    );

    let deleted = admin.delete("/api/users/ada");
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    for key in &keys {
        assert_eq!(admin.verify(key), "NOT_FOUND");
        world
            .holder(&key.text)
            .get("/api/whoami")
            .problem(401, "invalid_token");
        admin.get(&key.path()).problem(404, "not_found");
    }
    assert_eq!(admin.verify(&others), "VALID");
    admin.get("/api/users/ada").problem(404, "not_found");
    admin.delete("/api/users/ada").problem(404, "not_found");

    // The JWT is still good, and makes the user anew, without the keys.
    assert_eq!(ada.get("/api/api-keys").ok(), json!([]));
    assert_eq!(admin.get("/api/users/ada").ok()["api_keys"], 0);
    assert_whole(&world.database);
}

fn a_keyspace_is_there_as_soon_as_it_is_made(world: &World) {
    let admin = world.admin();
    let made = admin.post(
        "/api/keyspaces",
        &json!({"name": "live", "prefix": "sk_live_", "self_service": true,
            "permissions": ["charge", {"name": "refund", "description": "gives money back"}]}),
    );
    made.ok();
    assert_eq!(
        made.json()["permissions"][0],
        json!({"name": "charge", "description": null})
    );

    let ada = world.user("ada");
    assert_eq!(ada.get("/api/keyspaces/live").ok(), made.json());
    let key = ada.create(&json!({"name": "till", "keyspace": "live", "permissions": ["charge"]}));
    assert!(key.text.starts_with("sk_live_"), "{}", key.shown);
    assert_eq!(key.text.len(), 8 + 43 + 6);
    assert_eq!(admin.verify(&key), "VALID");
    let in_default = admin.ask(&json!({"key": key.text, "keyspace": "default"}));
    assert_eq!(in_default["code"], "NOT_FOUND");

    let more = admin
        .patch("/api/keyspaces/live", &json!({"permissions": ["audit"]}))
        .ok();
    let names = |keyspace: &Value| -> Vec<Value> {
        let permissions = keyspace["permissions"].as_array().unwrap();
        permissions
            .iter()
            .map(|permission| permission["name"].clone())
            .collect()
    };
    assert_eq!(names(&more), ["charge", "refund", "audit"]);
    ada.put(
        &format!("{}/permissions", key.path()),
        &json!({"permissions": ["audit"]}),
    )
    .ok();

    let again = json!({"name": "live", "prefix": "other_"});
    admin
        .post("/api/keyspaces", &again)
        .problem(409, "keyspace_exists");
    let overlapping = json!({"name": "liver", "prefix": "sk_live_x_"});
    admin
        .post("/api/keyspaces", &overlapping)
        .problem(409, "prefix_overlaps");
}

fn users_keep_to_what_a_keyspace_leaves_them(world: &World) {
    let admin = world.admin();
    let made = admin.post(
        "/api/keyspaces",
        &json!({"name": "plans", "prefix": "pl_", "permissions": ["use"]}),
    );
    made.ok();
    let wanted = json!({"name": "sold", "keyspace": "plans", "permissions": ["use"]});
    let ada = world.user("ada");
    ada.post("/api/api-keys", &wanted)
        .problem(403, "not_self_service");

    let key = admin.acting_for("ada").create(&wanted);
    let permissions = format!("{}/permissions", key.path());
    ada.put(&permissions, &json!({"permissions": []}))
        .problem(403, "not_self_service");
    ada.patch(&key.path(), &json!({"metadata": {}}))
        .problem(403, "not_self_service");
    ada.patch(&key.path(), &json!({"expires_at": null}))
        .problem(403, "not_self_service");
    assert_eq!(
        ada.patch(&key.path(), &json!({"name": "mine"})).ok()["name"],
        "mine"
    );
    ada.suspend(&key);
    assert_eq!(admin.verify(&key), "SUSPENDED");
    ada.reactivate(&key);
    assert_eq!(admin.verify(&key), "VALID");
    ada.revoke(&key);
    assert_eq!(admin.verify(&key), "REVOKED");
}

fn a_service_key_does_what_it_holds_and_no_more(world: &World) {
    let key = world.user("ada").key("hers");
    let verifier = world.service(&["keys:verify"]);
    assert_eq!(verifier.verify(&key), "VALID");
    let refusal = verifier.get("/api/users");
    assert!(
        refusal
            .problem(403, "insufficient_scope")
            .contains("users:read")
    );
    verifier.get(&key.path()).problem(403, "insufficient_scope");
    verifier
        .get("/api/audit")
        .problem(403, "insufficient_scope");

    let writer = world.service(&["keys:write"]);
    let more_than_it_has =
        json!({"name": "x", "keyspace": "keywright", "permissions": ["users:write"]});
    writer
        .post("/api/api-keys", &more_than_it_has)
        .problem(403, "insufficient_scope");
    let as_much = json!({"name": "x", "keyspace": "keywright", "permissions": ["keys:write"]});
    writer.create(&as_much);
    world
        .user("ada")
        .post("/api/api-keys", &as_much)
        .problem(403, "service_key_required");
    world
        .holder(&key.text)
        .get("/api/users")
        .problem(401, "invalid_token");
}

fn the_last_service_key_cannot_lock_everybody_out(world: &World) {
    let admin = world.admin();
    let own = admin.get("/api/whoami").ok();
    let path = format!("/api/api-keys/{}", own["id"].as_str().unwrap());
    admin.delete(&path).problem(409, "last_service_key");
    admin.delete("/api/whoami").problem(409, "last_service_key");
    admin
        .post(&format!("{path}/suspend"), &json!({}))
        .problem(409, "last_service_key");

    let second = world.service(&["keys:write"]);
    assert_eq!(second.delete(&path).ok()["status"], "REVOKED");
    admin.get("/api/users").problem(401, "invalid_token");
    second
        .delete("/api/whoami")
        .problem(409, "last_service_key");
}

fn every_change_is_in_the_audit_log_and_nothing_else(world: &World) {
    let (ada, admin) = (
        world.user("ada").with("X-Request-Id", "walk-1"),
        world.admin(),
    );
    let key = ada.key("watched");
    ada.suspend(&key);
    ada.suspend(&key);
    ada.reactivate(&key);
    admin.verify(&key);
    ada.get("/api/api-keys").ok();
    ada.patch(&key.path(), &json!({"name": "seen"})).ok();
    ada.put(
        &format!("{}/permissions", key.path()),
        &json!({"permissions": []}),
    )
    .ok();
    ada.patch(&key.path(), &json!({"name": ""}))
        .problem(422, "validation_failed");
    admin.revoke(&key);
    admin.revoke(&key);

    let entries = admin.get(&format!("/api/audit?key_id={}", key.id)).ok();
    let entries = entries.as_array().unwrap();
    let told: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{} by {}",
                entry["action"].as_str().unwrap(),
                entry["actor"]["kind"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "api_key.revoked by service_key",
            "api_key.permissions_replaced by user",
            "api_key.updated by user",
            "api_key.reactivated by user",
            "api_key.suspended by user",
            "api_key.created by user",
        ]
    );
    assert_eq!(entries[2]["before"]["name"], "watched");
    assert_eq!(entries[2]["after"]["name"], "seen");
    let made = &entries[5];
    assert_eq!(made["actor"], json!({"kind": "user", "id": "ada"}));
    assert_eq!(
        (&made["ip"], &made["request_id"]),
        (&json!("127.0.0.1"), &json!("walk-1"))
    );
    assert_eq!(
        (&made["user_id"], &made["keyspace"]),
        (&json!("ada"), &json!("default"))
    );

    let stream = admin
        .clone()
        .with("Accept", "application/x-ndjson")
        .get("/api/audit");
    let streamed: Vec<Value> = stream
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(Value::from(streamed), admin.get("/api/audit").ok());
    assert_whole(&world.database);
}
