//! A service asks whether keys are good (CONTRACT §4.2).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, CreatedKey, Kind, World, on_both_stores, pointers};

on_both_stores![
    a_good_key_is_valid_and_tells_what_it_is,
    a_service_key_is_taken_in_either_header,
    what_is_no_key_is_not_found_and_nothing_else_is_said,
    a_key_is_not_found_in_another_keyspace,
    a_service_key_is_found_only_where_its_keyspace_is_named,
    the_first_code_that_holds_is_answered,
    every_code_but_not_found_carries_every_field,
    missing_permissions_stand_in_the_order_asked,
    a_key_without_permissions_is_valid_where_none_is_asked_for,
    a_key_expires_at_the_microsecond,
    a_key_of_512_characters_is_taken_and_one_more_is_not,
    a_key_text_is_taken_as_it_is,
    a_change_is_seen_by_the_next_verification,
    a_permission_of_a_grown_catalogue_can_be_asked_for_at_once,
    keys_of_several_keyspaces_are_verified_without_naming_them,
    what_a_question_may_not_hold_is_refused,
    a_batch_is_answered_in_its_order,
    a_batch_of_a_thousand_is_answered,
    a_batch_holds_1_to_1000_questions,
    every_refused_question_of_a_batch_is_told,
    a_batch_may_have_a_mebibyte,
    keys_that_share_their_prefix_all_verify,
    of_many_refused_questions_twenty_are_told,
];

async fn verifier(world: &World) -> Client {
    world.service(&["keys:verify"]).await
}

/// What a verification says of a key, as far as the key itself tells.
fn found(code: &str, key: &CreatedKey) -> Value {
    json!({
        "valid": code == "VALID",
        "code": code,
        "key_id": key.id,
        "user_id": key.key["user_id"],
        "name": key.key["name"],
        "keyspace": key.key["keyspace"],
        "permissions": key.key["permissions"],
        "expires_at": key.key["expires_at"],
        "metadata": key.key["metadata"],
    })
}

fn not_found() -> Value {
    json!({"valid": false, "code": "NOT_FOUND"})
}

async fn a_good_key_is_valid_and_tells_what_it_is(store: Kind) {
    let world = World::on(store).await;
    let key = world
        .user("ada")
        .create(json!({"name": "build server", "permissions": ["READ_GRAPH", "EXECUTE_GRAPH"], "metadata": {"plan": "pro"}, "expires_at": "2027-01-01T00:00:00Z"}))
        .await;
    let question = json!({"key": key.text, "permissions": ["READ_GRAPH"], "keyspace": "default"});
    let decision = verifier(&world).await.verify(question).await;
    assert_eq!(
        decision,
        json!({
            "valid": true,
            "code": "VALID",
            "key_id": key.id,
            "user_id": "ada",
            "name": "build server",
            "keyspace": "default",
            "permissions": ["EXECUTE_GRAPH", "READ_GRAPH"],
            "expires_at": "2027-01-01T00:00:00.000000Z",
            "metadata": {"plan": "pro"},
        })
    );
}

async fn a_service_key_is_taken_in_either_header(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let (_, text) = world.service_key(&["keys:verify"]).await;
    assert_eq!(world.holder(&text).code_of(&key.text).await, "VALID");
    assert_eq!(
        world.anonymous().bearer(&text).code_of(&key.text).await,
        "VALID"
    );
}

async fn what_is_no_key_is_not_found_and_nothing_else_is_said(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let changed = |at: usize| {
        let mut text = key.text.clone().into_bytes();
        text[at] = if text[at] == b'a' { b'b' } else { b'a' };
        String::from_utf8(text).unwrap()
    };
    // Well-formed with a right check, and never made: GitHub's construction is public.
    let made_up = "agpt_000000000000000000000000000000000000000000023kdsE";
    for junk in [
        "",
        " ",
        "\u{0}",
        "agpt_",
        "nonsense",
        "😀😀😀",
        &changed(6),
        &changed(40),
        &changed(53),
        &key.text[..53],
        &format!("{}a", key.text),
        &key.text.replace("agpt_", "kw_"),
        &key.text.to_uppercase(),
        made_up,
    ] {
        let decision = verifier.verify(json!({"key": junk})).await;
        assert_eq!(decision, not_found(), "{junk:?}");
    }
}

