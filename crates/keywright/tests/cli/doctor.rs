//! `doctor`: says what is so and what to do, beside a running server too.

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
    assert!(
        machine
            .run(&["migrate"])
            .ok()
            .ends_with(": made at schema 1\n")
    );
    assert!(
        machine
            .run(&["migrate"])
            .ok()
            .ends_with(": already at schema 1\n")
    );
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
