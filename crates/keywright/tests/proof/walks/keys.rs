//! Keys: made, verified, put aside, taken back, ended.

use serde_json::json;

use crate::support::{NewKey, World, on_both_stores};

on_both_stores! {
    a_key_is_shown_once_and_verifies_until_it_is_revoked_for_good
    a_key_that_is_deleted_by_its_user_stays_revoked_whatever_is_tried
    a_user_reaches_no_key_of_another
    a_verification_says_whose_key_it_is_and_what_it_may_do
    permissions_are_asked_for_all_together_and_can_be_replaced
    an_edit_is_seen_by_the_next_verification
    whoever_holds_a_key_can_look_at_it_and_end_it
    what_is_no_key_is_not_found
    a_batch_is_answered_in_its_order
    a_list_is_paged_newest_first
    what_is_refused_is_refused_as_a_problem_that_says_why
}

fn a_key_is_shown_once_and_verifies_until_it_is_revoked_for_good(world: &World) {
    let ada = world.user("ada");
    let gateway = world.service(&["keys:verify"]);

    let answer = ada.post(
        "/api/api-keys",
        &json!({"name": "build server", "permissions": ["READ_GRAPH", "EXECUTE_GRAPH"]}),
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let key = NewKey::of(&answer.ok());
    assert_eq!(key.text.len(), 54);
    assert_eq!(key.shown["prefix"], key.text[..8]);
    assert_eq!(key.shown["postfix"], key.text[46..]);
    assert_eq!(key.shown["status"], "ACTIVE");
    assert_eq!(key.shown["user_id"], "ada");
    assert_eq!(
        key.shown["permissions"],
        json!(["EXECUTE_GRAPH", "READ_GRAPH"])
    );
    assert_eq!(ada.get(&key.path()).ok(), key.shown);
    assert!(!ada.get("/api/api-keys").body.contains(&key.text));

    assert_eq!(gateway.verify(&key), "VALID");
    let suspended = ada.suspend(&key);
    assert_eq!(suspended["status"], "SUSPENDED");
    assert_eq!(gateway.verify(&key), "SUSPENDED");
    assert_eq!(ada.suspend(&key), suspended);
    let reactivated = ada.reactivate(&key);
    assert_eq!(reactivated["suspended_at"], json!(null));
    assert_eq!(gateway.verify(&key), "VALID");
    let revoked = ada.revoke(&key);
    assert_eq!(revoked["status"], "REVOKED");
    assert_eq!(gateway.verify(&key), "REVOKED");
    assert_eq!(ada.revoke(&key)["revoked_at"], revoked["revoked_at"]);
}

fn a_key_that_is_deleted_by_its_user_stays_revoked_whatever_is_tried(world: &World) {
    let ada = world.user("ada");
    let key = ada.key("short-lived");
    ada.revoke(&key);

    for caller in [ada, world.admin()] {
        let suspend = caller.post(&format!("{}/suspend", key.path()), &json!({}));
        suspend.problem(409, "key_revoked");
        let reactivate = caller.post(&format!("{}/reactivate", key.path()), &json!({}));
        reactivate.problem(409, "key_revoked");
        let permissions = json!({"permissions": ["READ_GRAPH"]});
        let replace = caller.put(&format!("{}/permissions", key.path()), &permissions);
        replace.problem(409, "key_revoked");
        caller
            .patch(&key.path(), &json!({"name": "revived"}))
            .problem(409, "key_revoked");
    }
    assert_eq!(world.admin().verify(&key), "REVOKED");
}

fn a_user_reaches_no_key_of_another(world: &World) {
    let (ada, eve) = (world.user("ada"), world.user("eve"));
    let key = ada.key("hers");

    let not_there = eve
        .get("/api/api-keys/00000000-0000-7000-8000-000000000000")
        .problem(404, "not_found");
    assert_eq!(eve.get(&key.path()).problem(404, "not_found"), not_there);
    assert_eq!(eve.delete(&key.path()).problem(404, "not_found"), not_there);
    assert_eq!(eve.get("/api/api-keys").ok(), json!([]));
    assert_eq!(world.admin().verify(&key), "VALID");

    let service = world.service(&["keys:read", "keys:write"]);
    assert_eq!(
        service
            .acting_for("eve")
            .delete(&key.path())
            .problem(404, "not_found"),
        not_there
    );
    assert_eq!(service.acting_for("ada").revoke(&key)["status"], "REVOKED");
}

fn a_verification_says_whose_key_it_is_and_what_it_may_do(world: &World) {
    let key = world.admin().acting_for("ada").create(&json!({
        "name": "crawler",
        "permissions": ["READ_BLOCK"],
        "expires_at": "2999-01-01T00:00:00Z",
        "metadata": {"plan": "gold"},
    }));
    assert_eq!(
        world
            .service(&["keys:verify"])
            .ask(&json!({"key": key.text, "keyspace": "default"})),
        json!({
            "valid": true,
            "code": "VALID",
            "key_id": key.id,
            "user_id": "ada",
            "name": "crawler",
            "keyspace": "default",
            "permissions": ["READ_BLOCK"],
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "metadata": {"plan": "gold"},
        })
    );
}

fn permissions_are_asked_for_all_together_and_can_be_replaced(world: &World) {
    let ada = world.user("ada");
    let key = ada.key("reader");
    let wanted =
        json!({"key": key.text, "permissions": ["EXECUTE_BLOCK", "READ_GRAPH", "NO_SUCH"]});

    let lacking = world.admin().ask(&wanted);
    assert_eq!(lacking["code"], "INSUFFICIENT_PERMISSIONS");
    assert_eq!(
        lacking["missing_permissions"],
        json!(["EXECUTE_BLOCK", "NO_SUCH"])
    );

    let path = format!("{}/permissions", key.path());
    let replaced = ada
        .put(&path, &json!({"permissions": ["EXECUTE_BLOCK"]}))
        .ok();
    assert_eq!(replaced["permissions"], json!(["EXECUTE_BLOCK"]));
    assert_eq!(
        world.admin().ask(&wanted)["missing_permissions"],
        json!(["READ_GRAPH", "NO_SUCH"])
    );
    let only = json!({"key": key.text, "permissions": ["EXECUTE_BLOCK"]});
    assert_eq!(world.admin().ask(&only)["code"], "VALID");

    let unknown = ada.put(&path, &json!({"permissions": ["NO_SUCH"]}));
    unknown.problem(422, "validation_failed");
    let refused = unknown.json()["errors"].clone();
    assert_eq!(refused[0]["pointer"], "/permissions/0");
    assert!(
        refused[0]["detail"]
            .as_str()
            .unwrap()
            .contains("EXECUTE_GRAPH"),
        "{refused}"
    );
}

fn an_edit_is_seen_by_the_next_verification(world: &World) {
    let ada = world.user("ada");
    let key = ada.key("before");
    let change = json!({"name": "after", "description": "new", "metadata": {"a": [1]}});
    let edited = ada.patch(&key.path(), &change).ok();
    assert_eq!(edited["description"], "new");
    let seen = world.admin().ask(&json!({"key": key.text}));
    assert_eq!(
        (&seen["name"], &seen["metadata"]),
        (&json!("after"), &json!({"a": [1]}))
    );

    let cleared = ada
        .patch(&key.path(), &json!({"description": null, "metadata": null}))
        .ok();
    assert_eq!(cleared["description"], json!(null));
    assert_eq!(cleared["metadata"], json!({}));
    assert_eq!(cleared["name"], "after");
}

fn whoever_holds_a_key_can_look_at_it_and_end_it(world: &World) {
    let ada = world.user("ada");
    let key = ada.key("in a pocket");
    let holder = world.holder(&key.text);

    assert_eq!(holder.get("/api/whoami").ok()["id"], key.id);
    ada.suspend(&key);
    assert!(
        holder
            .get("/api/whoami")
            .problem(401, "invalid_token")
            .contains("suspended")
    );
    assert_eq!(holder.delete("/api/whoami").ok()["status"], "REVOKED");
    assert_eq!(holder.delete("/api/whoami").ok()["status"], "REVOKED");
    assert!(
        holder
            .get("/api/whoami")
            .problem(401, "invalid_token")
            .contains("revoked")
    );
    assert_eq!(world.admin().verify(&key), "REVOKED");
}

fn what_is_no_key_is_not_found(world: &World) {
    let key = world.user("ada").key("real");
    let other_end = if key.text.ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{other_end}", &key.text[..53]);
    let admin_key = world.admin_key();
    for text in ["", "agpt_", "nonsense", &mistyped, admin_key] {
        let answer = world.admin().ask(&json!({"key": text}));
        assert_eq!(
            answer,
            json!({"valid": false, "code": "NOT_FOUND"}),
            "{text}"
        );
    }
    let elsewhere = world
        .admin()
        .ask(&json!({"key": key.text, "keyspace": "keywright"}));
    assert_eq!(elsewhere, json!({"valid": false, "code": "NOT_FOUND"}));
}

fn a_batch_is_answered_in_its_order(world: &World) {
    let ada = world.user("ada");
    let keys: Vec<NewKey> = ["a", "b", "c"].map(|name| ada.key(name)).into();
    ada.suspend(&keys[1]);
    ada.revoke(&keys[2]);
    let requests: Vec<_> = (0..1000)
        .map(|n| json!({"key": keys.get(n % 4).map_or("unknown", |key| &key.text)}))
        .collect();
    let answer = world
        .admin()
        .post("/api/verify/batch", &json!({"requests": requests}))
        .ok();
    let codes: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["code"])
        .collect();
    let cycle = ["VALID", "SUSPENDED", "REVOKED", "NOT_FOUND"];
    let expected: Vec<_> = cycle.into_iter().cycle().take(1000).collect();
    assert_eq!(codes, expected);
}

