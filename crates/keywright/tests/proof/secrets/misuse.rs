//! Every place that somebody may put a key by mistake.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::support::{Answer, LONG, NewKey, World};

/// Puts the key where it does not belong; gives the answers, all of them errors unless an error would be wrong.
pub(super) fn use_it_wrongly(world: &World, key: &NewKey) -> Vec<Answer> {
    let mut answers = as_credential(world, key);
    answers.extend(in_urls(world, key));
    answers.extend(in_bodies(world, key));
    answers.extend(in_headers(world, key));
    answers.extend(in_broken_requests(world, key));
    answers
}

fn as_credential(world: &World, key: &NewKey) -> Vec<Answer> {
    let bearer = world
        .nobody()
        .with("Authorization", format!("Bearer {}", key.text));
    let ways = [
        bearer.clone(),
        world.holder(&key.text),
        world.nobody().with("Authorization", key.text.clone()),
        world
            .nobody()
            .with("Authorization", format!("Basic {}", key.text)),
        world
            .nobody()
            .with("Authorization", format!("Bearer {0}.{0}.{0}", key.text)),
        bearer.with("X-API-Key", key.text.clone()),
    ];
    let mut answers = Vec::new();
    for way in ways {
        let wanted = json!({"name": "a", "permissions": []});
        for answer in [
            way.get("/api/api-keys"),
            way.post("/api/api-keys", &wanted),
            way.delete(&key.path()),
            way.get("/api/users"),
            way.get("/api/audit"),
            way.get("/api/keyspaces"),
            way.post("/api/keyspaces", &json!({"name": "a", "prefix": "a_"})),
            way.post("/api/verify", &json!({"key": key.text})),
        ] {
            assert!((400..500).contains(&answer.status), "{answer:?}");
            answers.push(answer);
        }
    }
    answers
}

fn in_urls(world: &World, key: &NewKey) -> Vec<Answer> {
    let (ada, admin, text) = (world.user("ada"), world.admin(), &key.text);
    let mut answers = vec![
        world.nobody().get(&format!("/{text}")),
        world.nobody().get(&format!("/api/{text}")),
        world.nobody().get(&format!("/docs/{text}")),
        world.nobody().get(&format!("/health/{text}")),
        ada.get(&format!("/api/api-keys/{text}")),
        ada.delete(&format!("/api/api-keys/{text}")),
        ada.post(&format!("/api/api-keys/{text}/suspend"), &json!({})),
        ada.post(&format!("/api/api-keys/{}/{text}", key.id), &json!({})),
        ada.get(&format!("/api/keyspaces/{text}")),
        admin.patch(&format!("/api/keyspaces/{text}"), &json!({})),
        admin.get(&format!("/api/users/{text}")),
        admin.get(&format!("/api/users/{text}/api-keys")),
        admin.delete(&format!("/api/users/{text}")),
        ada.get(&format!("/api/verify?key={text}")),
    ];
    for parameter in ["cursor", "status", "keyspace", "limit", "key", text] {
        answers.push(ada.get(&format!("/api/api-keys?{parameter}={text}")));
    }
    for parameter in [
        "key_id", "action", "from", "to", "limit", "cursor", "key", text,
    ] {
        answers.push(admin.get(&format!("/api/audit?{parameter}={text}")));
    }
    for answer in &answers {
        // A well-formed name of a user without keys lists none.
        assert!(
            (400..500).contains(&answer.status) || answer.body == "[]",
            "{answer:?}"
        );
    }
    // Whoever is looked for by it is not there, which is no error.
    for parameter in ["actor", "user_id"] {
        assert_eq!(
            admin.get(&format!("/api/audit?{parameter}={text}")).ok(),
            json!([])
        );
    }
    answers
}

fn in_bodies(world: &World, key: &NewKey) -> Vec<Answer> {
    let (ada, admin, text) = (world.user("ada"), world.admin(), &key.text);
    let creations = [
        json!({"name": "a", "permissions": [text]}),
        json!({"name": "a", "permissions": text}),
        json!({"name": "a", "permissions": [], "keyspace": text}),
        json!({"name": "a", "permissions": [], "expires_at": text}),
        json!({"name": "a", "permissions": [], "metadata": text}),
        json!({"name": "a", "permissions": [], text: true}),
        json!({"name": [text], "permissions": []}),
        json!({"name": {text: text}, "permissions": []}),
        json!(text),
        json!([text]),
    ];
    let keyspaces = [
        json!({"name": text, "prefix": "a_"}),
        json!({"name": "a", "prefix": text}),
        json!({"name": "a", "prefix": "a_", "self_service": text}),
        json!({"name": "a", "prefix": "a_", "permissions": [text, text]}),
        json!({"name": "a", "prefix": "a_", text: text}),
    ];
    let questions = [
        json!({"key": [text]}),
        json!({"key": {text: text}}),
        json!({"key": text, text: text}),
        json!({"key": text, "permissions": text}),
        json!({"key": text, "permissions": [[text]]}),
        json!({"key": text.repeat(10)}),
        json!(text),
    ];
    let mut answers: Vec<Answer> = Vec::new();
    answers.extend(creations.iter().map(|body| ada.post("/api/api-keys", body)));
    answers.extend(creations.iter().map(|body| ada.patch(&key.path(), body)));
    let permissions = format!("{}/permissions", key.path());
    answers.extend(creations.iter().map(|body| ada.put(&permissions, body)));
    answers.extend(
        keyspaces
            .iter()
            .map(|body| admin.post("/api/keyspaces", body)),
    );
    answers.extend(questions.iter().map(|body| admin.post("/api/verify", body)));
    let batch = |question| json!({"requests": [question]});
    answers.extend(
        questions
            .iter()
            .map(|body| admin.post("/api/verify/batch", &batch(body))),
    );
    for answer in &answers {
        answer.problem(422, "validation_failed");
    }
    // As a permission or a keyspace that is asked about, it is answered and not refused.
    let lacking = admin.ask(&json!({"key": text, "permissions": [text]}));
    assert_eq!(lacking["code"], "INSUFFICIENT_PERMISSIONS");
    let elsewhere = admin.ask(&json!({"key": text, "keyspace": text}));
    assert_eq!(elsewhere["code"], "NOT_FOUND");
    answers
}

