//! Who did what (CONTRACT §4.4).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Kind, World, on_both_stores, pointers};

on_both_stores![
    a_creation_is_recorded_with_who_and_from_where,
    every_change_of_a_key_is_recorded_once_with_what_changed,
    changes_of_keyspaces_and_users_are_recorded,
    what_changes_nothing_is_not_recorded,
    what_is_refused_is_not_recorded,
    a_service_key_is_recorded_as_the_actor,
    a_holder_is_recorded_as_the_owner,
    a_proxy_that_is_trusted_names_the_address,
    the_log_can_be_filtered,
    filters_that_cannot_be_are_refused_all_at_once,
    following_the_links_gives_the_whole_log,
    a_stream_gives_every_entry_one_a_line,
    a_stream_that_breaks_off_has_no_end,
    a_stream_takes_filters_and_no_limit,
    a_long_name_of_a_program_is_cut,
    the_log_shows_no_secret,
];

/// The entries, newest first, without those of the service keys that the world itself makes.
async fn entries(world: &World, query: &str) -> Vec<Value> {
    let auditor = world.admin().await;
    let mut entries = auditor.whole_list(&format!("/api/audit?{query}")).await;
    entries.retain(|entry| entry["actor"]["kind"] != "command_line");
    entries
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect()
}

async fn a_creation_is_recorded_with_who_and_from_where(store: Kind) {
    let world = World::on(store).await;
    let wanted = json!({"name": "a", "permissions": ["READ_GRAPH"], "description": "d", "metadata": {"a": 1}, "expires_at": "2027-01-01T00:00:00Z"});
    let key = world
        .user("ada")
        .with("x-request-id", "req-1")
        .create(wanted)
        .await;
    let recorded = entries(&world, "").await;
    assert_eq!(
        recorded,
        [json!({
            "id": recorded[0]["id"],
            "at": "2026-11-22T09:00:00.000000Z",
            "actor": {"kind": "user", "id": "ada"},
            "action": "api_key.created",
            "key_id": key.id,
            "user_id": "ada",
            "keyspace": "default",
            "before": null,
            "after": {
                "name": "a",
                "description": "d",
                "prefix": key.key["prefix"],
                "postfix": key.key["postfix"],
                "status": "ACTIVE",
                "permissions": ["READ_GRAPH"],
                "expires_at": "2027-01-01T00:00:00.000000Z",
                "suspended_at": null,
                "revoked_at": null,
                "metadata": {"a": 1},
            },
            "ip": "127.0.0.1",
            "user_agent": "keywright-suite/1",
            "request_id": "req-1",
        })]
    );
    assert_eq!(
        &recorded[0]["id"].as_str().unwrap()[14..15],
        "7",
        "a UUIDv7"
    );
}

async fn every_change_of_a_key_is_recorded_once_with_what_changed(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &["READ_GRAPH"]).await;
    let path = key.path();
    let mut expected = Vec::new();
    let mut happened = |action: &str, before: Value, after: Value| {
        expected.insert(0, (action.to_owned(), before, after));
        world.clock.advance(Duration::from_secs(1));
        world.clock.text()
    };
    let at = happened("api_key.created", Value::Null, Value::Null);
    ada.act(&format!("{path}/suspend")).await.ok();
    let _ = happened(
        "api_key.suspended",
        json!({"status": "ACTIVE", "suspended_at": null}),
        json!({"status": "SUSPENDED", "suspended_at": at}),
    );
    ada.act(&format!("{path}/reactivate")).await.ok();
    let _ = happened(
        "api_key.reactivated",
        json!({"status": "SUSPENDED", "suspended_at": at}),
        json!({"status": "ACTIVE", "suspended_at": null}),
    );
    ada.put(&format!("{path}/permissions"), json!({"permissions": []}))
        .await
        .ok();
    let _ = happened(
        "api_key.permissions_replaced",
        json!({"permissions": ["READ_GRAPH"]}),
        json!({"permissions": []}),
    );
    ada.patch(
        &path,
        json!({"name": "b", "metadata": {"x": 1}, "expires_at": "2027-01-01T00:00:00Z"}),
    )
    .await
    .ok();
    let at = happened(
        "api_key.updated",
        json!({"name": "a", "metadata": {}, "expires_at": null}),
        json!({"name": "b", "metadata": {"x": 1}, "expires_at": "2027-01-01T00:00:00.000000Z"}),
    );
    ada.delete(&path).await.ok();
    happened(
        "api_key.revoked",
        json!({"status": "ACTIVE", "revoked_at": null}),
        json!({"status": "REVOKED", "revoked_at": at}),
    );

    let recorded = entries(&world, &format!("key_id={}", key.id)).await;
    let found: Vec<_> = recorded
        .iter()
        .map(|entry| {
            (
                entry["action"].as_str().unwrap().to_owned(),
                entry["before"].clone(),
                entry["after"].clone(),
            )
        })
        .collect();
    assert_eq!(found[..5], expected[..5]);
    assert_eq!((found.len(), &*found[5].0), (6, "api_key.created"));
}

