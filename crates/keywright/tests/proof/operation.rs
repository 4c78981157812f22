//! Starting, stopping, and being refused.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::support::{LONG, Launch, World, assert_whole, eventually, on_both_stores, run};

on_both_stores! {
    a_request_that_has_begun_is_finished_before_the_server_ends
    the_last_use_is_written_before_the_server_ends
}

fn a_request_that_has_begun_is_finished_before_the_server_ends(world: &World) {
    let body = json!({"name": "begun", "permissions": []}).to_string();
    let token = world.token("ada");
    let length = body.len();
    let address = world.node.address();
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(LONG)).expect("not zero");
    let head = format!(
        "POST /api/api-keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    );
    stream
        .write_all(head.as_bytes())
        .expect("the request is small");
    // It asks for the body, so the request has begun.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");

    kill_process(world.node.process(), Signal::TERM).expect("it runs");
    eventually("no further connection is taken", || {
        TcpStream::connect(address).is_err().then_some(())
    });
    stream
        .write_all(body.as_bytes())
        .expect("the connection is held");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"plain_text_key\""), "{answer}");

    assert_eq!(world.node.wait().code(), Some(0), "{}", world.node.log());
    assert_eq!(
        world
            .database
            .number("SELECT COUNT(*) FROM api_keys WHERE name = 'begun'"),
        1
    );
    assert_whole(&world.database);
}

fn the_last_use_is_written_before_the_server_ends(world: &World) {
    let key = world.user("ada").key("used");
    assert_eq!(world.admin().verify(&key), "VALID");
    assert_eq!(world.node.stop().code(), Some(0), "{}", world.node.log());
    let unwritten = "SELECT COUNT(*) FROM api_keys WHERE last_used_at IS NULL";
    assert_eq!(world.database.number(unwritten), 0);
}

#[test]
fn clear_text_on_a_network_is_refused_unless_it_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = [
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let (code, printed, said) = run(&Launch::default(), &arguments);
    assert_eq!((code, printed.as_str()), (Some(2), ""));
    for word in [
        "0.0.0.0:0",
        "clear text",
        "--behind-proxy",
        "--insecure-http",
    ] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!data.exists(), "something was made");

    for meant in ["--insecure-http", "--behind-proxy=10.0.0.0/8"] {
        let launch = Launch {
            listen: Some("0.0.0.0:0".to_owned()),
            arguments: vec![meant.to_owned()],
            ..Launch::default()
        };
        let world = World::on_sqlite_with(launch);
        assert_eq!(world.nobody().get("/health/ready").status, 200);
    }
}

#[test]
fn a_second_process_on_an_embedded_database_is_told_what_to_do() {
    let world = World::on_sqlite();
    let data = world.node.data();
    let data = data.to_str().unwrap();
    for command in [&["serve", "--listen=127.0.0.1:0"][..], &["admin-key"]] {
        let arguments = [command, &["--data-dir", data]].concat();
        let (code, printed, said) = run(&Launch::default(), &arguments);
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{said}");
        assert!(
            said.contains("keywright.db is in use by another process"),
            "{said}"
        );
        assert!(
            said.contains("stop that process, or use PostgreSQL"),
            "{said}"
        );
    }
    assert_eq!(world.nobody().get("/health/ready").status, 200);

    // After a kill nothing is left that would have to be cleared away.
    world.node.kill();
    world.node.start_again();
    assert_eq!(world.nobody().get("/health/ready").status, 200);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    let (code, said) = serve_as_nobody_special(folder.path(), &data);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error: "), "{said}");
    assert!(said.contains(data.to_str().unwrap()), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn a_database_that_cannot_be_written_is_named() {
    let world = World::on_sqlite();
    assert!(world.node.stop().success());
    let data = world.node.data();
    let file = data.join("keywright.db");
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        give_away(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    }
    give_away(&data);
    let (code, said) = serve_as_nobody_special(world.folder(), &data);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn a_database_that_is_not_there_is_told_without_its_password() {
    let launch = Launch::default()
        .with(
            "KEYWRIGHT_DATABASE",
            "postgres://keywright:hunter2-hunter2@127.0.0.1:1/keywright",
        )
        .with("KEYWRIGHT_JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let (code, printed, said) = run(
        &launch,
        &["serve", "--listen=127.0.0.1:0", "--data-dir", data],
    );
    assert_eq!((code, printed.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("127.0.0.1:1/keywright"), "{said}");
    assert!(said.contains("not available"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// Somebody who is not root, whom permissions do not bind.
const NOBODY: u32 = 65_534;

/// If this is root, gives a file to somebody who is not.
fn give_away(path: &Path) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Starts a server that is to fail, as somebody whom permissions bind; gives its exit code and what it said.
fn serve_as_nobody_special(folder: &Path, data: &Path) -> (Option<i32>, String) {
    let serve = [
        "serve",
        "--listen=127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    if !rustix::process::geteuid().is_root() {
        let (code, _, said) = run(&Launch::default(), &serve);
        return (code, said);
    }
    // The program itself may be where only root can go.
    let program = folder.join("keywright");
    fs::copy(env!("CARGO_BIN_EXE_keywright"), &program).unwrap();
    let mut open = folder;
    while open.starts_with(std::env::temp_dir()) && open != std::env::temp_dir() {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
        open = open.parent().unwrap();
    }
    let identity = NOBODY.to_string();
    let output = Command::new("setpriv")
        .args([
            "--reuid",
            &identity,
            "--regid",
            &identity,
            "--clear-groups",
            "--",
        ])
        .arg(&program)
        .args(serve)
        .env_clear()
        .current_dir("/")
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
