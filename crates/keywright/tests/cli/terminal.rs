//! What is different for a person at a terminal.

use std::io::{BufRead, BufReader};

use crate::support::{Machine, On};

#[test]
fn the_first_service_key_is_shown_and_not_written() {
    let machine = Machine::new(On::Sqlite);
    let (terminal, mut server) = machine.spawn_on_terminal(&["serve"]);
    let mut shown = Vec::new();
    for line in BufReader::new(terminal).lines().map_while(Result::ok) {
        let listens = line.starts_with("listening on ");
        shown.push(line);
        if listens {
            break;
        }
    }
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(
        shown
            .iter()
            .any(|line| line.starts_with("kw_") && line.len() == 52),
        "{shown:?}"
    );
    assert!(!machine.path("keywright-data/admin-key").exists());
}

#[test]
fn what_cannot_be_undone_is_asked_before() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    machine.run(&["keys", "create", "k", "--user", "u"]).ok();
    let id = machine
        .run(&["keys", "list", "--user", "u", "--json"])
        .json()[0]["id"]
        .clone();
    let id = id.as_str().unwrap();

    let (code, shown) = machine.run_on_terminal(&["keys", "revoke", id], "n\n");
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains(&format!("Revoke key {id} for good? [y/N]"))
            && shown.contains("nothing was revoked"),
        "{shown}"
    );
    let (code, shown) = machine.run_on_terminal(&["users", "delete", "u"], "\n");
    assert_eq!(code, 1, "{shown}");
    let (code, shown) = machine.run_on_terminal(&["keys", "revoke", id], "y\n");
    assert_eq!((code, shown.contains("REVOKED")), (0, true), "{shown}");
    let (code, shown) = machine.run_on_terminal(&["users", "delete", "u", "--yes"], "");
    assert_eq!((code, shown.contains("[y/N]")), (0, false), "{shown}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    let list = ["keys", "list", "--keyspace", "keywright"];
    let (_, shown) = machine.run_on_terminal(&list, "");
    assert!(shown.contains("\u{1b}["), "{shown}");
    machine.set("NO_COLOR", "1");
    let (_, shown) = machine.run_on_terminal(&list, "");
    assert!(
        shown.contains("ACTIVE") && !shown.contains('\u{1b}'),
        "{shown}"
    );
}
