//! The short way of a verification gives the answers of the general one, and takes nothing that is not its own.
//!
//! A request with a header `Upgrade` goes the general way, and means the same.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Connection, Fault, Kind, World, eventually, on_both_stores};

on_both_stores![
    both_ways_give_the_same_answers,
    both_ways_give_the_same_answers_to_browsers_and_others,
    a_request_may_arrive_in_any_two_pieces,
    a_request_may_arrive_byte_by_byte,
    a_byte_out_of_place_means_the_same_both_ways,
    requests_one_behind_the_other_are_answered_in_their_order,
    what_is_no_plain_request_goes_the_general_way,
    a_body_ends_where_its_length_says,
    a_request_that_breaks_off_is_no_request,
    a_refusal_does_not_end_the_connection,
    what_the_database_cannot_tell_is_told_by_the_handler,
    a_change_is_seen_on_the_same_connection,
    a_stop_finishes_a_verification_that_has_begun,
    a_stop_waits_for_no_verifier_who_asks_nothing,
    a_verifier_who_reads_nothing_is_cut_off,
    requests_are_counted_on_both_ways,
];

/// A request as it is written: `headers` end with a line break each.
fn request(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /api/verify HTTP/1.1\r\nhost: a\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

/// The same request by the general way.
fn general(request: &str) -> String {
    request.replacen("\r\nhost: a\r\n", "\r\nhost: a\r\nupgrade: nothing\r\n", 1)
}

/// The headers of a program with this service key.
fn headers(service_key: &str) -> String {
    format!(
        "authorization: Bearer {service_key}\r\ncontent-type: application/json\r\nx-request-id: r\r\n"
    )
}

/// Status, headers without the moment, and body.
async fn answer(connection: &mut Connection) -> (String, String) {
    let answer = connection.answer().await;
    let is_date = |line: &&str| line.starts_with("date: ");
    let dates: Vec<_> = answer.head.lines().filter(is_date).collect();
    assert_eq!(dates.len(), 1, "{}", answer.head);
    assert_eq!(dates[0].len(), "date: Sun, 22 Nov 2026 09:00:00 GMT".len());
    (answer.head.replace(dates[0], "date"), answer.body)
}

/// What a request is answered on a connection of its own.
async fn ask(world: &World, request: &str) -> (String, String) {
    let mut connection = world.connect().await;
    connection.write(request).await;
    answer(&mut connection).await
}

#[track_caller]
fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
    body["code"].as_str().unwrap().to_owned()
}

/// Asks both ways, and gives the answer.
async fn ask_both(world: &World, request: &str) -> (String, String) {
    let general = ask(world, &general(request)).await;
    // The second is answered from memory, if any is.
    for _ in 0..2 {
        assert_eq!(ask(world, request).await, general, "{request}");
    }
    general
}