async fn a_key_is_not_found_in_another_keyspace(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let ask = async |keyspace: &str| {
        verifier
            .verify(json!({"key": key.text, "keyspace": keyspace}))
            .await
    };
    assert_eq!(ask("default").await, found("VALID", &key));
    for other in [
        "keywright",
        "nowhere",
        "",
        "DEFAULT",
        "default ",
        "no such name at all!",
    ] {
        assert_eq!(ask(other).await, not_found(), "{other}");
    }
}

async fn a_service_key_is_found_only_where_its_keyspace_is_named(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let (id, text) = world.service_key(&["keys:read"]).await;
    assert_eq!(verifier.verify(json!({"key": text})).await, not_found());
    assert_eq!(
        verifier
            .verify(json!({"key": text, "keyspace": "default"}))
            .await,
        not_found()
    );
    let asked = json!({"key": text, "keyspace": "keywright", "permissions": ["keys:read"]});
    let decision = verifier.verify(asked).await;
    assert_eq!(
        (&decision["code"], &decision["key_id"], &decision["user_id"]),
        (&json!("VALID"), &json!(id), &json!(""))
    );
}

async fn the_first_code_that_holds_is_answered(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let ada = world.user("ada");
    let expires_at = world.clock.later(Duration::from_secs(10));
    let key = ada
        .create(json!({"name": "a", "permissions": [], "expires_at": expires_at}))
        .await;
    let ask = async || {
        let decision = verifier
            .verify(json!({"key": key.text, "permissions": ["READ_GRAPH"]}))
            .await;
        decision["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask().await, "INSUFFICIENT_PERMISSIONS");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(ask().await, "EXPIRED");
    ada.act(&format!("{}/suspend", key.path())).await.ok();
    assert_eq!(ask().await, "SUSPENDED");
    ada.delete(&key.path()).await.ok();
    assert_eq!(ask().await, "REVOKED");
    let elsewhere = json!({"key": key.text, "keyspace": "keywright"});
    assert_eq!(verifier.verify(elsewhere).await, not_found());
}

async fn every_code_but_not_found_carries_every_field(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let ada = world.user("ada");
    let expires_at = world.clock.later(Duration::from_secs(10));
    let make = async |name: &str| {
        ada.create(json!({"name": name, "permissions": ["READ_BLOCK"], "expires_at": expires_at, "metadata": {"n": 1}})).await
    };
    let (valid, suspended, revoked) = (
        make("valid").await,
        make("suspended").await,
        make("revoked").await,
    );
    ada.act(&format!("{}/suspend", suspended.path())).await.ok();
    ada.delete(&revoked.path()).await.ok();
    let ask = async |key: &CreatedKey| {
        verifier
            .verify(json!({"key": key.text, "permissions": ["READ_BLOCK"]}))
            .await
    };
    assert_eq!(ask(&valid).await, found("VALID", &valid));
    assert_eq!(ask(&suspended).await, found("SUSPENDED", &suspended));
    assert_eq!(ask(&revoked).await, found("REVOKED", &revoked));
    let mut lacking = found("INSUFFICIENT_PERMISSIONS", &valid);
    lacking["missing_permissions"] = json!(["READ_GRAPH"]);
    let question = json!({"key": valid.text, "permissions": ["READ_GRAPH", "READ_BLOCK"]});
    assert_eq!(verifier.verify(question).await, lacking);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(ask(&valid).await, found("EXPIRED", &valid));
}

async fn missing_permissions_stand_in_the_order_asked(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &["READ_GRAPH"]).await;
    let asked = json!([
        "READ_BLOCK",
        "unheard-of",
        "READ_GRAPH",
        "EXECUTE_GRAPH",
        "",
        "no name!",
        "READ_BLOCK"
    ]);
    let decision = verifier(&world)
        .await
        .verify(json!({"key": key.text, "permissions": asked}))
        .await;
    assert_eq!(decision["code"], "INSUFFICIENT_PERMISSIONS");
    assert_eq!(
        decision["missing_permissions"],
        json!([
            "READ_BLOCK",
            "unheard-of",
            "EXECUTE_GRAPH",
            "",
            "no name!",
            "READ_BLOCK"
        ])
    );
}

async fn a_key_without_permissions_is_valid_where_none_is_asked_for(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let verifier = verifier(&world).await;
    let asked = json!({"key": key.text, "permissions": []});
    assert_eq!(verifier.verify(asked).await, found("VALID", &key));
    let null = json!({"key": key.text, "keyspace": null});
    assert_eq!(verifier.verify(null).await, found("VALID", &key));
}

async fn a_key_expires_at_the_microsecond(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let expires_at = world.clock.later(Duration::from_secs(1));
    let key = world
        .user("ada")
        .create(json!({"name": "a", "permissions": [], "expires_at": expires_at}))
        .await;
    world.clock.advance(Duration::from_micros(999_999));
    assert_eq!(verifier.code_of(&key.text).await, "VALID");
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(verifier.code_of(&key.text).await, "EXPIRED");
    let shown = world.user("ada").get(&key.path()).await.ok();
    assert_eq!(shown["status"], "ACTIVE", "status never says EXPIRED");
    // A later expiry takes it back into use.
    let later = world.clock.later(Duration::from_micros(1));
    world
        .user("ada")
        .patch(&key.path(), json!({"expires_at": later}))
        .await
        .ok();
    assert_eq!(verifier.code_of(&key.text).await, "VALID");
}

async fn a_key_of_512_characters_is_taken_and_one_more_is_not(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    for text in ["x".repeat(512), "😀".repeat(512)] {
        assert_eq!(verifier.verify(json!({"key": text})).await, not_found());
    }
    for text in ["x".repeat(513), "😀".repeat(513)] {
        let problem = verifier
            .post("/api/verify", json!({"key": text}))
            .await
            .refused(422, "validation_failed");
        assert_eq!(
            problem["errors"],
            json!([{"pointer": "/key", "detail": "may have 512 characters"}])
        );
    }
}

async fn a_key_text_is_taken_as_it_is(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let key = world.user("ada").create_key("a", &[]).await;
    for text in [
        format!(" {}", key.text),
        format!("{}\n", key.text),
        format!("Bearer {}", key.text),
    ] {
        assert_eq!(
            verifier.verify(json!({"key": text})).await,
            not_found(),
            "{text:?}"
        );
    }
}

async fn a_change_is_seen_by_the_next_verification(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &["READ_GRAPH"]).await;
    let ask = async || {
        let decision = verifier
            .verify(json!({"key": key.text, "permissions": ["READ_GRAPH"]}))
            .await;
        decision["code"].as_str().unwrap().to_owned()
    };
    let path = key.path();
    for _ in 0..3 {
        assert_eq!(ask().await, "VALID");
        ada.act(&format!("{path}/suspend")).await.ok();
        assert_eq!(ask().await, "SUSPENDED");
        ada.act(&format!("{path}/reactivate")).await.ok();
        assert_eq!(ask().await, "VALID");
        ada.put(&format!("{path}/permissions"), json!({"permissions": []}))
            .await
            .ok();
        assert_eq!(ask().await, "INSUFFICIENT_PERMISSIONS");
        ada.put(
            &format!("{path}/permissions"),
            json!({"permissions": ["READ_GRAPH"]}),
        )
        .await
        .ok();
    }
    ada.patch(&path, json!({"name": "b", "metadata": {"x": 1}}))
        .await
        .ok();
    let decision = verifier.verify(json!({"key": key.text})).await;
    assert_eq!(
        (&decision["name"], &decision["metadata"]),
        (&json!("b"), &json!({"x": 1}))
    );
    ada.delete(&path).await.ok();
    assert_eq!(ask().await, "REVOKED");
}

