//! What goes wrong is told in one form, and says what to do (CONTRACT §4.5).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Fault, Kind, Token, World, eventually, on_both_stores, operations, pointers,
};

on_both_stores![
    a_body_that_is_no_json_is_malformed,
    a_body_of_another_shape_is_pointed_at,
    a_misspelt_expiry_is_refused_and_the_right_name_is_told,
    a_body_must_say_that_it_is_json,
    a_body_is_at_most_64_kibibytes_however_it_comes,
    a_body_that_does_not_come_is_given_up,
    a_body_that_breaks_off_changes_nothing,
    a_path_that_leads_nowhere_is_not_found,
    a_method_that_a_path_does_not_take_is_told_which_it_takes,
    a_path_is_at_most_8_kibibytes,
    headers_are_at_most_16_kibibytes,
    what_is_no_http_is_refused,
    a_request_id_is_taken_made_and_echoed,
    a_key_in_place_of_a_request_id_is_not_echoed,
    a_database_that_is_down_is_answered_503,
    a_database_that_takes_no_changes_still_answers_questions,
    a_damaged_database_is_answered_500_without_a_word_of_it,
    a_panic_ends_one_request_and_nothing_else,
    a_request_that_takes_too_long_is_given_up,
    a_stream_that_cannot_begin_is_answered_503,
    a_batch_is_answered_whole_or_not_at_all,
    no_origin_of_a_browser_is_allowed_unless_configured,
    configured_origins_and_no_others_are_allowed,
    a_head_is_answered_like_a_get_without_a_body,
    the_document_is_served_and_shown,
    a_body_that_is_announced_as_too_large_is_not_waited_for,
    a_page_for_people_loads_and_sends_nothing_elsewhere,
];

const TEXT_OF_DATABASE: [&str; 2] = ["relation", "10.1.2.3"];

async fn send(client: &Client, body: impl Into<Vec<u8>>) -> Answer {
    client
        .send(Method::POST, "/api/api-keys", Some(body.into()))
        .await
}

async fn a_body_that_is_no_json_is_malformed(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    for body in [
        "",
        " ",
        "{",
        "nonsense",
        "{\"name\": }",
        "{\"name\": \"a\", \"permissions\": []} {}",
        "{\"name\": \"a\"",
        "'a'",
        "\u{feff}{}",
        &"[".repeat(10_000),
        "{\"name\": 1, nonsense",
    ] {
        send(&ada, body).await.refused(400, "malformed_json");
    }
    let problem = send(&ada, "{\n  \"name\": nonsense}")
        .await
        .refused(400, "malformed_json");
    assert_eq!(
        problem["detail"],
        "the body is not JSON: see line 2, column 12"
    );
    send(&ada, b"{\"name\": \"\xff\", \"permissions\": []}")
        .await
        .refused(400, "malformed_json");
    // An unpaired surrogate is no text.
    send(&ada, r#"{"name": "\ud800", "permissions": []}"#)
        .await
        .refused(400, "malformed_json");
}

async fn a_body_of_another_shape_is_pointed_at(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    for (body, pointer, detail) in [
        (r#"{"permissions": []}"#, "/name", "is required"),
        (r#"{"name": "a"}"#, "/permissions", "is required"),
        (
            r#"{"name": null, "permissions": []}"#,
            "/name",
            "must be a string",
        ),
        (
            r#"{"name": "a", "permissions": {}}"#,
            "/permissions",
            "must be a sequence",
        ),
        (
            r#"{"name": "a", "permissions": ["READ_GRAPH", 1]}"#,
            "/permissions/1",
            "must be a string",
        ),
        (
            r#"{"name": "a", "name": "b", "permissions": []}"#,
            "/name",
            "stands twice",
        ),
        (
            r#"{"name": "a", "permissions": [], "expires_at": null, "expires_at": null}"#,
            "/expires_at",
            "stands twice",
        ),
        (
            r#"{"name": "a", "permissions": [], "expires_at": 1795338000}"#,
            "/expires_at",
            "must be a string",
        ),
        (
            r#"{"name": "a", "permissions": [], "metadata": []}"#,
            "/metadata",
            "must be a map",
        ),
    ] {
        let problem = send(&ada, body).await.refused(422, "validation_failed");
        assert_eq!(
            problem["errors"],
            json!([{"pointer": pointer, "detail": detail}]),
            "{body}"
        );
        assert_eq!(problem["detail"], format!("{pointer}: {detail}"));
    }
    for body in ["[]", "null", "1", "\"a\""] {
        let problem = send(&ada, body).await.refused(422, "validation_failed");
        assert_eq!(pointers(&problem), [""], "{body}");
    }
}

async fn a_misspelt_expiry_is_refused_and_the_right_name_is_told(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let wanted = json!({"name": "a", "permissions": [], "expiresAt": "2027-01-01T00:00:00Z"});
    let problem = ada
        .post("/api/api-keys", wanted)
        .await
        .refused(422, "validation_failed");
    assert_eq!(pointers(&problem), ["/expiresAt"]);
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("`expires_at`"), "{detail}");
    assert_eq!(ada.get("/api/api-keys").await.ok(), json!([]));
    let key = ada.create_key("a", &[]).await;
    let problem = ada
        .patch(&key.path(), json!({"expire_at": null}))
        .await
        .refused(422, "validation_failed");
    assert_eq!(pointers(&problem), ["/expire_at"]);
}

async fn a_body_must_say_that_it_is_json(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let body = json!({"name": "a", "permissions": []}).to_string();
    for other in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "json",
        "application/merge-patch+json",
        "",
    ] {
        let problem = send(&ada.with("content-type", other), &*body)
            .await
            .refused(415, "unsupported_media_type");
        assert_eq!(
            problem["detail"],
            "the body must be JSON: send Content-Type: application/json"
        );
    }
    ada.act("/api/api-keys")
        .await
        .refused(415, "unsupported_media_type");
    for json in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        send(&ada.with("content-type", json), &*body).await.ok();
    }
}

