//! What one connection may take from the others and from a stop: turns, time, places.

use std::pin::pin;
use std::time::Duration;

use futures::poll;
use keywright_server::Settings;
use serde_json::json;

use crate::support::{Connection, Kind, World, eventually, on_both_stores};

on_both_stores![
    who_asks_without_a_pause_takes_turns_with_others,
    a_stop_ends_what_asks_without_a_pause,
    a_stop_reaches_who_has_used_up_a_turn,
    a_stop_waits_for_what_the_database_is_asked,
    a_connection_that_asks_nothing_is_closed,
    a_request_that_does_not_go_on_is_closed,
    a_request_may_pause,
    a_panic_on_the_short_way_ends_nothing,
];

/// How long a head may take where a test waits for the end of that.
const SHORT: Duration = Duration::from_millis(500);

/// A verification of a key that is none.
async fn verification(world: &World) -> String {
    let (_, service) = world.service_key(&["keys:verify"]).await;
    let body = json!({"key": "a"}).to_string();
    let length = body.len();
    format!(
        "POST /api/verify HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {service}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The same, once memory can answer it.
async fn known_verification(world: &World) -> String {
    let request = verification(world).await;
    let mut connection = world.connect().await;
    for _ in 0..2 {
        connection.write(&request).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    request
}

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";

/// A server on this test's own thread: it goes on only while the test waits.
async fn on_this_thread(store: Kind, change: impl FnOnce(&mut Settings)) -> World {
    World::with(store, |settings| {
        settings.workers = 0;
        change(settings);
    })
    .await
}

async fn who_asks_without_a_pause_takes_turns_with_others(store: Kind) {
    let world = on_this_thread(store, |_| ()).await;
    let request = known_verification(&world).await;
    let mut connection = world.connect().await;
    let count = 1000;
    connection.write(request.repeat(count)).await;
    let mut turns = 0;
    for _ in 0..count {
        let mut answer = pin!(connection.answer());
        while poll!(answer.as_mut()).is_pending() {
            turns += 1;
            tokio::task::yield_now().await;
        }
    }
    // The answers have about 250 KiB together, and a turn 16 of them.
    assert!(turns >= 6, "{turns}");
}

async fn a_stop_ends_what_asks_without_a_pause(store: Kind) {
    let mut world = World::on(store).await;
    let request = known_verification(&world).await;
    let requests = request.repeat(100).into_bytes();
    let flood = world.connect().await.flood(requests).await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), world.stop()).await;
    assert_eq!(stopped.expect("it ends").cut_off, 0);
    flood.await.unwrap();
}

async fn a_stop_reaches_who_has_used_up_a_turn(store: Kind) {
    let mut world = on_this_thread(store, |settings| {
        settings.stop_timeout = Duration::from_secs(2);
    })
    .await;
    let request = known_verification(&world).await;
    let refused = |length: usize| {
        let begin = "POST /api/verify HTTP/1.1\r\ncontent-length: 0\r\na: ";
        let end = "\r\n\r\n";
        let padding = "b".repeat(length - begin.len() - end.len());
        format!("{begin}{padding}{end}")
    };
    let mut connections = Vec::new();
    // The runtime lets a task go on for 128 operations. With one of these counts, the last of them is the last that
    // is done for the 16 KiB that are read at once.
    for (count, answered_before) in (125..=128).flat_map(|count| [(count, 0), (count, 1)]) {
        let length = (16 * 1024 - request.len()) / count;
        let before = request.repeat(answered_before);
        let requests = before + &refused(length).repeat(count) + &request.repeat(5);
        assert!(requests.len() > 16 * 1024);
        let mut connection = Connection::with_written(world.address, requests.as_bytes());
        for _ in 0..answered_before + count + 5 {
            connection.answer().await;
        }
        connections.push(connection);
    }
    assert_eq!(world.stop().await.cut_off, 0);
}

async fn a_stop_waits_for_what_the_database_is_asked(store: Kind) {
    let mut world = World::on(store).await;
    let request = verification(&world).await;
    let mut connection = world.connect().await;
    world.store.hold_lookups();
    connection.write(request.repeat(2)).await;
    world.store.arrived.acquire().await.unwrap().forget();
    let stopping = tokio::spawn(world.take_server().stop());
    let address = world.address;
    eventually(async || {
        let refused = tokio::net::TcpStream::connect(address).await.is_err();
        refused.then_some(())
    })
    .await;
    assert!(!stopping.is_finished());
    world.store.release_lookups();
    // The first had begun, the second had not.
    let answer = connection.answer().await;
    let found = (answer.status, answer.header("connection"));
    assert_eq!(found, (200, Some("close")));
    assert_eq!(connection.until_closed().await, b"");
    assert_eq!(stopping.await.unwrap().cut_off, 0);
}

async fn with_short_heads(store: Kind) -> World {
    World::with(store, |settings| settings.header_timeout = SHORT).await
}

async fn a_connection_that_asks_nothing_is_closed(store: Kind) {
    let world = with_short_heads(store).await;
    let request = known_verification(&world).await;
    for before in ["", &request, LIVE] {
        let mut connection = world.connect().await;
        let mut early = pin!(tokio::time::sleep(SHORT / 2));
        assert!(poll!(early.as_mut()).is_pending());
        if !before.is_empty() {
            connection.write(before).await;
            assert_eq!(connection.answer().await.status, 200);
        }
        assert_eq!(connection.until_closed().await, b"");
        assert!(early.is_elapsed());
    }
}

async fn a_request_that_does_not_go_on_is_closed(store: Kind) {
    let world = World::with(store, |settings| {
        settings.header_timeout = SHORT;
        settings.body_timeout = SHORT;
    })
    .await;
    let request = known_verification(&world).await;
    // In the first line, in the headers, behind another, in the body.
    for end in [1, 40, request.len() + 40, request.len() - 1] {
        let mut connection = world.connect().await;
        connection.write(&request.repeat(2)[..end]).await;
        let came = connection.until_closed().await;
        let came = String::from_utf8(came).unwrap();
        let expected = match end {
            1 | 40 => "",
            _ if end > request.len() => "HTTP/1.1 200 OK\r\n",
            _ => "HTTP/1.1 408 Request Timeout\r\n",
        };
        assert!(came.starts_with(expected), "{end}: {came}");
        assert_eq!(came.is_empty(), expected.is_empty(), "{end}: {came}");
    }
}

async fn a_request_may_pause(store: Kind) {
    let world = World::with(store, |settings| settings.header_timeout = 2 * SHORT).await;
    let request = known_verification(&world).await;
    let mut connection = world.connect().await;
    // For longer than it is waited for on the short way.
    for end in [40, request.len() - 1] {
        let (begin, rest) = request.split_at(end);
        connection.write(begin).await;
        tokio::time::sleep(SHORT).await;
        connection.write(rest).await;
        assert_eq!(connection.answer().await.status, 200);
    }
}

async fn a_panic_on_the_short_way_ends_nothing(store: Kind) {
    let world = World::on(store).await;
    let request = known_verification(&world).await;
    let mut connection = world.connect().await;
    connection.write(&request).await;
    let expected = connection.answer().await.body;
    world.clock.panic_once();
    connection.write(request.repeat(3)).await;
    for _ in 0..3 {
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.body), (200, expected.clone()));
    }
    assert!(!world.clock.will_panic());
}