async fn changes_of_keyspaces_and_users_are_recorded(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    world.user("ada").create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    admin
        .post(
            "/api/keyspaces",
            json!({"name": "live", "prefix": "sk_live_", "permissions": ["a"]}),
        )
        .await
        .ok();
    world.clock.advance(Duration::from_secs(1));
    admin
        .patch(
            "/api/keyspaces/live",
            json!({"self_service": true, "permissions": ["b"]}),
        )
        .await
        .ok();
    world.clock.advance(Duration::from_secs(1));
    admin.delete("/api/users/ada").await;

    let recorded = entries(&world, "").await;
    let about = |entry: &Value| {
        json!([
            entry["action"],
            entry["key_id"],
            entry["user_id"],
            entry["keyspace"],
            entry["before"],
            entry["after"]
        ])
    };
    let (a, b) = (
        json!({"name": "a", "description": null}),
        json!({"name": "b", "description": null}),
    );
    assert_eq!(
        recorded[..3].iter().map(about).collect::<Vec<_>>(),
        [
            json!(["user.deleted", null, "ada", null, {"api_keys": 1, "created_at": "2026-11-22T09:00:00.000000Z"}, null]),
            json!(["keyspace.updated", null, null, "live", {"self_service": false, "permissions": [a]}, {"self_service": true, "permissions": [a, b]}]),
            json!(["keyspace.created", null, null, "live", null, {"prefix": "sk_live_", "description": null, "self_service": false, "permissions": [a]}]),
        ]
    );
    assert_eq!(
        actions(&recorded[3..]),
        ["api_key.created"],
        "what was recorded of the user stays"
    );
}

async fn what_changes_nothing_is_not_recorded(store: Kind) {
    let world = World::on(store).await;
    let (admin, ada) = (world.admin().await, world.user("ada"));
    let key = ada.create_key("a", &[]).await;
    let path = key.path();
    ada.act(&format!("{path}/reactivate")).await.ok();
    ada.patch(&path, json!({"name": "a"})).await.ok();
    ada.put(&format!("{path}/permissions"), json!({"permissions": []}))
        .await
        .ok();
    admin
        .patch("/api/keyspaces/default", json!({"self_service": true}))
        .await
        .ok();
    ada.delete(&path).await.ok();
    ada.delete(&path).await.ok();
    world.holder(&key.text).delete("/api/whoami").await.ok();
    admin.verify(json!({"key": key.text})).await;
    let mut found = actions(&entries(&world, "").await).join(" ");
    found.retain(|c| c != '\n');
    assert!(
        found == "api_key.revoked api_key.created" || found == "api_key.created api_key.revoked",
        "{found}"
    );
}

async fn what_is_refused_is_not_recorded(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    world
        .user("eve")
        .delete(&key.path())
        .await
        .refused(404, "not_found");
    ada.patch(&key.path(), json!({"name": ""}))
        .await
        .refused(422, "validation_failed");
    ada.post(
        "/api/api-keys",
        json!({"name": "a", "permissions": [], "keyspace": "keywright"}),
    )
    .await
    .refused(403, "service_key_required");
    world
        .admin()
        .await
        .delete("/api/users/nobody")
        .await
        .refused(404, "not_found");
    assert_eq!(actions(&entries(&world, "").await), ["api_key.created"]);
}

