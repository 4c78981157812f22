//! What `serve` does with its options, and how it stops.

use std::net::TcpStream;

use serde_json::Value;

use crate::support::{Machine, On};

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