async fn a_body_is_at_most_64_kibibytes_however_it_comes(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let of_size = |bytes: usize| {
        let body = json!({"name": "a", "permissions": []}).to_string();
        let padding = " ".repeat(bytes - body.len());
        body + &padding
    };
    send(&ada, of_size(64 * 1024)).await.ok();
    send(&ada, of_size(64 * 1024 + 1))
        .await
        .refused(413, "payload_too_large");

    // In chunks, whose sum nobody told.
    let mut connection = world.connect().await;
    let token = Token::of("ada").signed();
    connection.write(format!("POST /api/api-keys HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")).await;
    let chunk = " ".repeat(0x4000);
    for _ in 0..5 {
        connection.write(format!("4000\r\n{chunk}\r\n")).await;
    }
    let answer = connection.answer().await;
    assert_eq!((answer.status, &*answer.code()), (413, "payload_too_large"));
}

async fn a_body_that_does_not_come_is_given_up(store: Kind) {
    let world = World::with(store, |settings| {
        settings.body_timeout = Duration::from_millis(50);
    })
    .await;
    let token = Token::of("ada").signed();
    let mut connection = world.connect().await;
    connection.write(format!("POST /api/api-keys HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{")).await;
    let answer = connection.answer().await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    // What would come now is no request of its own.
    assert_eq!(connection.until_closed().await, b"");
}

async fn a_body_that_breaks_off_changes_nothing(store: Kind) {
    let world = World::on(store).await;
    let token = Token::of("ada").signed();
    let mut connection = world.connect().await;
    connection.write(format!("POST /api/api-keys HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"name\": \"a\", \"permissions\": []}}")).await;
    drop(connection);
    assert_eq!(world.user("ada").get("/api/api-keys").await.ok(), json!([]));
}

async fn a_path_that_leads_nowhere_is_not_found(store: Kind) {
    let world = World::on(store).await;
    for method in [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ] {
        for path in [
            "/api/nothing",
            "/api/api-keys/",
            "/api/api-keys/1/2",
            "/api//api-keys",
            "/API/api-keys",
        ] {
            let answer = world.user("ada").send(method.clone(), path, None).await;
            let problem = answer.refused(404, "not_found");
            assert_eq!(
                problem["detail"],
                "there is nothing at this path; /docs lists what there is"
            );
        }
    }
}

