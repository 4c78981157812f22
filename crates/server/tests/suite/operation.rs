//! How the server is run: health, metrics, last uses, and an end that loses nothing.

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use keywright_core::ambient::Clock;
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::lifecycle::Status;
use keywright_server::Stopped;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{Connection, Fault, Kind, Token, World, eventually, on_both_stores};

on_both_stores![
    a_running_server_is_live_and_ready,
    metrics_tell_decisions_by_code_and_keyspace,
    metrics_tell_requests_by_route_and_status,
    metrics_name_nothing_that_strangers_send,
    metrics_may_have_a_listener_of_their_own,
    a_use_is_written_down_after_a_while,
    a_use_is_noted_where_a_key_was_good_and_nowhere_else,
    a_use_is_no_change_of_the_key,
    uses_that_could_not_be_written_are_written_later,
    a_stop_finishes_what_has_begun,
    a_stop_writes_the_last_uses,
    a_stop_cuts_off_what_takes_too_long,
    a_stop_waits_for_nobody_who_asks_nothing,
    a_client_that_reads_nothing_is_cut_off,
    a_stop_waits_for_nobody_who_reads_nothing,
    a_stop_loses_none_of_many_uses,
    a_part_that_ends_by_itself_is_told,
];

const STOPPED_WELL: Stopped = Stopped {
    cut_off: 0,
    uses_written: true,
};

async fn a_running_server_is_live_and_ready(store: Kind) {
    let world = World::on(store).await;
    let anonymous = world.anonymous();
    assert_eq!(
        anonymous.get("/health/live").await.ok(),
        json!({"status": "live"})
    );
    assert_eq!(
        anonymous.get("/health/ready").await.ok(),
        json!({"status": "ready"})
    );
    world.database_suffers(Fault::Down);
    let problem = anonymous
        .get("/health/ready")
        .await
        .refused(503, "unavailable");
    assert_eq!(
        problem["detail"],
        "the database does not answer now; try again"
    );
    anonymous.get("/health/live").await.ok();
}

