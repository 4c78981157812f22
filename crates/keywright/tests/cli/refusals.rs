//! What is refused, with which exit code, and what is said.

use crate::support::{Machine, On};

#[test]
fn wrong_usage_ends_with_2() {
    let machine = Machine::bare();
    for wrong in [
        &["nonsense"][..],
        &["keys", "create", "name"],
        &["keys", "list"],
        &["keys", "update", "0193c0f1-7a43-7000-8000-000000000000"],
        &[
            "keys",
            "permissions",
            "0193c0f1-7a43-7000-8000-000000000000",
        ],
        &[
            "keys",
            "create",
            "name",
            "--user",
            "u",
            "--expires-in",
            "soon",
        ],
        &["keys", "create", "name", "--user", "u", "--metadata", "[]"],
        &["keys", "list", "--user", "u", "--limit", "0"],
        &["audit", "--action", "nonsense"],
        &["token"],
        &["token", "--user", ""],
        &["completions", "nonsense"],
        &["serve", "--jwt-secret", "x"],
        &["users", "list", "--server", "nonsense"],
    ] {
        let done = machine.run(wrong);
        assert_eq!(
            (done.code, done.out.as_str()),
            (2, ""),
            "{wrong:?}: {}",
            done.err
        );
    }
}

#[test]
fn a_keys_text_as_an_argument_is_refused_and_not_repeated() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    let key = machine.run(&["keys", "create", "k", "--user", "u"]).ok();
    let key = key.trim();
    for wrong in [
        &["verify", key][..],
        &["keys", "show", key],
        &["keys", "revoke", key, "--yes"],
        &["keys", "update", key, "--name", "x"],
        &["audit", "--key", key],
    ] {
        let done = machine.run_with(wrong, key);
        assert_eq!(done.code, 2, "{wrong:?}");
        assert!(
            !done.err.contains(key) && !done.out.contains(key),
            "{wrong:?}: {}",
            done.err
        );
    }
}

#[test]
fn without_a_service_key_it_is_said_how_to_give_one() {
    let machine = Machine::bare();
    let said = machine.run(&["users", "list"]).fails(2);
    assert!(
        said.contains("--service-key-file") && said.contains("KEYWRIGHT_SERVICE_KEY"),
        "{said}"
    );
    let said = machine
        .run(&["users", "list", "--service-key-file", "nothing"])
        .fails(2);
    assert!(said.contains("no service key in nothing"), "{said}");
}

#[test]
fn a_server_that_cannot_be_reached_ends_with_1() {
    let mut machine = Machine::bare();
    machine.set("KEYWRIGHT_SERVICE_KEY", "kw_x");
    // Nothing listens on port 1.
    let said = machine
        .run(&["users", "list", "--server", "http://127.0.0.1:1"])
        .fails(1);
    assert!(
        said.contains("http://127.0.0.1:1/ cannot be reached: Connection refused"),
        "{said}"
    );
    assert!(said.contains("keywright serve"), "{said}");
}

#[test]
fn a_wrong_service_key_ends_with_1_and_is_not_repeated() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    machine.set("KEYWRIGHT_SERVICE_KEY", "kw_hunter2hunter2");
    let said = machine.run(&["users", "list"]).fails(1);
    assert!(said.contains("code invalid_token, request "), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    machine.set("KEYWRIGHT_SERVICE_KEY", "kw_hunter2\u{1}");
    let said = machine.run(&["users", "list"]).fails(2);
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn refused_fields_are_named() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    let said = machine
        .run(&[
            "keys",
            "create",
            "k",
            "--user",
            "u",
            "--permission",
            "NONE_SUCH",
        ])
        .fails(1);
    assert!(
        said.contains("/permissions/0") && said.contains("READ_GRAPH"),
        "{said}"
    );
    assert!(said.contains("code validation_failed"), "{said}");
}

#[test]
fn what_steers_a_terminal_is_not_passed_on() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    machine
        .run(&["keys", "create", "a\u{1b}[2Jb", "--user", "u"])
        .ok();
    let table = machine.run(&["keys", "list", "--user", "u"]).ok();
    assert!(
        table.contains(r"a\u{1b}[2Jb") && !table.contains('\u{1b}'),
        "{table}"
    );
}

#[test]
fn an_empty_standard_input_is_no_key() {
    let mut machine = Machine::bare();
    machine.set("KEYWRIGHT_SERVICE_KEY", "kw_x");
    let said = machine.run_with(&["verify"], "\n").fails(2);
    assert!(said.contains("standard input"), "{said}");
}

#[test]
fn the_embedded_database_has_one_server() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    for command in ["serve", "admin-key", "migrate"] {
        let said = machine.run(&[command]).fails(1);
        assert!(
            said.contains("keywright.db is in use by another process"),
            "{command}: {said}"
        );
        assert!(
            said.contains("stop that process, or use PostgreSQL"),
            "{command}: {said}"
        );
    }
}

#[test]
fn documents_and_scripts_are_printed() {
    let machine = Machine::bare();
    let document = machine.run(&["openapi"]).json();
    assert_eq!(document["openapi"], "3.1.0");
    for shell in ["bash", "zsh", "fish"] {
        let script = machine.run(&["completions", shell]).ok();
        assert!(script.contains("reactivate"), "{shell}");
    }
    assert!(machine.run(&["--help"]).ok().contains("Examples:"));
    assert!(machine.run(&["--version"]).ok().starts_with("keywright "));
}