async fn a_method_that_a_path_does_not_take_is_told_which_it_takes(store: Kind) {
    let world = World::on(store).await;
    let mut taken: Vec<(String, Vec<String>)> = Vec::new();
    for (method, path, _) in operations() {
        let path = path.replace(['{', '}'], "");
        match taken.iter_mut().find(|(known, _)| *known == path) {
            Some((_, methods)) => methods.push(method),
            None => taken.push((path, vec![method])),
        }
    }
    for (path, mut methods) in taken {
        if methods.contains(&"GET".to_owned()) {
            methods.push("HEAD".to_owned());
        }
        methods.sort();
        for wrong in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            if methods.contains(&wrong.to_string()) {
                continue;
            }
            let answer = world.anonymous().send(wrong, &path, None).await;
            answer.refused(405, "method_not_allowed");
            let mut allowed: Vec<_> = answer
                .header("allow")
                .unwrap()
                .split(',')
                .map(|one| one.trim().to_owned())
                .collect();
            allowed.sort();
            assert_eq!(allowed, methods, "{path}");
        }
    }
    let odd = world
        .anonymous()
        .send("BREW".parse().unwrap(), "/api/verify", None)
        .await;
    odd.refused(405, "method_not_allowed");
}

async fn a_path_is_at_most_8_kibibytes(store: Kind) {
    let world = World::on(store).await;
    let of_length = |bytes: usize| format!("/api/users?cursor={}", "a".repeat(bytes - 18));
    let admin = world.admin().await;
    admin
        .get(&of_length(8192))
        .await
        .refused(422, "validation_failed");
    let problem = admin
        .get(&of_length(8193))
        .await
        .refused(414, "uri_too_long");
    assert_eq!(
        problem["detail"],
        "the path and query may have 8 KiB together"
    );
    world
        .anonymous()
        .get(&of_length(60_000))
        .await
        .refused(414, "uri_too_long");
}

async fn headers_are_at_most_16_kibibytes(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    ada.with("x-padding", &"x".repeat(15 * 1024))
        .get("/api/api-keys")
        .await
        .ok();
    let answer = ada
        .with("x-padding", &"x".repeat(16 * 1024))
        .get("/api/api-keys")
        .await;
    let problem = answer.refused(431, "headers_too_large");
    assert_eq!(problem["detail"], "the headers may have 16 KiB together");
    world
        .anonymous()
        .with("authorization", &"x".repeat(60_000))
        .get("/api/whoami")
        .await
        .refused(431, "headers_too_large");
}

