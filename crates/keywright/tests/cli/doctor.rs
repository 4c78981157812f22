//! `doctor`: says what is so and what to do, beside a running server too.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::{Machine, On};

/// The verdicts, by what they are about.
fn verdicts(out: &str) -> Vec<(&str, &str)> {
    out.lines()
        .map(|line| line.split_at(line.find("  ").expect("columns")))
        .map(|(verdict, rest)| {
            (
                verdict.trim(),
                rest.trim().split("  ").next().expect("a name"),
            )
        })
        .collect()
}

#[test]
fn before_the_first_start_nothing_fails_and_nothing_is_made() {
    let machine = Machine::bare();
    let out = machine.run(&["doctor"]).ok();
    assert_eq!(
        verdicts(&out),
        [
            ("ok", "configuration"),
            ("warn", "data folder"),
            ("warn", "JWTs of users"),
            ("warn", "database")
        ]
    );
    assert!(!machine.path("keywright-data").exists());
}

fn all_is_well(on: On) {
    let mut machine = Machine::new(on);
    let server = machine.serve(&[]);
    let expected = [
        ("ok", "configuration"),
        ("ok", "data folder"),
        ("ok", "JWTs of users"),
        ("ok", "database"),
        ("ok", "migrations"),
        ("ok", "service key"),
        ("ok", "admin-key file"),
    ];
    let out = machine.run(&["doctor"]).ok();
    assert_eq!(verdicts(&out), expected, "beside the server:\n{out}");
    assert!(server.stop().success());
    let out = machine.run(&["doctor"]).ok();
    assert_eq!(verdicts(&out), expected, "without the server:\n{out}");
}

#[test]
fn all_is_well_on_sqlite() {
    all_is_well(On::Sqlite);
}

#[test]
fn all_is_well_on_postgres() {
    all_is_well(On::Postgres);
}

#[test]
fn what_is_open_to_others_fails_and_the_remedy_is_named() {
    let mut machine = Machine::new(On::Sqlite);
    machine.serve(&[]).kill();
    let paths = [
        "keywright-data",
        "keywright-data/jwt-secret",
        "keywright-data/keywright.db",
        "keywright-data/admin-key",
    ];
    for path in paths {
        let right = machine.mode(path);
        fs::set_permissions(machine.path(path), Permissions::from_mode(right | 0o040)).unwrap();
        let done = machine.run(&["doctor"]);
        assert_eq!(done.code, 1, "{path}");
        assert!(
            done.out.contains(&format!("chmod {right:04o} {path}")),
            "{}",
            done.out
        );
        fs::set_permissions(machine.path(path), Permissions::from_mode(right)).unwrap();
    }
    machine.run(&["doctor"]).ok();
}

#[test]
fn a_wrong_configuration_is_a_finding() {
    let machine = Machine::bare();
    let done = machine.run(&["doctor", "--listen", "0.0.0.0:1"]);
    assert_eq!(done.code, 1);
    assert_eq!(verdicts(&done.out), [("FAIL", "configuration")]);
}

#[test]
fn a_database_that_does_not_answer_fails() {
    let mut machine = Machine::bare();
    machine.set("KEYWRIGHT_DATABASE", "postgres://u@127.0.0.1:1/d");
    machine.set("KEYWRIGHT_JWT_SECRET", crate::support::JWT_SECRET);
    let done = machine.run(&["doctor"]);
    assert_eq!(done.code, 1);
    assert!(
        verdicts(&done.out).contains(&("FAIL", "database")),
        "{}",
        done.out
    );
}

#[test]
fn an_empty_database_is_brought_forward() {
    let machine = Machine::new(On::Postgres);
    let out = machine.run(&["doctor"]).ok();
    assert!(verdicts(&out).contains(&("warn", "migrations")), "{out}");
    let made = machine.run(&["migrate"]).ok();
    let (_, schema) = made.split_once(": made at schema ").expect(&made);
    let again = machine.run(&["migrate"]).ok();
    assert!(again.ends_with(&format!(": already at schema {schema}")));
    let out = machine.run(&["doctor"]).ok();
    assert!(verdicts(&out).contains(&("ok", "migrations")), "{out}");
    assert!(verdicts(&out).contains(&("warn", "service key")), "{out}");
}

#[test]
fn an_embedded_database_without_a_service_key_is_told_so() {
    let machine = Machine::new(On::Sqlite);
    machine.run(&["migrate"]).ok();
    let out = machine.run(&["doctor"]).ok();
    assert!(verdicts(&out).contains(&("warn", "service key")), "{out}");
}

/// The names of the files in the data folder.
fn data_files(machine: &Machine) -> Vec<OsString> {
    let folder = fs::read_dir(machine.path("keywright-data")).unwrap();
    let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn an_embedded_database_is_left_as_it_was() {
    let mut machine = Machine::new(On::Sqlite);
    assert!(machine.serve(&[]).stop().success());
    let before = data_files(&machine);
    machine.run(&["doctor"]).ok();
    assert_eq!(data_files(&machine), before);
}

#[test]
fn what_a_crash_left_in_the_log_is_seen() {
    let mut machine = Machine::new(On::Sqlite);
    machine.serve(&[]).kill();
    assert!(data_files(&machine).contains(&"keywright.db-wal".into()));
    let out = machine.run(&["doctor"]).ok();
    assert!(verdicts(&out).contains(&("ok", "service key")), "{out}");
}

#[test]
fn a_database_that_its_server_cannot_write_fails() {
    let mut machine = Machine::new(On::Sqlite);
    machine.serve(&[]).kill();
    machine.be_no_root();
    machine.run(&["doctor"]).ok();
    for (path, mode) in [
        ("keywright-data/keywright.db", 0o400),
        ("keywright-data/keywright.db-wal", 0o400),
        ("keywright-data/keywright.db.lock", 0o400),
        ("keywright-data", 0o500),
    ] {
        let right = machine.mode(path);
        fs::set_permissions(machine.path(path), Permissions::from_mode(mode)).unwrap();
        let done = machine.run(&["doctor"]);
        assert_eq!(done.code, 1, "{path}: {}", done.out);
        assert!(
            verdicts(&done.out).contains(&("FAIL", "database")),
            "{}",
            done.out
        );
        assert!(done.out.contains("chmod u+rw"), "{}", done.out);
        fs::set_permissions(machine.path(path), Permissions::from_mode(right)).unwrap();
    }
}

#[test]
fn a_damaged_database_fails_and_a_backup_is_named() {
    let mut machine = Machine::new(On::Sqlite);
    assert!(machine.serve(&[]).stop().success());
    let path = machine.path("keywright-data/keywright.db");
    let mut bytes = fs::read(&path).unwrap();
    // The first page, which says where the tables are, stays whole.
    let half = bytes.len() / 2;
    bytes[half..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let done = machine.run(&["doctor"]);
    assert_eq!(done.code, 1, "{}", done.out);
    assert!(
        verdicts(&done.out).contains(&("FAIL", "database")),
        "{}",
        done.out
    );
    assert!(done.out.contains("restore a backup"), "{}", done.out);
}