async fn a_permission_of_a_grown_catalogue_can_be_asked_for_at_once(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let key = world.user("ada").create_key("a", &["READ_BLOCK"]).await;
    let ask = async || {
        admin
            .verify(json!({"key": key.text, "permissions": ["NEW"]}))
            .await["code"]
            .clone()
    };
    assert_eq!(ask().await, "INSUFFICIENT_PERMISSIONS");
    admin
        .patch("/api/keyspaces/default", json!({"permissions": ["NEW"]}))
        .await
        .ok();
    assert_eq!(ask().await, "INSUFFICIENT_PERMISSIONS");
    world
        .user("ada")
        .put(
            &format!("{}/permissions", key.path()),
            json!({"permissions": ["NEW"]}),
        )
        .await
        .ok();
    assert_eq!(ask().await, "VALID");
}

async fn keys_of_several_keyspaces_are_verified_without_naming_them(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for (name, prefix) in [("live", "sk_live_"), ("test", "sk_test_")] {
        admin
            .post(
                "/api/keyspaces",
                json!({"name": name, "prefix": prefix, "permissions": ["charge"]}),
            )
            .await
            .ok();
        let key = admin
            .acting_for("ada")
            .create(json!({"name": name, "permissions": ["charge"], "keyspace": name}))
            .await;
        assert!(key.text.starts_with(prefix));
        assert_eq!(key.text.len(), prefix.len() + 49);
        assert_eq!(
            admin
                .verify(json!({"key": key.text, "permissions": ["charge"]}))
                .await,
            found("VALID", &key)
        );
    }
}

