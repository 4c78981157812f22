//! Clients who only connect take nothing from those who ask.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::{Machine, On};

/// Asks on a connection that is kept.
fn ask(mut stream: &TcpStream, service_key: &str) {
    let body = format!(r#"{{"key":"{service_key}"}}"#);
    let request = format!(
        "POST /api/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service_key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
}

/// The status of the answer on such a connection.
fn answered(mut stream: &TcpStream) -> String {
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).expect("it answers");
    let answer = String::from_utf8_lossy(&answer[..length]);
    answer.split(' ').nth(1).expect("a status").to_owned()
}

fn idle_connections_keep_nobody_from_verifying(on: On) {
    let mut machine = Machine::new(on);
    machine.limit_open_files(256, 256);
    let server = machine.serve(&[]);
    let key = machine.read("keywright-data/admin-key");
    let address: SocketAddr = server
        .address
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let kept: Vec<TcpStream> = (0..8)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    // Each is in the server's hands, and not in the queue behind the idle ones.
    for mut stream in &kept {
        stream
            .write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        assert_eq!(answered(stream), "200");
    }
    let idle: Vec<TcpStream> = (0..400)
        .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok())
        .collect();
    assert!(idle.len() > 128, "{}", idle.len());
    // At once, so that they need a connection to the database each.
    for stream in &kept {
        ask(stream, key.trim());
    }
    for stream in &kept {
        assert_eq!(answered(stream), "200");
    }
    let log = machine.read("server.log");
    assert!(log.contains("raise `ulimit -n`"), "{log}");
}

#[test]
fn idle_connections_keep_nobody_from_verifying_on_sqlite() {
    idle_connections_keep_nobody_from_verifying(On::Sqlite);
}

#[test]
fn idle_connections_keep_nobody_from_verifying_on_postgres() {
    idle_connections_keep_nobody_from_verifying(On::Postgres);
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_takes_as_many_files_as_it_may() {
    let mut machine = Machine::new(On::Sqlite);
    machine.limit_open_files(200, 900);
    let server = machine.serve(&[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let open_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .unwrap();
    let limits: Vec<&str> = open_files.split_whitespace().take(2).collect();
    assert_eq!(limits, ["900", "900"]);
}
