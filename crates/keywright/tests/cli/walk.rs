//! What a newcomer does: make a key, have it verified, suspend, reactivate and revoke it.

use serde_json::json;

use crate::support::{Done, Machine, On, files_that_hold};

/// Asks about a key; gives the exit code and the code that was printed.
fn verified(machine: &Machine, key: &str, arguments: &[&str]) -> (i32, String) {
    let done = machine.run_with(&[&["verify"], arguments].concat(), key);
    let code = done
        .out
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("code"));
    (done.code, code.unwrap_or_default().trim().to_owned())
}

fn life_of_a_key(on: On) {
    let mut machine = Machine::new(on);
    let server = machine.serve(&["--log", "trace"]);

    let made = machine.run(&[
        "keys",
        "create",
        "build server",
        "--user",
        "user-1",
        "--permission",
        "READ_GRAPH,EXECUTE_GRAPH",
        "--metadata",
        r#"{"team":"blue"}"#,
        "--expires-in",
        "90d",
    ]);
    assert!(made.err.contains("shown this once"), "{}", made.err);
    let key = made.ok();
    let key = key.strip_suffix('\n').expect("a line");
    assert_eq!((key.len(), &key[..5]), (54, "agpt_"));

    let listed = machine
        .run(&["keys", "list", "--user", "user-1", "--json"])
        .json();
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(listed[0]["metadata"], json!({"team": "blue"}));
    let table = machine.run(&["keys", "list", "--user", "user-1"]).ok();
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows[0].starts_with("ID") && rows[1].starts_with(&id) && rows[1].contains("build server"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "colours where nobody sees them");

    let valid = (0, "VALID".to_owned());
    assert_eq!(
        verified(
            &machine,
            key,
            &["--permission", "READ_GRAPH", "--keyspace", "default"]
        ),
        valid
    );
    assert_eq!(
        verified(&machine, key, &["--permission", "READ_BLOCK"]),
        (1, "INSUFFICIENT_PERMISSIONS".to_owned())
    );
    assert_eq!(
        verified(&machine, "agpt_nonsense", &[]),
        (1, "NOT_FOUND".to_owned())
    );

    machine.run(&["keys", "suspend", &id]).ok();
    assert_eq!(verified(&machine, key, &[]), (1, "SUSPENDED".to_owned()));
    machine
        .run(&["keys", "reactivate", &id, "--user", "user-1"])
        .ok();
    assert_eq!(verified(&machine, key, &[]), valid);

    let changed = machine
        .run(&[
            "keys",
            "permissions",
            &id,
            "--permission",
            "READ_BLOCK",
            "--json",
        ])
        .json();
    assert_eq!(changed["permissions"], json!(["READ_BLOCK"]));
    assert_eq!(
        verified(&machine, key, &["--permission", "READ_BLOCK"]),
        valid
    );
    let changed = machine
        .run(&[
            "keys",
            "update",
            &id,
            "--name",
            "old",
            "--no-expiry",
            "--json",
        ])
        .json();
    assert_eq!(
        (&changed["name"], &changed["expires_at"]),
        (&json!("old"), &json!(null))
    );

    let revoked = machine.run(&["keys", "revoke", &id]).ok();
    assert!(revoked.contains("REVOKED"), "{revoked}");
    assert_eq!(verified(&machine, key, &[]), (1, "REVOKED".to_owned()));

    let refused = machine.run(&["keys", "reactivate", &id]).fails(1);
    assert!(
        refused.starts_with("error: ") && refused.contains("code key_revoked, request "),
        "{refused}"
    );
    assert!(refused.contains("final"), "what to do is said: {refused}");

    audit_tells(&machine, &id);

    assert!(server.stop().success());
    assert_eq!(
        files_that_hold(&machine.path("."), key),
        Vec::<std::path::PathBuf>::new()
    );
}