/// What a metric says now; zero where it is not there yet.
async fn metric(world: &World, name: &str, labels: &[&str]) -> f64 {
    let text = world.anonymous().get("/metrics").await.body;
    text.lines()
        .filter(|line| {
            line.starts_with(&format!("{name}{{"))
                && labels.iter().all(|label| line.contains(label))
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// A keyspace that no other test of this process has: its servers share one registry of metrics.
async fn own_keyspace(world: &World, store: Kind, purpose: &str) -> String {
    let name = format!("{purpose}-{store:?}").to_lowercase();
    let prefix = format!("{}_", name.replace('-', ""));
    let wanted = json!({"name": name, "prefix": &prefix[prefix.len().saturating_sub(16)..], "self_service": true});
    world
        .admin()
        .await
        .post("/api/keyspaces", wanted)
        .await
        .ok();
    name
}

async fn metrics_tell_decisions_by_code_and_keyspace(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let keyspace = own_keyspace(&world, store, "m").await;
    let ada = world.user("ada");
    let key = ada
        .create(json!({"name": "a", "permissions": [], "keyspace": keyspace}))
        .await;
    let label = format!("keyspace=\"{keyspace}\"");
    let counted = async |code: &str| {
        metric(
            &world,
            "keywright_decisions_total",
            &[&label, &format!("code=\"{code}\"")],
        )
        .await
    };
    for _ in 0..3 {
        admin.code_of(&key.text).await;
    }
    admin
        .verify(json!({"key": key.text, "permissions": ["x"]}))
        .await;
    ada.delete(&key.path()).await.ok();
    admin.code_of(&key.text).await;
    assert!((counted("VALID").await - 3.0).abs() < 0.1);
    assert!((counted("INSUFFICIENT_PERMISSIONS").await - 1.0).abs() < 0.1);
    assert!((counted("REVOKED").await - 1.0).abs() < 0.1);
    assert!(counted("SUSPENDED").await.abs() < 0.1);
}

async fn metrics_tell_requests_by_route_and_status(store: Kind) {
    let world = World::on(store).await;
    // A status that no other test makes on this route in this process, but for the other store's run of this one.
    let labels = [
        "route=\"/api/users/{id}/api-keys\"",
        "method=\"GET\"",
        "status=\"400\"",
    ];
    let before = metric(&world, "keywright_http_requests_total", &labels).await;
    world
        .user("ada")
        .with("x-api-key", "a")
        .get("/api/users/ada/api-keys")
        .await
        .refused(400, "conflicting_credentials");
    assert!(metric(&world, "keywright_http_requests_total", &labels).await > before);
    world.user("ada").create_key("a", &[]).await;
    let answer = world.anonymous().get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let kind = match store {
        Kind::Sqlite => "sqlite",
        Kind::Postgres => "postgres",
    };
    for expected in [
        "# TYPE keywright_http_requests_total counter".to_owned(),
        "# TYPE keywright_http_request_seconds histogram".to_owned(),
        "# TYPE keywright_store_seconds histogram".to_owned(),
        format!("keywright_store_seconds_count{{store=\"{kind}\",operation=\"create_key\"}}"),
        "keywright_store_connections{state=\"open\"}".to_owned(),
        "keywright_store_connections{state=\"idle\"}".to_owned(),
    ] {
        let found = answer.body.lines().any(|line| line.starts_with(&expected));
        assert!(found, "{expected} in {}", answer.body);
    }
    world
        .holder("junk")
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
    let text = world.anonymous().get("/metrics").await.body;
    assert!(
        text.contains("keywright_failed_authentications_total"),
        "{text}"
    );
}

async fn metrics_name_nothing_that_strangers_send(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let key = world.user("stranger-7").create_key("a", &[]).await;
    admin
        .verify(json!({"key": key.text, "keyspace": "made-up-keyspace"}))
        .await;
    admin
        .verify(json!({"key": "made-up-key", "keyspace": "made-up-keyspace"}))
        .await;
    world
        .anonymous()
        .get("/made-up-path")
        .await
        .refused(404, "not_found");
    world
        .anonymous()
        .send("MADEUP".parse().unwrap(), "/api/verify", None)
        .await
        .refused(405, "method_not_allowed");
    let text = world.anonymous().get("/metrics").await.body;
    for secret in ["made-up", "MADEUP", "stranger-7", &key.id, &key.text[..16]] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("route=\"(none)\""));
}

async fn metrics_may_have_a_listener_of_their_own(store: Kind) {
    let mut world = World::with_metrics_apart(store).await;
    world
        .anonymous()
        .get("/metrics")
        .await
        .refused(404, "not_found");
    let apart = world.anonymous_at(world.metrics.unwrap());
    let answer = apart.get("/metrics").await;
    assert_eq!(answer.status, 200);
    for path in ["/api/keyspaces", "/health/live", "/openapi.json", "/docs/"] {
        apart.get(path).await.refused(404, "not_found");
    }
    assert_eq!(world.stop().await, STOPPED_WELL);
}

async fn a_use_is_written_down_after_a_while(store: Kind) {
    let world = World::with(store, |settings| {
        settings.use_flush_interval = Duration::from_millis(5);
    })
    .await;
    let (ada, admin) = (world.user("ada"), world.admin().await);
    let key = ada.create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let used_at = json!(world.clock.text());
        assert_eq!(admin.code_of(&key.text).await, "VALID");
        eventually(async || {
            (ada.get(&key.path()).await.ok()["last_used_at"] == used_at).then_some(())
        })
        .await;
        world.clock.advance(Duration::from_secs(1));
    }
}

/// When a key was used last, once everything that waited is written.
async fn last_use_after_stop(world: &mut World, key: &str) -> Option<String> {
    assert_eq!(world.stop().await, STOPPED_WELL);
    let id = KeyId(key.parse().unwrap());
    let reopened = world.reopen().await;
    let found = reopened.find_key(id).await.unwrap().unwrap();
    reopened.close().await;
    found.key.last_used_at.map(|at| at.to_string())
}

async fn a_use_is_noted_where_a_key_was_good_and_nowhere_else(store: Kind) {
    let mut world = World::on(store).await;
    let (ada, admin) = (world.user("ada"), world.admin().await);
    let key = ada.create_key("a", &[]).await;
    let used_at = world.clock.text();
    world.holder(&key.text).get("/api/whoami").await.ok();
    world.clock.advance(Duration::from_secs(1));
    admin
        .verify(json!({"key": key.text, "permissions": ["READ_GRAPH"]}))
        .await;
    admin
        .verify(json!({"key": key.text, "keyspace": "keywright"}))
        .await;
    ada.act(&format!("{}/suspend", key.path())).await.ok();
    assert_eq!(admin.code_of(&key.text).await, "SUSPENDED");
    world
        .holder(&key.text)
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
    world.holder(&key.text).delete("/api/whoami").await.ok();
    assert_eq!(
        last_use_after_stop(&mut world, &key.id).await,
        Some(used_at)
    );
}

async fn a_use_is_no_change_of_the_key(store: Kind) {
    let world = World::with(store, |settings| {
        settings.use_flush_interval = Duration::from_millis(5);
    })
    .await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    world.holder(&key.text).get("/api/whoami").await.ok();
    let used = eventually(async || {
        let shown = ada.get(&key.path()).await.ok();
        (shown["last_used_at"] != Value::Null).then_some(shown)
    })
    .await;
    let mut expected = key.key.clone();
    expected["last_used_at"] = world.clock.text().into();
    assert_eq!(used, expected);
    // A change keeps it.
    let revoked = ada.delete(&key.path()).await.ok();
    assert_eq!(revoked["last_used_at"], expected["last_used_at"]);
}

async fn uses_that_could_not_be_written_are_written_later(store: Kind) {
    let world = World::with(store, |settings| {
        settings.use_flush_interval = Duration::from_millis(5);
    })
    .await;
    let (ada, admin) = (world.user("ada"), world.admin().await);
    let key = ada.create_key("a", &[]).await;
    let failures = world.store.failed_writes();
    world.database_suffers(Fault::ReadOnly);
    assert_eq!(admin.code_of(&key.text).await, "VALID");
    eventually(async || (world.store.failed_writes() > failures + 2).then_some(())).await;
    assert_eq!(ada.get(&key.path()).await.ok()["last_used_at"], Value::Null);
    world.database_suffers(Fault::None);
    eventually(async || {
        (ada.get(&key.path()).await.ok()["last_used_at"] != Value::Null).then_some(())
    })
    .await;
}

async fn a_stop_finishes_what_has_begun(store: Kind) {
    let mut world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    world.store.hold();
    let path = key.path();
    let begun = tokio::spawn(async move { ada.delete(&path).await });
    world.store.arrived.acquire().await.unwrap().forget();
    let stopping = tokio::spawn(world.take_server().stop());
    let address = world.address;
    eventually(async || TcpStream::connect(address).await.is_err().then_some(())).await;
    assert!(!begun.is_finished() && !stopping.is_finished());
    world.store.release();
    assert_eq!(begun.await.unwrap().ok()["status"], "REVOKED");
    assert_eq!(stopping.await.unwrap(), STOPPED_WELL);
    let reopened = world.reopen().await;
    let found = reopened
        .find_key(KeyId(key.id.parse().unwrap()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.key.lifecycle.status(), Status::Revoked);
    reopened.close().await;
}

async fn a_stop_writes_the_last_uses(store: Kind) {
    let mut world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.admin().await.code_of(&key.text).await, "VALID");
    let used_at = world.clock.now().to_string();
    assert_eq!(
        last_use_after_stop(&mut world, &key.id).await,
        Some(used_at)
    );
}

async fn a_stop_cuts_off_what_takes_too_long(store: Kind) {
    let mut world = World::with(store, |settings| {
        settings.stop_timeout = Duration::from_millis(50);
    })
    .await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    world.store.hold();
    let mut connection = world.connect().await;
    let token = Token::of("ada").signed();
    connection
        .write(format!(
            "DELETE {} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n",
            key.path()
        ))
        .await;
    world.store.arrived.acquire().await.unwrap().forget();
    assert_eq!(
        world.stop().await,
        Stopped {
            cut_off: 1,
            uses_written: true
        }
    );
    assert_eq!(connection.until_closed().await, b"");
}

async fn a_stop_waits_for_nobody_who_asks_nothing(store: Kind) {
    let mut world = World::on(store).await;
    let mut silent = world.connect().await;
    let mut done = world.connect().await;
    done.write("GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(done.answer().await.status, 200);
    let stopped = tokio::time::timeout(Duration::from_secs(5), world.stop()).await;
    assert_eq!(stopped.expect("nobody is waited for"), STOPPED_WELL);
    let rest: [&mut Connection; 2] = [&mut silent, &mut done];
    for connection in rest {
        assert_eq!(connection.until_closed().await, b"");
    }
}

/// How many answers a stalled connection asks for.
const ASKED: usize = 20;

/// A connection that asks for many megabytes and reads none of them, once the first have come.
async fn stalled(world: &World) -> Connection {
    let mut connection = Connection::with_little_room(world.address).await;
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: a\r\n\r\n";
    connection.write(request.repeat(ASKED)).await;
    connection.something_came().await;
    connection
}

async fn a_client_that_reads_nothing_is_cut_off(store: Kind) {
    let world = World::with(store, |settings| {
        settings.write_timeout = Duration::from_millis(200);
        settings.max_connections = 1;
    })
    .await;
    let mut stalled = stalled(&world).await;
    // Its place is free for the next one, who is answered within the clients' 30 seconds.
    let page = world.anonymous().get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(page.status, 200);
    let came = stalled.until_closed().await.len();
    assert!(came < ASKED * page.body.len(), "{came} bytes came");
}

async fn a_stop_waits_for_nobody_who_reads_nothing(store: Kind) {
    let mut world = World::with(store, |settings| {
        settings.write_timeout = Duration::from_millis(200);
    })
    .await;
    let _stalled = stalled(&world).await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), world.stop()).await;
    assert_eq!(stopped.expect("nobody is waited for"), STOPPED_WELL);
}