fn in_headers(world: &World, key: &NewKey) -> Vec<Answer> {
    let text = key.text.as_str();
    let wanted = json!({"name": "a", "permissions": []});
    let mut answers = Vec::new();
    for id in [
        text.to_owned(),
        format!("job-{text}"),
        format!("job_{text}"),
        format!("{text}:1"),
    ] {
        let ada = world.user("ada").with("X-Request-Id", id);
        let answer = ada.get("/api/api-keys");
        answer.ok();
        answers.push(answer);
        answers.push(ada.post("/api/api-keys", &json!({})));
        // What is done is recorded, with the id and the name of the program.
        let made = ada
            .with("User-Agent", format!("job/{text} (test)"))
            .post("/api/api-keys", &wanted);
        assert_eq!(made.status, 200, "{made:?}");
        assert!(!made.header("x-request-id").expect("an id").contains(text));
    }
    let nobody = world.nobody();
    for name in [
        "Origin",
        "Cookie",
        "Accept",
        "X-Forwarded-For",
        "Forwarded",
        "Referer",
    ] {
        answers.push(nobody.clone().with(name, text).get("/api/api-keys"));
    }
    answers.push(world.admin().acting_for(text).get(&key.path()));
    let body = Some(json!({}));
    let typed = world.user("ada").with("Content-Type", text);
    answers.push(typed.send(Method::POST, "/api/api-keys", body.as_ref()));
    answers
}

fn in_broken_requests(world: &World, key: &NewKey) -> Vec<Answer> {
    let (text, token, service) = (&key.text, world.token("ada"), world.admin_key());
    let broken_json = |path: &str, bearer: &str, body: String| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let bodies = [
        format!("{{\"key\": \"{text}"),
        format!("{{\"key\": {text}}}"),
        format!("{{\"{text}\""),
        format!("{{\"name\": \"a\", \"permissions\": [], \"{text}\": }}"),
        text.clone(),
    ];
    let mut requests = Vec::new();
    for body in bodies {
        requests.push(broken_json("/api/api-keys", &token, body.clone()));
        requests.push(broken_json("/api/verify", service, body));
    }
    // Into the console's form goes a service key, which signs somebody in; and any other, which does not.
    for key in [text.as_str(), service] {
        let body = format!("next=&key={key}");
        let length = body.len();
        requests.push(format!(
            "POST /sign-in HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
    }
    let end = "Host: a\r\nConnection: close\r\n\r\n";
    requests.extend([
        format!("{text} / HTTP/1.1\r\n{end}"),
        format!("{text} /api/api-keys HTTP/1.1\r\n{end}"),
        format!("GET {text} HTTP/1.1\r\n{end}"),
        format!("GET / HTTP/{text}\r\n{end}"),
        format!("GET /api/api-keys HTTP/1.1\r\n{text}: {text}\r\n{end}"),
        format!("GET /api/api-keys HTTP/1.1\r\n{text}\r\n{end}"),
        format!("GET /api/api-keys HTTP/1.1\r\nContent-Length: {text}\r\n{end}"),
        format!("GET /api/api-keys HTTP/1.1\r\nTransfer-Encoding: {text}\r\n{end}"),
        format!("GET /api/api-keys HTTP/1.1\r\nExpect: {text}\r\n{end}"),
        format!("GET http://{text}/nothing HTTP/1.1\r\n{end}"),
        format!("{text}\r\n\r\n"),
    ]);
    requests.iter().map(|request| raw(world, request)).collect()
}

/// Sends what no client would, and takes whatever comes for the answer.
fn raw(world: &World, request: &str) -> Answer {
    let mut stream = TcpStream::connect(world.node.address()).expect("the server listens");
    stream.set_read_timeout(Some(LONG)).expect("not zero");
    stream
        .write_all(request.as_bytes())
        .expect("the request is small");
    let mut bytes = Vec::new();
    // A server may hang up on nonsense, even before it has read all of it.
    let _ = stream.read_to_end(&mut bytes);
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let status = body
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    assert!(
        status == 0 || (300..500).contains(&status),
        "{request}: {body}"
    );
    Answer {
        status,
        headers: HeaderMap::new(),
        body,
    }
}