async fn what_is_no_http_is_refused(store: Kind) {
    let world = World::on(store).await;
    for (bytes, status) in [
        (b"nonsense\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), 400),
        (b"GET /\xff\x00 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 400),
        (b"POST /api/verify HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".to_vec(), 400),
        (b"POST /api/verify HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_vec(), 400),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)).into_bytes(), 431),
    ] {
        let mut connection = world.connect().await;
        connection.write(&bytes).await;
        let answer = connection.answer().await;
        assert!(answer.status == status || answer.status == 414, "{} {}", answer.status, answer.head);
        connection.until_closed().await;
    }
    world.anonymous().get("/health/live").await.ok();
}

async fn a_request_id_is_taken_made_and_echoed(store: Kind) {
    let world = World::on(store).await;
    let asked = async |id: &str| {
        let answer = world
            .anonymous()
            .with("x-request-id", id)
            .get("/api/whoami")
            .await;
        let problem = answer.refused(401, "missing_credentials");
        problem["request_id"].as_str().unwrap().to_owned()
    };
    for good in [
        "a",
        "req-1",
        "0192f0c1-6d1e-7c3a-9f00-000000000001",
        "a.b:c_d",
        &"x".repeat(64),
    ] {
        assert_eq!(asked(good).await, good);
    }
    let mut made = Vec::new();
    for bad in ["", "a b", "a\"b", "ä", "a,b", "<script>", &"x".repeat(65)] {
        let id = asked(bad).await;
        assert_eq!((id.len(), &id[14..15]), (36, "7"), "{bad}");
        made.push(id);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 7, "each request has an id of its own");
    let ok = world
        .anonymous()
        .with("x-request-id", "mine")
        .get("/health/live")
        .await;
    assert_eq!(ok.header("x-request-id"), Some("mine"));
}

async fn a_key_in_place_of_a_request_id_is_not_echoed(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let answer = world
        .holder(&key.text)
        .with("x-request-id", &key.text)
        .get("/api/whoami")
        .await;
    let id = answer.header("x-request-id").unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"));
}

/// Calls that need the database, each with a persona who may make it.
async fn calls(world: &World) -> Vec<(Client, Method, &'static str, Option<Value>)> {
    let (ada, admin) = (world.user("ada"), world.admin().await);
    let key = ada.create_key("a", &[]).await;
    let text = key.text.clone();
    let holder = world.holder(&text);
    let path: &'static str = key.path().leak();
    let below = |tail: &str| -> &'static str { format!("{path}{tail}").leak() };
    vec![
        (ada.clone(), Method::GET, "/api/api-keys", None),
        (
            ada.clone(),
            Method::POST,
            "/api/api-keys",
            Some(json!({"name": "a", "permissions": []})),
        ),
        (ada.clone(), Method::GET, path, None),
        (ada.clone(), Method::PATCH, path, Some(json!({"name": "b"}))),
        (ada.clone(), Method::POST, below("/suspend"), None),
        (ada.clone(), Method::POST, below("/reactivate"), None),
        (
            ada.clone(),
            Method::PUT,
            below("/permissions"),
            Some(json!({"permissions": []})),
        ),
        (ada.clone(), Method::GET, "/api/keyspaces", None),
        (ada, Method::DELETE, path, None),
        (
            admin.clone(),
            Method::POST,
            "/api/verify",
            Some(json!({"key": text})),
        ),
        (
            admin.clone(),
            Method::POST,
            "/api/verify/batch",
            Some(json!({"requests": [{"key": text}]})),
        ),
        (
            admin.clone(),
            Method::POST,
            "/api/keyspaces",
            Some(json!({"name": "x", "prefix": "x_"})),
        ),
        (
            admin.clone(),
            Method::PATCH,
            "/api/keyspaces/default",
            Some(json!({"description": "x"})),
        ),
        (admin.clone(), Method::GET, "/api/keyspaces/default", None),
        (admin.clone(), Method::GET, "/api/users", None),
        (admin.clone(), Method::GET, "/api/users/ada", None),
        (admin.clone(), Method::GET, "/api/users/ada/api-keys", None),
        (admin.clone(), Method::DELETE, "/api/users/ada", None),
        (admin, Method::GET, "/api/audit", None),
        (holder.clone(), Method::GET, "/api/whoami", None),
        (holder, Method::DELETE, "/api/whoami", None),
        (world.anonymous(), Method::GET, "/health/ready", None),
    ]
}

async fn a_database_that_is_down_is_answered_503(store: Kind) {
    let world = World::on(store).await;
    let calls = calls(&world).await;
    world.database_suffers(Fault::Down);
    for (client, method, path, body) in calls {
        let body = body.map(|body| body.to_string().into_bytes());
        let answer = client.send(method, path, body).await;
        let problem = answer.refused(503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(
            problem["detail"],
            "the database does not answer now; try again"
        );
    }
    // What needs no database goes on.
    world.anonymous().get("/health/live").await.ok();
    world
        .holder("junk")
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
    world.database_suffers(Fault::None);
    assert_eq!(
        world.anonymous().get("/health/ready").await.ok(),
        json!({"status": "ready"})
    );
}

async fn a_database_that_takes_no_changes_still_answers_questions(store: Kind) {
    let world = World::on(store).await;
    let (ada, admin) = (world.user("ada"), world.admin().await);
    let key = ada.create_key("a", &[]).await;
    world.database_suffers(Fault::ReadOnly);
    assert_eq!(admin.code_of(&key.text).await, "VALID");
    ada.get(&key.path()).await.ok();
    let problem = ada.delete(&key.path()).await.refused(503, "unavailable");
    let detail = "the database takes no changes now; try again";
    assert_eq!(problem["detail"], detail);
    let ready = world
        .anonymous()
        .get("/health/ready")
        .await
        .refused(503, "unavailable");
    assert_eq!(ready["detail"], detail);
    assert_eq!(ada.get(&key.path()).await.ok()["status"], "ACTIVE");
}

async fn a_damaged_database_is_answered_500_without_a_word_of_it(store: Kind) {
    let world = World::on(store).await;
    let calls = calls(&world).await;
    world.database_suffers(Fault::Damaged);
    for (client, method, path, body) in calls {
        let body = body.map(|body| body.to_string().into_bytes());
        let answer = client.send(method, path, body).await;
        let problem = answer.refused(500, "internal");
        assert_eq!(
            problem["detail"],
            "the server failed; its log has more under this request id"
        );
        assert!(
            TEXT_OF_DATABASE
                .iter()
                .all(|text| !answer.body.contains(text)),
            "{}",
            answer.body
        );
    }
}

async fn a_panic_ends_one_request_and_nothing_else(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    ada.get("/api/api-keys").await.ok();
    world.database_suffers(Fault::Panic);
    let answer = ada
        .with("x-request-id", "the-one")
        .get("/api/api-keys")
        .await;
    let problem = answer.refused(500, "internal");
    assert_eq!(
        problem,
        json!({
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "the server failed; its log has more under this request id",
            "code": "internal",
            "request_id": "the-one",
        })
    );
    world.database_suffers(Fault::None);
    ada.get("/api/api-keys").await.ok();
}

async fn a_request_that_takes_too_long_is_given_up(store: Kind) {
    let world = World::with(store, |settings| {
        settings.request_timeout = Duration::from_millis(300);
    })
    .await;
    // Straight in the store: on a busy machine nothing over HTTP is sure to be done in so short a time.
    let (_, writer) = world.service_key(&["keys:write"]).await;
    let (id, _) = world.service_key(&["keys:read"]).await;
    let (writer, path) = (world.holder(&writer), format!("/api/api-keys/{id}"));
    world.store.hold();
    let problem = writer.delete(&path).await.refused(503, "unavailable");
    assert_eq!(problem["detail"], "the request took too long; try again");
    world.store.release();
    eventually(async || (writer.delete(&path).await.status == 200).then_some(())).await;
}

async fn a_stream_that_cannot_begin_is_answered_503(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await.with("accept", "application/x-ndjson");
    world.store.go_down_after_pages(0);
    admin.get("/api/audit").await.refused(503, "unavailable");
}

async fn a_batch_is_answered_whole_or_not_at_all(store: Kind) {
    let world = World::on(store).await;
    let verifier = world.service(&["keys:verify"]).await;
    let mut requests = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let key = world.user("ada").create_key(name, &[]).await;
        requests.push(json!({"key": key.text}));
    }
    // The service key is looked up, then two keys; the next look-up meets a database that is gone.
    world.store.go_down_after_lookups(3);
    let answer = verifier
        .post("/api/verify/batch", json!({"requests": requests}))
        .await;
    answer.refused(503, "unavailable");
}

/// A request as a browser on another site would send it, and the headers that speak of origins in the answer.
async fn from_browser(world: &World, method: &str, origin: &str) -> (u16, Vec<(String, String)>) {
    let mut connection = world.connect().await;
    connection
        .write(format!("{method} /api/keyspaces HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\naccess-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n\r\n"))
        .await;
    let answer = connection.answer().await;
    let named = answer
        .head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.starts_with("access-control-"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (answer.status, named)
}

async fn no_origin_of_a_browser_is_allowed_unless_configured(store: Kind) {
    let world = World::on(store).await;
    for origin in ["https://app.example", "null", "http://127.0.0.1"] {
        assert_eq!(from_browser(&world, "OPTIONS", origin).await, (405, vec![]));
        assert_eq!(from_browser(&world, "GET", origin).await, (401, vec![]));
    }
}

async fn configured_origins_and_no_others_are_allowed(store: Kind) {
    let world = World::with(store, |settings| {
        settings.cors_origins = ["https://app.example", "https://b.example"]
            .map(|one| one.parse().unwrap())
            .to_vec();
    })
    .await;
    let value = |headers: &[(String, String)], name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    for origin in ["https://app.example", "https://b.example"] {
        let (status, headers) = from_browser(&world, "OPTIONS", origin).await;
        assert_eq!(status, 200);
        assert_eq!(
            value(&headers, "access-control-allow-origin").as_deref(),
            Some(origin)
        );
        assert_eq!(
            value(&headers, "access-control-allow-methods").as_deref(),
            Some("GET,POST,PUT,PATCH,DELETE")
        );
        let allowed = value(&headers, "access-control-allow-headers");
        assert_eq!(
            allowed.as_deref(),
            Some("authorization,content-type,x-api-key,keywright-user,x-request-id")
        );
        assert_eq!(value(&headers, "access-control-allow-credentials"), None);
        let (status, headers) = from_browser(&world, "GET", origin).await;
        assert_eq!(status, 401, "it is read by the page all the same");
        assert_eq!(
            value(&headers, "access-control-allow-origin").as_deref(),
            Some(origin)
        );
        assert_eq!(
            value(&headers, "access-control-expose-headers").as_deref(),
            Some("link,retry-after,x-request-id,keywright-nodes,keywright-propagation-ms")
        );
    }
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "null",
        "http://app.example",
    ] {
        for method in ["OPTIONS", "GET"] {
            let (_, headers) = from_browser(&world, method, origin).await;
            assert_eq!(
                value(&headers, "access-control-allow-origin"),
                None,
                "{origin}"
            );
        }
    }
}

async fn a_head_is_answered_like_a_get_without_a_body(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    ada.create_key("a", &[]).await;
    for path in [
        "/api/api-keys",
        "/api/keyspaces",
        "/health/live",
        "/openapi.json",
    ] {
        let (get, head) = (
            ada.get(path).await,
            ada.send(Method::HEAD, path, None).await,
        );
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_eq!(head.header("content-length"), get.header("content-length"));
    }
    let missing = world
        .anonymous()
        .send(Method::HEAD, "/api/api-keys", None)
        .await;
    assert_eq!((missing.status, &*missing.body), (401, ""));
}

async fn the_document_is_served_and_shown(store: Kind) {
    let world = World::on(store).await;
    let served = world.anonymous().get("/openapi.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    let document = served.ok();
    assert_eq!(
        document,
        serde_json::to_value(keywright_server::document()).unwrap()
    );
    assert_eq!(document["openapi"].as_str().unwrap()[..4], *"3.1.");
    let page = world.anonymous().get("/docs/").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html"))
    );
    for script in page.body.split("src=\"").skip(1) {
        let file = script.split('"').next().unwrap().trim_start_matches("./");
        let found = world.anonymous().get(&format!("/docs/{file}")).await;
        assert_eq!(
            (found.status, found.header("content-type")),
            (200, Some("text/javascript")),
            "{file}"
        );
    }
    assert!(
        !page.body.contains("http"),
        "the page needs nothing of other servers: {}",
        page.body
    );
}

async fn a_body_that_is_announced_as_too_large_is_not_waited_for(store: Kind) {
    let world = World::on(store).await;
    let (_, verifier) = world.service_key(&["keys:verify"]).await;
    for (path, limit, credential) in [
        ("/api/api-keys", 64 * 1024, Token::of("ada").signed()),
        ("/api/verify/batch", 1024 * 1024, verifier),
    ] {
        for expect in ["", "expect: 100-continue\r\n"] {
            let mut connection = world.connect().await;
            connection.write(format!("POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {credential}\r\ncontent-type: application/json\r\n{expect}content-length: {}\r\n\r\n", limit + 1)).await;
            // No 100 (Continue) comes before it.
            let answer = connection.answer().await;
            assert_eq!((answer.status, &*answer.code()), (413, "payload_too_large"));
            assert_eq!(connection.until_closed().await, b"");
        }
    }
}

async fn a_page_for_people_loads_and_sends_nothing_elsewhere(store: Kind) {
    let world = World::on(store).await;
    for path in ["/docs/", "/docs/swagger-ui-bundle.js"] {
        let page = world.anonymous().get(path).await;
        let policy = page.header("content-security-policy").unwrap();
        let rules: Vec<_> = policy.split("; ").collect();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(rules.contains(&rule), "{rule} in {policy}");
        }
    }
}