async fn a_service_key_is_recorded_as_the_actor(store: Kind) {
    let world = World::on(store).await;
    let (id, text) = world.service_key(&["keys:write"]).await;
    let back_end = world.anonymous().bearer(&text);
    let key = back_end.acting_for("ada").create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    back_end.delete(&key.path()).await.ok();
    for entry in entries(&world, "user_id=ada").await {
        assert_eq!(entry["actor"], json!({"kind": "service_key", "id": id}));
        assert_eq!(entry["user_id"], "ada");
    }
    let (doomed, text) = world.service_key(&[]).await;
    world.holder(&text).delete("/api/whoami").await.ok();
    let recorded = entries(&world, &format!("key_id={doomed}")).await;
    assert_eq!(
        recorded[0]["actor"],
        json!({"kind": "service_key", "id": doomed})
    );
    assert_eq!(
        (&recorded[0]["user_id"], &recorded[0]["keyspace"]),
        (&json!(""), &json!("keywright"))
    );
}

async fn a_holder_is_recorded_as_the_owner(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    world.holder(&key.text).delete("/api/whoami").await.ok();
    let recorded = entries(&world, "action=api_key.revoked").await;
    assert_eq!(recorded[0]["actor"], json!({"kind": "user", "id": "ada"}));
}

async fn a_proxy_that_is_trusted_names_the_address(store: Kind) {
    let proxied = async |trusted: bool, forwarded: &str| {
        let world = World::with(store, |settings| {
            if trusted {
                settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            }
        })
        .await;
        world
            .user("ada")
            .with("x-forwarded-for", forwarded)
            .create_key("a", &[])
            .await;
        entries(&world, "").await[0]["ip"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        proxied(true, "203.0.113.9, 198.51.100.7").await,
        "198.51.100.7"
    );
    assert_eq!(proxied(true, "2001:db8::7").await, "2001:db8::7");
    assert_eq!(proxied(false, "198.51.100.7").await, "127.0.0.1");
}

/// Entries of two users and a service key, a second apart.
async fn some_history(world: &World) -> (String, String) {
    let ada = world.user("ada").create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    world.user("bob").create_key("b", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    let (id, text) = world.service_key(&["keys:write"]).await;
    world
        .anonymous()
        .bearer(&text)
        .act(&format!("{}/suspend", ada.path()))
        .await
        .ok();
    (ada.id, id)
}

async fn the_log_can_be_filtered(store: Kind) {
    let world = World::on(store).await;
    let (key, service) = some_history(&world).await;
    let found = async |query: &str| actions(&entries(&world, query).await).join(" ");
    let (created, suspended) = ("api_key.created", "api_key.suspended");
    assert_eq!(
        found(&format!("key_id={key}")).await,
        format!("{suspended} {created}")
    );
    assert_eq!(
        found("key_id=00000000-0000-7000-8000-000000000000").await,
        ""
    );
    assert_eq!(found("user_id=bob").await, created);
    assert_eq!(found("user_id=ada").await, format!("{suspended} {created}"));
    assert_eq!(found("actor=user").await, format!("{created} {created}"));
    assert_eq!(found("actor=ada").await, created);
    assert_eq!(found("actor=user:bob").await, created);
    assert_eq!(found("actor=service_key:bob").await, "");
    assert_eq!(found(&format!("actor={service}")).await, suspended);
    assert_eq!(
        found(&format!("actor=service_key:{service}")).await,
        suspended
    );
    assert_eq!(found("action=api_key.suspended").await, suspended);
    assert_eq!(found("action=user.deleted").await, "");
    // From a moment on, and before a moment.
    assert_eq!(
        found("from=2026-11-22T09:00:01Z").await,
        format!("{suspended} {created}")
    );
    assert_eq!(found("to=2026-11-22T09:00:01Z").await, created);
    assert_eq!(
        found("from=2026-11-22T09:00:01Z&to=2026-11-22T09:00:01.000001Z").await,
        created
    );
    assert_eq!(found("from=2026-11-22T10:00:02%2B01:00").await, suspended);
    assert_eq!(
        found("user_id=ada&actor=user&action=api_key.created").await,
        created
    );
}

async fn filters_that_cannot_be_are_refused_all_at_once(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let answer = admin
        .get("/api/audit?key_id=1&user_id=&actor=%00&action=x&from=a&to=b&limit=0&cursor=c")
        .await;
    let problem = answer.refused(422, "validation_failed");
    let all = [
        "?key_id", "?user_id", "?actor", "?action", "?from", "?to", "?limit", "?cursor",
    ];
    assert_eq!(pointers(&problem), all);
    admin
        .get("/api/audit?key=1")
        .await
        .refused(422, "validation_failed");
}

/// More entries than a page holds.
pub(crate) async fn long_history(world: &World) {
    let ada = world.user("ada");
    for _ in 0..11 {
        let some = (0..50).map(|_| ada.create_key("a", &[]));
        futures::future::join_all(some).await;
        world.clock.advance(Duration::from_micros(1));
    }
}

async fn following_the_links_gives_the_whole_log(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    some_history(&world).await;
    let whole = admin.get("/api/audit").await.ok();
    let places: Vec<_> = whole
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["at"].as_str().unwrap(), entry["id"].as_str().unwrap()))
        .collect();
    assert!(places.is_sorted_by(|a, b| a > b), "{places:?}");
    for limit in 1..=6 {
        let listed = admin.whole_list(&format!("/api/audit?limit={limit}")).await;
        assert_eq!(json!(listed), whole, "limit {limit}");
    }
    let next = admin
        .get("/api/audit?limit=1&actor=user&from=2026-01-01T00:00:00%2B00:00")
        .await
        .next_page()
        .unwrap();
    assert!(
        next.starts_with(
            "/api/audit?actor=user&from=2026-01-01T00%3A00%3A00%2B00%3A00&limit=1&cursor="
        ),
        "{next}"
    );
    assert_eq!(admin.get(&next).await.ok()[0]["actor"]["id"], "ada");
}

