//! Clients that go away in the middle of a change: it is made whole, or not at all.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use serde_json::{Value, json};

use crate::support::{LONG, NewKey, World, assert_whole, eventually, now, on_both_stores};

on_both_stores! {
    a_client_that_hangs_up_in_the_middle_of_a_change_leaves_it_whole
}

/// How a client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HangUp {
    /// It ends the connection: FIN.
    Close,
    /// It tears it down: RST.
    Reset,
    /// It ends its own side, and reads on.
    HalfClose,
}

const WAYS: [HangUp; 3] = [HangUp::Close, HangUp::Reset, HangUp::HalfClose];

/// How many changes are broken off, each a little later than the one before.
const TIMES: u32 = 150;

fn a_client_that_hangs_up_in_the_middle_of_a_change_leaves_it_whole(world: &World) {
    let token = world.token("ada");
    let ada = world.user("ada");
    let body = json!({"name": "broken off", "permissions": ["READ_GRAPH"]});
    let create = request("POST", "/api/api-keys", &token, Some(&body));
    let began = now();
    let keys: Vec<NewKey> = (0..TIMES).map(|_| ada.key("to be revoked")).collect();
    // From one to the next. The last ones come when a change was answered twice over, as fast as this machine is.
    let step = 2 * now().saturating_sub(began) / TIMES / TIMES;
    let before = world.database.number("SELECT COUNT(*) FROM api_keys");

    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            // One statement sees one moment, and nothing is half done at any.
            (0..10).for_each(|_| assert_whole(&world.database));
        });
        for way in WAYS {
            for (number, key) in (0..TIMES).zip(&keys) {
                break_off(world, &create, step * number, way);
                if number as usize % WAYS.len() == way as usize {
                    let revoke = request("DELETE", &key.path(), &token, None);
                    break_off(world, &revoke, step * number, way);
                }
            }
        }
        watching.join().expect("the tables were whole");
    });
    // Those that waited for the answer to begin were made, whoever read it.
    let answered = 20;
    for _ in 0..answered {
        let mut stream = send(world, &create);
        stream.read_exact(&mut [0]).expect("an answer begins");
        set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
    }
    // Half of a request changes nothing.
    for length in [1, create.len() / 2, create.len() - 1] {
        drop(send(world, &create[..length]));
    }

    eventually("every connection is closed", || {
        (open_connections(world) == 0).then_some(())
    });
    world.restart();
    assert_whole(&world.database);
    let made = world.database.number("SELECT COUNT(*) FROM api_keys") - before;
    let asked = i64::from(3 * TIMES + answered);
    assert!(
        (i64::from(answered)..=asked).contains(&made),
        "{made} of {asked}"
    );
    let revoked = world
        .database
        .number("SELECT COUNT(*) FROM api_keys WHERE status = 'REVOKED'");
    assert!((1..=i64::from(TIMES)).contains(&revoked), "{revoked}");

    let listed = world.admin().get("/api/users/ada").ok();
    assert_eq!(listed["api_keys"], before - 1 + made);
    for key in &keys {
        let stored = ada.get(&key.path()).ok();
        let expected = if stored["status"] == "REVOKED" {
            "REVOKED"
        } else {
            "VALID"
        };
        assert_eq!(world.admin().verify(key), expected);
    }
}

fn request(method: &str, path: &str, token: &str, body: Option<&Value>) -> Vec<u8> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn send(world: &World, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(world.node.address()).expect("the server listens");
    stream.set_read_timeout(Some(LONG)).expect("not zero");
    stream.write_all(request).expect("the request is small");
    stream
}

/// Sends a request and goes away after `delay`, which is no wait for anything: it chooses the moment to break off.
fn break_off(world: &World, request: &[u8], delay: Duration, way: HangUp) {
    let mut stream = send(world, request);
    thread::sleep(delay);
    match way {
        HangUp::Close => {}
        HangUp::Reset => set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket"),
        HangUp::HalfClose => {
            stream.shutdown(Shutdown::Write).expect("it is open");
            // What comes, or that nothing does, is the server's to choose; that it ends is not.
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
        }
    }
}

/// How many connections to the server are established, from the server's side, in the kernel's own list.
fn open_connections(world: &World) -> usize {
    const ESTABLISHED: &str = "01";
    const CLOSE_WAIT: &str = "08";
    let port = format!(":{:04X}", world.node.address().port());
    let list = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let states = list.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        local.ends_with(&port).then(|| fields.nth(1))?
    });
    states
        .filter(|state| [ESTABLISHED, CLOSE_WAIT].contains(state))
        .count()
}