async fn a_stop_loses_none_of_many_uses(store: Kind) {
    let mut world = World::with(store, |settings| {
        settings.use_flush_interval = Duration::from_millis(1);
    })
    .await;
    let (ada, admin) = (world.user("ada"), world.admin().await);
    let create = |number: usize| {
        let ada = ada.clone();
        async move { ada.create_key(&number.to_string(), &[]).await.text }
    };
    let texts: Vec<_> = stream::iter((0..1100).map(create))
        .buffered(8)
        .collect()
        .await;
    // All of them wait at once: while the database takes no changes, none is written.
    world.database_suffers(Fault::ReadOnly);
    for texts in texts.chunks(1000) {
        let questions: Vec<_> = texts.iter().map(|text| json!({"key": text})).collect();
        let answer = admin
            .post("/api/verify/batch", json!({"requests": questions}))
            .await
            .ok();
        for decision in answer["results"].as_array().unwrap() {
            assert_eq!(decision["code"], "VALID");
        }
    }
    world.database_suffers(Fault::None);
    // The flusher, which wakes every millisecond, is interrupted at whatever it is doing.
    assert_eq!(world.stop().await, STOPPED_WELL);
    let used_at = world.clock.now();
    let reopened = world.reopen().await;
    for text in &texts {
        let digest = Digest::of(text);
        let found = reopened.find_key_by_digest(&digest).await.unwrap().unwrap();
        assert_eq!(found.key.last_used_at, Some(used_at));
    }
    reopened.close().await;
}

async fn a_part_that_ends_by_itself_is_told(store: Kind) {
    let mut world = World::with(store, |settings| {
        settings.use_flush_interval = Duration::from_millis(5);
    })
    .await;
    let verifier = world.service(&["keys:verify"]).await;
    let mut server = world.take_server();
    assert_eq!(server.failed().now_or_never(), None);
    // A request that panics ends alone; the task that writes uses has nobody to answer. It has something to write when
    // it comes between a request and the one after it, which takes a few at most.
    let meets_a_use = async {
        loop {
            world.database_suffers(Fault::None);
            verifier.post("/api/verify", json!({"key": "x"})).await;
            world.database_suffers(Fault::Panic);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = async {
        tokio::select! {
            () = server.failed() => {}
            () = meets_a_use => {}
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), told);
    told.await.expect("it is told");
}