async fn what_a_question_may_not_hold_is_refused(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    for (question, pointer) in [
        (json!({}), "/key"),
        (json!({"key": 1}), "/key"),
        (json!({"key": null}), "/key"),
        (json!({"key": "a", "permission": []}), "/permission"),
        (
            json!({"key": "a", "permissions": "READ_GRAPH"}),
            "/permissions",
        ),
        (
            json!({"key": "a", "permissions": ["a", 1]}),
            "/permissions/1",
        ),
        (
            json!({"key": "a", "permissions": ["a", "\u{0}"]}),
            "/permissions/1",
        ),
        (json!({"key": "a", "keyspace": "\u{0}"}), "/keyspace"),
        (json!({"key": "a", "keyspace": 1}), "/keyspace"),
    ] {
        let problem = verifier
            .post("/api/verify", question)
            .await
            .refused(422, "validation_failed");
        assert_eq!(pointers(&problem), [pointer]);
    }
}

async fn a_batch_is_answered_in_its_order(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let (one, other) = (
        ada.create_key("one", &["READ_GRAPH"]).await,
        ada.create_key("other", &[]).await,
    );
    ada.delete(&other.path()).await.ok();
    let requests = json!([
        {"key": other.text},
        {"key": "junk"},
        {"key": one.text, "permissions": ["READ_BLOCK"]},
        {"key": one.text, "permissions": ["READ_GRAPH"]},
        {"key": one.text, "keyspace": "keywright"},
        {"key": other.text},
    ]);
    let answer = verifier(&world)
        .await
        .post("/api/verify/batch", json!({"requests": requests}))
        .await
        .ok();
    let mut lacking = found("INSUFFICIENT_PERMISSIONS", &one);
    lacking["missing_permissions"] = json!(["READ_BLOCK"]);
    assert_eq!(
        answer,
        json!({"results": [
            found("REVOKED", &other),
            not_found(),
            lacking,
            found("VALID", &one),
            not_found(),
            found("REVOKED", &other),
        ]})
    );
}

async fn a_batch_of_a_thousand_is_answered(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let requests: Vec<_> = (0..1000)
        .map(|n| json!({"key": if n % 2 == 0 { key.text.clone() } else { format!("junk {n}") }}))
        .collect();
    let answer = verifier(&world)
        .await
        .post("/api/verify/batch", json!({"requests": requests}))
        .await
        .ok();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 1000);
    for (n, result) in results.iter().enumerate() {
        let expected = if n % 2 == 0 { "VALID" } else { "NOT_FOUND" };
        assert_eq!(result["code"], expected, "{n}");
    }
}