/// The audit log has every change of the key, newest first.
fn audit_tells(machine: &Machine, id: &str) {
    let actions = machine.run(&["audit", "--key", id, "--json"]).ok();
    let actions: Vec<String> = actions.lines().map(action_of).collect();
    assert_eq!(
        actions,
        [
            "api_key.revoked",
            "api_key.updated",
            "api_key.permissions_replaced",
            "api_key.reactivated",
            "api_key.suspended",
            "api_key.created"
        ]
    );
    let table = machine.run(&["audit", "--key", id, "--limit", "1"]).ok();
    assert!(
        table.contains("api_key.revoked") && table.contains(r#"status: "ACTIVE" → "REVOKED""#),
        "{table}"
    );
}

fn action_of(line: &str) -> String {
    let entry: serde_json::Value = serde_json::from_str(line).expect("a line is an entry");
    entry["action"].as_str().expect("a text").to_owned()
}

#[test]
fn a_key_lives_and_dies_on_sqlite() {
    life_of_a_key(On::Sqlite);
}

#[test]
fn a_key_lives_and_dies_on_postgres() {
    life_of_a_key(On::Postgres);
}

fn keyspaces_and_users(on: On) {
    let mut machine = Machine::new(on);
    let _server = machine.serve(&[]);
    let run = |arguments: &[&str]| -> Done { machine.run(arguments) };

    let made = run(&[
        "keyspaces",
        "create",
        "live",
        "--prefix",
        "sk_live_",
        "--permission",
        "orders:read",
        "--permission",
        "orders:write=Place, and cancel",
        "--json",
    ]);
    assert_eq!(
        made.json()["permissions"][1],
        json!({"name": "orders:write", "description": "Place, and cancel"})
    );
    run(&[
        "keyspaces",
        "update",
        "live",
        "--self-service",
        "true",
        "--permission",
        "orders:cancel",
    ])
    .ok();
    let shown = run(&["keyspaces", "show", "live"]).ok();
    assert!(
        shown.contains("self-service  yes") && shown.contains("orders:cancel"),
        "{shown}"
    );
    let listed = run(&["keyspaces", "list"]).ok();
    assert_eq!(
        listed.lines().skip(1).map(first_word).collect::<Vec<_>>(),
        ["default", "keywright", "live"]
    );

    let odd = "auth0|a/b?c#d ü";
    for number in 0..3 {
        run(&[
            "keys",
            "create",
            &format!("k{number}"),
            "--user",
            odd,
            "--keyspace",
            "live",
        ])
        .ok();
    }
    assert_eq!(run(&["users", "show", odd, "--json"]).json()["api_keys"], 3);
    assert_eq!(
        run(&["users", "keys", odd, "--json"])
            .json()
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(run(&["users", "list", "--json"]).json()[0]["id"], odd);
    run(&["users", "delete", odd]).ok();
    run(&["users", "show", odd]).fails(1);

    let service_keys = run(&["keys", "list", "--keyspace", "keywright", "--json"]).json();
    assert_eq!(service_keys[0]["name"], "first service key");
    let gateway = run(&[
        "keys",
        "create",
        "gateway",
        "--keyspace",
        "keywright",
        "--permission",
        "keys:verify",
    ])
    .ok();
    assert!(gateway.starts_with("kw_"));
    machine.set("KEYWRIGHT_SERVICE_KEY", gateway.trim());
    let refused = machine.run(&["users", "list"]).fails(1);
    assert!(
        refused.contains("users:read") && refused.contains("code insufficient_scope"),
        "{refused}"
    );
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

#[test]
fn keyspaces_and_users_are_managed_on_sqlite() {
    keyspaces_and_users(On::Sqlite);
}

#[test]
fn keyspaces_and_users_are_managed_on_postgres() {
    keyspaces_and_users(On::Postgres);
}

#[test]
fn lists_go_on_over_pages_up_to_their_limit() {
    let mut machine = Machine::new(On::Sqlite);
    let server = machine.serve(&[]);
    let key = machine.read("keywright-data/admin-key");
    // More than one page of 500, made over one connection.
    let made = http::create_keys(&server.address, key.trim(), "user-1", 503);
    let names = |arguments: &[&str]| -> Vec<String> {
        let listed = machine.run(arguments).json();
        let name = |key: &serde_json::Value| key["name"].as_str().expect("a name").to_owned();
        listed
            .as_array()
            .expect("a list")
            .iter()
            .map(name)
            .collect()
    };
    let newest_first: Vec<String> = made.into_iter().rev().collect();
    assert_eq!(
        names(&["keys", "list", "--user", "user-1", "--json"]),
        newest_first
    );
    let limited = names(&[
        "keys", "list", "--user", "user-1", "--json", "--limit", "501",
    ]);
    assert_eq!(limited, newest_first[..501]);
    let audited = machine
        .run(&["audit", "--user", "user-1", "--limit", "502", "--json"])
        .ok();
    assert_eq!(audited.lines().count(), 502);
}

/// HTTP by hand, so that a test of the client does not rely on the client.
mod http {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;

    pub(super) fn create_keys(server: &str, key: &str, user: &str, count: usize) -> Vec<String> {
        let address = server.strip_prefix("http://").expect("an http URL");
        let mut stream = TcpStream::connect(address).expect("the server listens");
        let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
        let names: Vec<String> = (0..count).map(|number| format!("key {number}")).collect();
        for name in &names {
            let body = format!(r#"{{"name":"{name}","permissions":[]}}"#);
            let request = format!(
                "POST /api/api-keys HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nKeywright-User: {user}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream
                .write_all(request.as_bytes())
                .expect("the server reads");
            assert_eq!(answer_to(&mut answers), "HTTP/1.1 200 OK");
        }
        names
    }

    fn answer_to(answers: &mut impl BufRead) -> String {
        let mut line = || {
            let mut line = String::new();
            answers.read_line(&mut line).expect("the server answers");
            line.trim_end().to_owned()
        };
        let status = line();
        let mut length = 0;
        loop {
            let header = line();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body).expect("the whole answer");
        status
    }
}