fn a_list_is_paged_newest_first(world: &World) {
    let ada = world.user("ada");
    let mut ids: Vec<String> = (0..7).map(|n| ada.key(&format!("number {n}")).id).collect();
    ids.reverse();

    let mut listed = Vec::new();
    let mut next = Some("/api/api-keys?limit=3&status=ACTIVE".to_owned());
    let mut sizes = Vec::new();
    while let Some(path) = next.take() {
        let page = ada.get(&path);
        let keys = page.ok();
        sizes.push(keys.as_array().unwrap().len());
        listed.extend(
            keys.as_array()
                .unwrap()
                .iter()
                .map(|key| key["id"].as_str().unwrap().to_owned()),
        );
        next = page.header("link").map(|link| {
            let url = link
                .strip_prefix('<')
                .and_then(|link| link.strip_suffix(">; rel=\"next\""));
            url.expect("a link to the next page").to_owned()
        });
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(listed, ids);
}

fn what_is_refused_is_refused_as_a_problem_that_says_why(world: &World) {
    let ada = world.user("ada");
    let nobody = world.nobody().get("/api/api-keys");
    nobody.problem(401, "missing_credentials");
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    let stranger = world.holder("kw_nonsense").get("/api/users");
    stranger.problem(401, "invalid_token");
    assert_eq!(
        stranger.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    ada.get("/api/nothing").problem(404, "not_found");
    let wrong_method = ada.put("/api/api-keys", &json!({}));
    wrong_method.problem(405, "method_not_allowed");
    assert!(wrong_method.header("allow").unwrap().contains("POST"));
    let misspelt = ada.post(
        "/api/api-keys",
        &json!({"name": "a", "permissions": [], "expiresAt": null}),
    );
    misspelt.problem(422, "validation_failed");
    assert_eq!(misspelt.json()["errors"][0]["pointer"], "/expiresAt");
    let large = json!({"name": "a", "permissions": [], "description": "x".repeat(64 * 1024)});
    ada.post("/api/api-keys", &large)
        .problem(413, "payload_too_large");
    let both = ada.clone().with("X-API-Key", world.admin_key());
    both.get("/api/api-keys")
        .problem(400, "conflicting_credentials");
    assert_eq!(ada.get("/api/api-keys").ok(), json!([]));
}