async fn a_batch_holds_1_to_1000_questions(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    for count in [0, 1001] {
        let requests = vec![json!({"key": "a"}); count];
        let answer = verifier
            .post("/api/verify/batch", json!({"requests": requests}))
            .await;
        let problem = answer.refused(422, "validation_failed");
        let detail = format!("must hold 1 to 1000 questions, and holds {count}");
        assert_eq!(
            problem["errors"],
            json!([{"pointer": "/requests", "detail": detail}])
        );
    }
}

async fn every_refused_question_of_a_batch_is_told(store: Kind) {
    let world = World::on(store).await;
    let long = "x".repeat(513);
    let requests = json!([{"key": long}, {"key": "a"}, {"key": "a", "permissions": ["a", "\u{0}"], "keyspace": "\u{0}"}]);
    let answer = verifier(&world)
        .await
        .post("/api/verify/batch", json!({"requests": requests}))
        .await;
    let problem = answer.refused(422, "validation_failed");
    assert_eq!(
        pointers(&problem),
        [
            "/requests/0/key",
            "/requests/2/permissions/1",
            "/requests/2/keyspace"
        ]
    );
    let answer = verifier(&world)
        .await
        .post(
            "/api/verify/batch",
            json!({"requests": [{"key": "a", "keyspce": "a"}]}),
        )
        .await;
    assert_eq!(
        pointers(&answer.refused(422, "validation_failed")),
        ["/requests/0/keyspce"]
    );
}

async fn a_batch_may_have_a_mebibyte(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let of_size = |bytes: usize| {
        let mut body = json!({"requests": [{"key": "a"}]}).to_string();
        body.push_str(&" ".repeat(bytes - body.len()));
        body.into_bytes()
    };
    let send = async |path: &str, bytes: usize| {
        verifier
            .send(reqwest::Method::POST, path, Some(of_size(bytes)))
            .await
    };
    assert_eq!(send("/api/verify/batch", 1024 * 1024).await.status, 200);
    let problem = send("/api/verify/batch", 1024 * 1024 + 1)
        .await
        .refused(413, "payload_too_large");
    assert_eq!(
        problem["detail"],
        "the body of this request may have 1048576 bytes"
    );
    let problem = send("/api/verify", 64 * 1024 + 1)
        .await
        .refused(413, "payload_too_large");
    assert_eq!(
        problem["detail"],
        "the body of this request may have 65536 bytes"
    );
    send("/api/verify", 64 * 1024)
        .await
        .refused(422, "validation_failed");
}

async fn keys_that_share_their_prefix_all_verify(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    // With a prefix of eight characters nothing of the secret is in what is shown: all keys look alike.
    admin
        .post(
            "/api/keyspaces",
            json!({"name": "alike", "prefix": "alike_0_"}),
        )
        .await
        .ok();
    let ada = admin.acting_for("ada");
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(
            ada.create(json!({"name": "a", "permissions": [], "keyspace": "alike"}))
                .await,
        );
    }
    for key in &keys {
        assert_eq!(key.key["prefix"], "alike_0_");
        assert_eq!(
            admin.verify(json!({"key": key.text})).await,
            found("VALID", key)
        );
    }
}

async fn of_many_refused_questions_twenty_are_told(store: Kind) {
    let world = World::on(store).await;
    let verifier = verifier(&world).await;
    let nuls =
        json!({"requests": vec![json!({"key": "a", "permissions": vec!["\u{0}"; 100]}); 1000]});
    assert!(nuls.to_string().len() < 1024 * 1024);
    let long = json!({"requests": vec![json!({"key": "x".repeat(513)}); 1000]});
    for batch in [nuls, long] {
        let answer = verifier.post("/api/verify/batch", batch).await;
        let problem = answer.refused(422, "validation_failed");
        assert_eq!(pointers(&problem).len(), 20);
    }
}