/// Bodies about a key, some of them to be refused.
fn bodies(text: &str, service: &str) -> Vec<String> {
    let escape = |c: char| format!("\\u{:04x}", u32::from(c));
    let escaped = text.chars().map(escape).collect::<Vec<_>>().concat();
    vec![
        format!(r#"{{"key":"{text}","permissions":["READ_GRAPH"]}}"#),
        format!(
            r#" {{ "permissions" : [ "nowhere" , "READ_GRAPH" , "é" , "\ud83d\ude00" ] , "key" : "{text}" }} "#
        ),
        format!(r#"{{"key":"{text}","keyspace":"default"}}"#),
        format!(r#"{{"key":"{text}","keyspace":null}}"#),
        format!(r#"{{"key":"{text}","keyspace":"elsewhere"}}"#),
        format!(r#"{{"key":"{service}","keyspace":"keywright","permissions":["keys:read"]}}"#),
        format!(r#"{{"\u006bey":"{escaped}"}}"#),
        format!("\t\r\n{{\"key\":\n\"{text}\"}}\n"),
        // What is refused is refused in the same words.
        format!(r#"{{"key":"{text}","key":"{text}"}}"#),
        format!(r#"{{"key":"{text}","keys":[]}}"#),
        format!(r#"["{text}",[],null]"#),
        format!(r#"{{"key":"{text}","permissions":["a\u0000"]}}"#),
        format!(r#"{{"key":"{text}","permissions":null}}"#),
        format!(r#"{{"key":"{text}"}} x"#),
        format!(r#"{{"key":"{}"}}"#, "x".repeat(513)),
        r#"{"key":"\ud83d"}"#.to_owned(),
        "[".repeat(1000),
        "{}".to_owned(),
        "null".to_owned(),
        String::new(),
    ]
}

/// Headers of a request, some of them to be refused.
fn header_sets(service: &str, powerless: &str, text: &str) -> Vec<String> {
    let json = "content-type: application/json\r\nx-request-id: r\r\n";
    let jwt = crate::support::Token::of("ada").signed();
    vec![
        format!(
            "AUTHORIZATION: bEARER {service}\r\nCONTENT-TYPE: APPLICATION/JSON\r\nX-REQUEST-ID: r\r\n"
        ),
        format!("x-api-key: {service}\r\n{json}"),
        format!("x-api-key:  \t{service} \t\r\n{json}"),
        format!("authorization: Bearer   {service}  \r\n{json}"),
        format!(
            "authorization: Bearer {service}\r\nx-request-id: r\r\ncontent-type: application/json ; charset=utf-8\r\n"
        ),
        format!(
            "authorization: Bearer {service}\r\n{json}x-request-id: s\r\ncontent-type: text/plain\r\n"
        ),
        format!(
            "authorization: Bearer {service}\r\nx-request-id: r\r\ncontent-type: text/plain\r\ncontent-type: application/json\r\n"
        ),
        format!("authorization: Bearer {service}\r\n{json}origin: https://a.example\r\n"),
        format!("authorization: Bearer {service}\r\n{json}keywright-user: ada\r\n"),
        format!("authorization: Bearer {service}\r\n{json}connection: Keep-Alive\r\n"),
        format!("authorization: Bearer {service}\r\n{json}x: \u{e4}\r\nx: \u{7f}\r\n")
            .replace('\u{7f}', "b"),
        format!(
            "authorization: Bearer {service}\r\n{json}{}",
            "a: b\r\n".repeat(60)
        ),
        format!(
            "authorization: Bearer {service}\r\n{json}a: {}\r\n",
            "b".repeat(15_000)
        ),
        // Refused.
        json.to_owned(),
        format!("authorization: Bearer {service}\r\nx-request-id: r\r\n"),
        format!("authorization: Bearer {service}\r\nx-api-key: {service}\r\n{json}"),
        format!("authorization: Bearer {service}\r\nauthorization: Bearer {service}\r\n{json}"),
        format!("authorization: {service}\r\n{json}"),
        format!("authorization: Basic {service}\r\n{json}"),
        format!("authorization: Bearer {jwt}\r\n{json}"),
        format!("authorization: Bearer {jwt}\r\nkeywright-user: a\r\n{json}"),
        format!("authorization: Bearer {powerless}\r\n{json}"),
        format!("authorization: Bearer {text}\r\n{json}"),
        format!("x-api-key: {text}x\r\n{json}"),
        format!(
            "authorization: Bearer {service}\r\n{json}a: {}\r\n",
            "b".repeat(17_000)
        ),
    ]
}

async fn both_ways_give_the_same_answers(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let (_, powerless) = world.service_key(&["keys:read"]).await;
    let good = ada.create_key("ö \"quoted\" \\ 😀", &["READ_GRAPH"]).await;
    let wanted = json!({
        "name": "a",
        "permissions": ["READ_GRAPH", "EXECUTE_BLOCK"],
        "expires_at": world.clock.later(Duration::from_secs(1)),
        "metadata": {"b": [1, 2.50, null], "a": "ä\u{1}"},
    });
    let expired = ada.create(wanted).await;
    let suspended = ada.create_key("suspended", &[]).await;
    ada.act(&format!("{}/suspend", suspended.path())).await.ok();
    let revoked = ada.create_key("revoked", &[]).await;
    ada.delete(&revoked.path()).await.ok();
    let with = headers(&service);

    let ask_for = |key: &str| request(&with, &json!({"key": key}).to_string());
    assert_eq!(
        code(&ask_both(&world, &ask_for(&expired.text)).await.1),
        "VALID"
    );
    world.clock.advance(Duration::from_secs(1));
    for (key, expected) in [
        (&*good.text, "VALID"),
        (&*expired.text, "EXPIRED"),
        (&*suspended.text, "SUSPENDED"),
        (&*revoked.text, "REVOKED"),
        (&*service, "NOT_FOUND"),
        ("", "NOT_FOUND"),
        ("ä", "NOT_FOUND"),
        (&"x".repeat(512), "NOT_FOUND"),
    ] {
        assert_eq!(
            code(&ask_both(&world, &ask_for(key)).await.1),
            expected,
            "{key}"
        );
    }

    let text = &good.text;
    for body in bodies(text, &service) {
        ask_both(&world, &request(&with, &body)).await;
    }

    let body = format!(r#"{{"key":"{text}"}}"#);
    for headers in header_sets(&service, &powerless, text) {
        ask_both(&world, &request(&headers, &body)).await;
    }

    // An id that cannot be taken is made anew.
    let odd = request(&with.replace("x-request-id: r", "x-request-id: r r"), &body);
    for request in [general(&odd), odd] {
        let (head, _) = ask(&world, &request).await;
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "));
        let id: uuid::Uuid = id.unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
}

async fn both_ways_give_the_same_answers_to_browsers_and_others(store: Kind) {
    let world = World::with(store, |settings| {
        settings.cors_origins = vec!["https://app.example".parse().unwrap()];
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let body = json!({"key": "a"}).to_string();
    let with = headers(&service);
    let (head, _) = ask_both(&world, &request(&with, &body)).await;
    assert!(head.contains("\r\nvary: origin"), "{head}");
    for more in [
        "origin: https://app.example\r\n",
        "origin: https://elsewhere.example\r\n",
        "x-forwarded-for: 192.0.2.1, nonsense\r\n",
    ] {
        ask_both(&world, &request(&format!("{with}{more}"), &body)).await;
    }
}

/// A world with one key, and a request about it.
async fn world_of_one(store: Kind) -> (World, String) {
    let world = World::on(store).await;
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let request = request(&headers(&service), &json!({"key": key.text}).to_string());
    (world, request)
}

async fn a_request_may_arrive_in_any_two_pieces(store: Kind) {
    let (world, request) = world_of_one(store).await;
    let whole = ask(&world, &request).await;
    let mut connection = world.connect().await;
    for end in 1..request.len() {
        let (first, second) = request.split_at(end);
        connection.write(first).await;
        tokio::task::yield_now().await;
        connection.write(second).await;
        assert_eq!(answer(&mut connection).await, whole, "{end}");
    }
}

async fn a_request_may_arrive_byte_by_byte(store: Kind) {
    let (world, request) = world_of_one(store).await;
    let whole = ask(&world, &request).await;
    let mut connection = world.connect().await;
    for byte in request.bytes() {
        connection.write([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(&mut connection).await, whole);
}

/// What is answered to some bytes between two verifications until the connection ends. `general` has it go the general
/// way from its beginning. Dates and made-up ids are taken out.
async fn outcome(world: &World, request: &str, bytes: &[u8], general: bool) -> String {
    let mut connection = world.connect().await;
    if general {
        connection
            .write("GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        connection.answer().await;
    }
    let last = request.replacen("\r\nhost: a", "\r\nhost: a\r\nconnection: close", 1);
    let all = [request.as_bytes(), bytes, last.as_bytes()].concat();
    connection.write(all).await;
    let answers = String::from_utf8(connection.until_closed().await).unwrap();
    let ids = answers
        .lines()
        .filter_map(|line| line.strip_prefix("x-request-id: "));
    let made_up = ids.filter(|id| id.len() == 36);
    let without_ids = made_up.fold(answers.clone(), |text, id| text.replace(id, "id"));
    let lines = without_ids
        .lines()
        .filter(|line| !line.starts_with("date: "));
    lines.collect::<Vec<_>>().join("\n")
}

async fn a_byte_out_of_place_means_the_same_both_ways(store: Kind) {
    let world = World::with(store, |settings| {
        settings.header_timeout = Duration::from_secs(1);
        settings.body_timeout = Duration::from_secs(1);
    })
    .await;
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let request = request(&headers(&service), r#"{"key":"a"}"#);
    ask(&world, &request).await;
    let (bytes, mut altered) = (request.as_bytes(), Vec::new());
    for place in 0..=bytes.len() {
        let (before, behind) = bytes.split_at(place);
        let rest = behind.get(1..).unwrap_or_default();
        for odd in [
            &b""[..],
            b"\0",
            b"\t",
            b"\n",
            b"\r",
            b" ",
            b":",
            b",",
            b"a",
            b"1",
            b"\x7f",
            b"\xe4",
        ] {
            altered.push([before, odd, rest].concat());
        }
        for odd in [&b"\r\n"[..], b"\n", b" ", b"\r\n "] {
            altered.push([before, odd, behind].concat());
        }
    }
    // One in thirteen, which is no divisor of what is done at one place: all of them take long.
    let altered: Vec<_> = altered.into_iter().step_by(13).collect();
    let mut differing = Vec::new();
    for some in altered.chunks(16) {
        let asked = some.iter().map(async |bytes| {
            let short = outcome(&world, &request, bytes, false).await;
            (short, outcome(&world, &request, bytes, true).await, bytes)
        });
        for (short, general, bytes) in futures::future::join_all(asked).await {
            if short != general {
                differing.push(format!(
                    "{:?}\n{short}\n--\n{general}\n",
                    String::from_utf8_lossy(bytes)
                ));
            }
        }
        // Those that failed to authenticate are forgotten.
        world.clock.advance(Duration::from_secs(61));
    }
    assert!(
        differing.is_empty(),
        "{}: {}",
        differing.len(),
        differing.join("\n")
    );
}

async fn requests_one_behind_the_other_are_answered_in_their_order(store: Kind) {
    let (world, request) = world_of_one(store).await;
    let numbered = |number: usize| {
        let id = format!("x-request-id: n{number}\r\n");
        request.replacen("x-request-id: r\r\n", &id, 1)
    };
    // More than is looked at in one turn, with a refusal among them.
    let mut all: String = (0..200).map(numbered).collect();
    all += &numbered(200).replace("Bearer kw_", "Bearer xx_");
    all.extend((201..300).map(numbered));
    let mut connection = world.connect().await;
    connection.write(&all).await;
    for number in 0..300 {
        let answer = connection.answer().await;
        assert_eq!(answer.status, if number == 200 { 401 } else { 200 });
        assert_eq!(answer.header("x-request-id"), Some(&*format!("n{number}")));
    }
    // And with requests of other kinds among them, from where the general way goes on.
    let other = "GET /health/live HTTP/1.1\r\nhost: a\r\nx-request-id: live\r\n\r\n";
    connection
        .write(format!("{}{other}{}", numbered(0), numbered(1)))
        .await;
    for id in ["n0", "live", "n1"] {
        let answer = connection.answer().await;
        assert_eq!(
            (answer.status, answer.header("x-request-id")),
            (200, Some(id))
        );
    }
}

async fn what_is_no_plain_request_goes_the_general_way(store: Kind) {
    let (world, request) = world_of_one(store).await;
    let whole = ask(&world, &request).await;

    let old = request.replace("HTTP/1.1", "HTTP/1.0");
    let mut connection = world.connect().await;
    connection.write(&old).await;
    assert_eq!(connection.answer().await.body, whole.1);
    assert_eq!(connection.until_closed().await, b"");

    let last = request.replacen("\r\nhost: a", "\r\nhost: a\r\nconnection: close", 1);
    let mut connection = world.connect().await;
    connection.write(&format!("{request}{last}{request}")).await;
    assert_eq!(answer(&mut connection).await, whole);
    let closing = connection.answer().await;
    assert_eq!(closing.body, whole.1);
    assert_eq!(closing.header("connection"), Some("close"));
    assert_eq!(connection.until_closed().await, b"");

    let mut connection = world.connect().await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let (head, _) = head.split_once("content-length").unwrap();
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    connection
        .write(&format!("{request}{chunked}{request}"))
        .await;
    for _ in 0..3 {
        assert_eq!(answer(&mut connection).await, whole);
    }

    let absolute = request.replace("POST /api/verify", "POST http://a/api/verify?a=b");
    assert_eq!(ask(&world, &absolute).await, whole);
    let head = request.replace("POST", "HEAD");
    let mut connection = world.connect().await;
    connection.write(head).await;
    let refused = String::from_utf8(connection.until_answered().await).unwrap();
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");

    let padded = |length: usize| {
        let body = format!("{body}{}", " ".repeat(length - body.len()));
        let (head, _) = request.split_once("content-length").unwrap();
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    };
    for length in [1000, 15_000, 16_384, 65_536] {
        assert_eq!(ask(&world, &padded(length)).await, whole, "{length}");
    }
    let (head, body) = ask(&world, &padded(65_537)).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(code(&body), "payload_too_large");
}

async fn a_body_ends_where_its_length_says(store: Kind) {
    let (world, request) = world_of_one(store).await;
    let whole = ask(&world, &request).await;
    let hidden = "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";

    // What stands in a body is no request.
    let (head, body) = request.split_once("content-length").unwrap();
    let (_, body) = body.split_once("\r\n\r\n").unwrap();
    let mut connection = world.connect().await;
    let inside = format!(
        "{head}content-length: {}\r\n\r\n{body}{hidden}",
        body.len() + hidden.len()
    );
    connection.write(format!("{inside}{request}")).await;
    let refused = connection.answer().await;
    assert_eq!((refused.status, &*refused.code()), (400, "malformed_json"));
    assert_eq!(answer(&mut connection).await, whole);

    // What stands behind one is.
    let mut connection = world.connect().await;
    connection.write(format!("{request}{hidden}")).await;
    assert_eq!(answer(&mut connection).await, whole);
    assert_eq!(connection.answer().await.body, r#"{"status":"live"}"#);

    // Where two readers could differ, the HTTP library decides, as it does for every other route.
    for lengths in [
        "content-length: 0\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 0\r\n",
        "content-length: 0, 5\r\n",
        "content-length: +5\r\n",
        "content-length: 5 5\r\n",
        "transfer-encoding: xchunked\r\n",
    ] {
        let doubtful = format!("{head}{lengths}\r\n0\r\n\r\n{hidden}");
        let mut answers = Vec::new();
        for doubtful in [general(&doubtful), doubtful] {
            let mut connection = world.connect().await;
            connection.write(doubtful).await;
            connection.finish().await;
            let all = String::from_utf8(connection.until_closed().await).unwrap();
            let dateless = all.lines().filter(|line| !line.starts_with("date: "));
            answers.push(dateless.collect::<Vec<_>>().join("\n"));
        }
        assert_eq!(answers[0], answers[1], "{lengths}");
    }
}

async fn a_request_that_breaks_off_is_no_request(store: Kind) {
    let (world, request) = world_of_one(store).await;
    for end in [1, 40, request.len() - 1] {
        let mut answers = Vec::new();
        for request in [general(&request), request.clone()] {
            let mut connection = world.connect().await;
            connection
                .write(&request[..request.len() - (end.min(request.len() - 1))])
                .await;
            connection.finish().await;
            answers.push(connection.until_closed().await.len());
        }
        assert_eq!(answers[0], answers[1], "{end}");
    }
}

async fn a_refusal_does_not_end_the_connection(store: Kind) {
    let (world, request) = world_of_one(store).await;
    let mut connection = world.connect().await;
    for _ in 0..3 {
        connection
            .write(request.replace("Bearer kw_", "Bearer kx_"))
            .await;
        let refused = connection.answer().await;
        assert_eq!((refused.status, &*refused.code()), (401, "invalid_token"));
        assert!(refused.header("www-authenticate").is_some());
        connection.write(&request).await;
        assert_eq!(code(&answer(&mut connection).await.1), "VALID");
    }
}

async fn what_the_database_cannot_tell_is_told_by_the_handler(store: Kind) {
    let (world, request) = world_of_one(store).await;
    world.database_suffers(Fault::Down);
    let mut connection = world.connect().await;
    for _ in 0..2 {
        connection.write(&request).await;
        let refused = connection.answer().await;
        assert_eq!((refused.status, &*refused.code()), (503, "unavailable"));
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
}

/// Where it decides from memory. (On PostgreSQL it does not yet, and asks for each.)
#[tokio::test]
async fn who_asks_beyond_the_bound_of_look_ups_is_turned_away_by_the_handler() {
    let world = World::with(Kind::Sqlite, |settings| {
        settings.verifier.loads.tagged = 1;
    })
    .await;
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let ada = world.user("ada");
    let mut requests = Vec::new();
    for name in ["a", "b"] {
        let key = ada.create_key(name, &[]).await;
        let body = json!({"key": key.text}).to_string();
        requests.push(request(&headers(&service), &body));
    }
    // Whoever asks is known, and so are the keyspaces.
    let made_up = json!({"key": "agpt_"}).to_string();
    let made_up = request(&headers(&service), &made_up);
    let mut connections = [world.connect().await, world.connect().await];
    connections[0].write(&made_up).await;
    assert_eq!(code(&answer(&mut connections[0]).await.1), "NOT_FOUND");

    world.store.hold_lookups();
    connections[0].write(&requests[0]).await;
    world.store.arrived.acquire().await.unwrap().forget();
    for _ in 0..2 {
        connections[1].write(&requests[1]).await;
        let refused = connections[1].answer().await;
        assert_eq!((refused.status, &*refused.code()), (503, "unavailable"));
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    world.store.release_lookups();
    assert_eq!(code(&answer(&mut connections[0]).await.1), "VALID");
    connections[1].write(&requests[1]).await;
    assert_eq!(code(&answer(&mut connections[1]).await.1), "VALID");
}

async fn a_change_is_seen_on_the_same_connection(store: Kind) {
    let world = World::on(store).await;
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    let request = request(&headers(&service), &json!({"key": key.text}).to_string());
    let mut connection = world.connect().await;
    let mut expect = async |expected: &str| {
        for _ in 0..2 {
            connection.write(&request).await;
            assert_eq!(code(&answer(&mut connection).await.1), expected);
        }
    };
    expect("VALID").await;
    ada.act(&format!("{}/suspend", key.path())).await.ok();
    expect("SUSPENDED").await;
    ada.act(&format!("{}/reactivate", key.path())).await.ok();
    expect("VALID").await;
    ada.delete(&key.path()).await.ok();
    expect("REVOKED").await;
}

async fn a_stop_finishes_a_verification_that_has_begun(store: Kind) {
    let (mut world, request) = world_of_one(store).await;
    let mut connection = world.connect().await;
    // In one piece: with the answer of the first, the server has the beginning of the second.
    let (begun, rest) = request.split_at(request.len() - 5);
    connection.write(format!("{request}{begun}")).await;
    answer(&mut connection).await;
    let stopping = tokio::spawn(world.take_server().stop());
    let address = world.address;
    eventually(async || {
        let refused = tokio::net::TcpStream::connect(address).await.is_err();
        refused.then_some(())
    })
    .await;
    connection.write(rest).await;
    // Whether the answer says `Connection: close` depends on whether the connection's thread has heard of the stop yet;
    // that it is whole, and that the connection then ends, does not.
    assert_eq!(connection.answer().await.status, 200);
    assert_eq!(connection.until_closed().await, b"");
    assert_eq!(stopping.await.unwrap().cut_off, 0);
}

async fn a_stop_waits_for_no_verifier_who_asks_nothing(store: Kind) {
    let (mut world, request) = world_of_one(store).await;
    let mut connection = world.connect().await;
    connection.write(&request).await;
    answer(&mut connection).await;
    let stopped = tokio::time::timeout(Duration::from_secs(5), world.stop()).await;
    assert_eq!(stopped.expect("nobody is waited for").cut_off, 0);
    assert_eq!(connection.until_closed().await, b"");
}

async fn a_verifier_who_reads_nothing_is_cut_off(store: Kind) {
    let world = World::with(store, |settings| {
        settings.write_timeout = Duration::from_millis(200);
        settings.max_connections = 1;
    })
    .await;
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let mut stalled = Connection::with_little_room(world.address).await;
    // An answer of four kilobytes to each.
    let body = json!({"key": key.text, "permissions": ["x".repeat(4000)]}).to_string();
    let request = request(&headers(&service), &body).repeat(10);
    let flood = async { while stalled.try_write(&request).await {} };
    tokio::time::timeout(Duration::from_secs(30), flood)
        .await
        .expect("it is cut off");
    // Its place is free for the next one, who is answered within the clients' 30 seconds.
    assert_eq!(world.anonymous().get("/health/live").await.status, 200);
}

async fn requests_are_counted_on_both_ways(store: Kind) {
    let (world, request) = world_of_one(store).await;
    let counted = async || {
        let text = world.anonymous().get("/metrics").await.body;
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        let of = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            let ours = lines.filter(|line| line.contains(r#"route="/api/verify""#));
            ours.map(value).sum::<f64>()
        };
        (
            of("keywright_http_requests_total"),
            of("keywright_http_request_seconds_count"),
        )
    };
    // Other tests of this process share the counts.
    let before = counted().await;
    let mut connection = world.connect().await;
    for _ in 0..10 {
        connection.write(&request).await;
        answer(&mut connection).await;
    }
    ask(&world, &general(&request)).await;
    let after = counted().await;
    assert!(after.0 >= before.0 + 11.0, "{before:?} {after:?}");
    assert!(after.1 >= before.1 + 11.0, "{before:?} {after:?}");
}