fn streaming(client: &Client) -> Client {
    client.with("accept", "application/x-ndjson")
}

fn lines(body: &str) -> Vec<Value> {
    assert!(body.is_empty() || body.ends_with('\n'));
    body.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn a_stream_gives_every_entry_one_a_line(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    long_history(&world).await;
    let answer = streaming(&admin).get("/api/audit").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/x-ndjson"))
    );
    assert_eq!(
        (answer.header("link"), answer.header("content-length")),
        (None, None)
    );
    let pages = admin.pages("/api/audit").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [500, 51]);
    assert_eq!(lines(&answer.body), pages.concat());
}

async fn a_stream_that_breaks_off_has_no_end(store: Kind) {
    let world = World::on(store).await;
    let (_, auditor) = world.service_key(&["audit:read"]).await;
    long_history(&world).await;
    world.store.go_down_after_pages(1);
    let mut connection = world.connect().await;
    connection
        .write(format!(
            "GET /api/audit HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {auditor}\r\naccept: application/x-ndjson\r\n\r\n"
        ))
        .await;
    let answer = String::from_utf8(connection.until_closed().await).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        &answer[..100]
    );
    assert_eq!(
        answer.matches("\"action\":\"api_key.created\"").count(),
        500
    );
    assert!(
        !answer.ends_with("0\r\n\r\n"),
        "a chunked body ends with an empty chunk"
    );
}

async fn a_stream_takes_filters_and_no_limit(store: Kind) {
    let world = World::on(store).await;
    let admin = streaming(&world.admin().await);
    some_history(&world).await;
    let answer = admin.get("/api/audit?actor=user:ada").await;
    assert_eq!(lines(&answer.body).len(), 1);
    assert_eq!(admin.get("/api/audit?actor=nobody").await.body, "");
    let problem = admin
        .get("/api/audit?limit=1")
        .await
        .refused(422, "validation_failed");
    let detail = "is not taken with Accept: application/x-ndjson, which streams all";
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "?limit", "detail": detail}])
    );
    let either = world
        .admin()
        .await
        .with("accept", "text/html, Application/X-NDJSON;q=0.9");
    assert_eq!(
        either.get("/api/audit").await.header("content-type"),
        Some("application/x-ndjson")
    );
}

async fn a_long_name_of_a_program_is_cut(store: Kind) {
    let world = World::on(store).await;
    let long = "x".repeat(1000);
    // The tests' client has a name already; a header of the request itself takes its place.
    world
        .user("ada")
        .with("user-agent", &long)
        .create_key("a", &[])
        .await;
    assert_eq!(entries(&world, "").await[0]["user_agent"], "x".repeat(256));
}

async fn the_log_shows_no_secret(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    world
        .holder(&key.text)
        .with("x-request-id", &key.text)
        .with("user-agent", "b")
        .delete("/api/whoami")
        .await
        .ok();
    let log = world.admin().await.get("/api/audit").await;
    assert!(!log.body.contains(&key.text[8..24]), "{}", log.body);
}
