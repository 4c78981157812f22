//! What `serve` does with its options, and how it stops.

use std::fs::{File, Permissions, set_permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::support::{JWT_SECRET, Machine, On, Server};

fn status(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it reads");
    let answer = std::io::read_to_string(stream).expect("it answers");
    answer.split(' ').nth(1).expect("a status").to_owned()
}

#[test]
fn the_log_is_json_and_metrics_have_an_address_of_their_own() {
    let mut machine = Machine::new(On::Sqlite);
    machine.set("KEYWRIGHT_LOG_FORMAT", "json");
    machine.set("KEYWRIGHT_METRICS_LISTEN", "127.0.0.1:0");
    machine.set("KEYWRIGHT_WORKERS", "1");
    let server = machine.serve(&[]);
    let log = machine.read("server.log");
    let entries: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let metrics = entries
        .iter()
        .find(|entry| entry["message"] == "metrics have an address of their own")
        .and_then(|entry| entry["listen"].as_str())
        .expect("it is logged");
    assert_eq!(status(metrics, "/metrics"), "200");
    let api = server.address.strip_prefix("http://").unwrap();
    assert_eq!(
        (status(api, "/metrics"), status(api, "/health/ready")),
        ("404".to_owned(), "200".to_owned())
    );
    assert!(server.stop().success());
}

/// Starts a server whose PostgreSQL freezes; gives it once its connection hears no more. What that answered before is
/// `answers`, one for each message.
fn serve_on_frozen_postgres(answers: &[&[u8]]) -> (Machine, Server, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut machine = Machine::new(On::Sqlite);
    let url = format!("postgres://keywright@{address}/keywright?sslmode=disable");
    machine.set("KEYWRIGHT_DATABASE", &url);
    machine.set("KEYWRIGHT_JWT_SECRET", JWT_SECRET);
    let server = machine.begin_to_serve(&[]);
    let (mut connection, _) = listener.accept().unwrap();
    let mut message = [0; 1024];
    for answer in answers {
        assert_ne!(connection.read(&mut message).unwrap(), 0);
        connection.write_all(answer).unwrap();
    }
    assert_ne!(connection.read(&mut message).unwrap(), 0);
    (machine, server, connection)
}

/// The user is let in, and the server is ready for a query (PostgreSQL protocol, "Start-up").
const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

#[test]
fn a_server_that_waits_for_its_database_stops_when_asked() {
    for answers in [&[][..], &[LET_IN]] {
        let (machine, server, _connection) = serve_on_frozen_postgres(answers);
        assert_eq!(server.stop().code(), Some(0), "{answers:?}");
        let log = machine.read("server.log");
        assert!(log.contains("stopped before it listened"), "{log}");
    }
}

/// Whether a process waits for a file's lock, by the kernel's own list.
fn waits_for_a_lock(server: &Server) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").expect("Linux");
    let id = server.id().to_string();
    locks.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("->") && words.nth(3) == Some(&id)
    })
}

#[test]
fn a_server_that_waits_for_the_folder_of_its_first_key_stops_when_asked() {
    let machine = Machine::new(On::Sqlite);
    std::fs::create_dir(machine.path("keys")).unwrap();
    let folder = File::open(machine.path("keys")).unwrap();
    flock(&folder, FlockOperation::LockExclusive).unwrap();
    let server = machine.begin_to_serve(&["--admin-key-file", "keys/first", "--workers", "1"]);
    while !waits_for_a_lock(&server) {
        thread::yield_now();
    }
    assert_eq!(server.stop().code(), Some(0));
    assert!(!machine.path("keys/first").exists());
}

#[test]
fn people_are_told_where_the_console_is() {
    let mut machine = Machine::new(On::Sqlite);
    let server = machine.serve(&[]);
    let said = server.says();
    assert_eq!(said, format!("console at {}/", server.address));
    assert!(server.stop().success());
    let server = machine.serve(&["--public-url", "https://Keys.example.com"]);
    assert_eq!(server.says(), "console at https://keys.example.com/");
    server.kill();
    let server = machine.serve(&["--listen", "0.0.0.0:0", "--insecure-http"]);
    let here = server.address.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(server.says(), format!("console at {here}/"));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let machine = Machine::new(On::Sqlite);
    let said = machine.run(&["serve", "--listen", &address]).fails(1);
    assert!(
        said.contains(&format!("{address} cannot be listened on: ")) && said.contains("--listen"),
        "{said}"
    );
    // No service key was made on the way.
    assert!(!machine.path("keywright-data/admin-key").exists());
}

#[test]
fn a_password_among_the_arguments_is_warned_of_and_not_repeated() {
    let mut machine = Machine::new(On::Postgres);
    let url = machine.variable("KEYWRIGHT_DATABASE").to_owned();
    let password = url.split([':', '@']).nth(2).expect("it has one").to_owned();
    machine
        .serve(&["--database", &url, "--log", "trace"])
        .kill();
    let log = machine.read("server.log");
    assert!(log.contains("password is on the command line"), "{log}");
    assert!(!log.contains(&password), "{log}");
    machine.serve(&[]).kill();
    assert!(!machine.read("server.log").contains("command line"));
}

#[test]
fn a_secret_that_others_can_read_is_warned_of() {
    let mut machine = Machine::new(On::Sqlite);
    machine.write("secret", JWT_SECRET);
    machine.set("KEYWRIGHT_JWT_SECRET_FILE", "secret");
    for (mode, warns) in [(0o600, false), (0o604, true), (0o620, true), (0o400, false)] {
        set_permissions(machine.path("secret"), Permissions::from_mode(mode)).unwrap();
        machine.serve(&[]).kill();
        let log = machine.read("server.log");
        assert_eq!(log.contains("chmod 0600"), warns, "{mode:o}: {log}");
        assert!(!log.contains(JWT_SECRET));
    }
}

#[test]
fn proxies_that_are_everybody_are_warned_of() {
    let mut machine = Machine::new(On::Sqlite);
    for (proxies, warns) in [
        ("10.0.0.0/8,::/0", true),
        ("0.0.0.0/0", true),
        ("10.0.0.0/8", false),
    ] {
        machine.serve(&["--behind-proxy", proxies]).kill();
        let log = machine.read("server.log");
        assert_eq!(log.contains("names everybody"), warns, "{proxies}: {log}");
    }
}

#[test]
fn the_secrets_it_keeps_are_in_no_log() {
    let mut machine = Machine::new(On::Sqlite);
    let server = machine.serve(&["--log", "trace"]);
    let token = machine.run(&["token", "--user", "u"]).ok();
    machine.run(&["users", "list"]).ok();
    assert!(server.stop().success());
    let log = machine.read("server.log");
    assert!(log.contains(" DEBUG "), "it is as loud as can be");
    let files = ["keywright-data/jwt-secret", "keywright-data/admin-key"];
    for secret in files.map(|file| machine.read(file)).iter().chain([&token]) {
        assert!(!log.contains(secret.trim()));
    }
}
