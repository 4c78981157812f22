//! How often keys were used, as the command line tells it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Machine, On};

/// What was counted in all buckets together, by code.
fn sums(usage: &Value) -> Value {
    let mut sums = serde_json::Map::new();
    for bucket in usage["buckets"].as_array().expect("a list") {
        for (code, count) in bucket["counts"].as_object().expect("an object") {
            let sum = sums.get(code).and_then(Value::as_u64).unwrap_or(0);
            let count = count.as_u64().expect("a number");
            sums.insert(code.clone(), json!(sum + count));
        }
    }
    Value::Object(sums)
}

/// Asks until everything that was counted in memory is in the database, ten seconds at most.
fn asked_until(machine: &Machine, arguments: &[&str], expected: &Value) -> Value {
    let mut usage = Value::Null;
    for _ in 0..100 {
        usage = machine.run(arguments).json();
        if sums(&usage) == *expected {
            return usage;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{arguments:?} tells {usage}");
}

fn use_is_told(on: On) {
    let mut machine = Machine::new(on);
    let server = machine.serve(&["--usage-retention", "forever"]);
    let create = ["keys", "create", "a", "--user", "ada"];
    let key = machine.run(&create).ok();
    let listed = machine
        .run(&["keys", "list", "--user", "ada", "--json"])
        .json();
    let id = listed[0]["id"].as_str().expect("an id");
    for _ in 0..3 {
        machine.run_with(&["verify"], &key).ok();
    }
    machine.run(&["keys", "suspend", id]).ok();
    assert_eq!(machine.run_with(&["verify"], &key).code, 1);

    let expected = json!({"VALID": 3, "SUSPENDED": 1});
    // Two days, should the test run over midnight.
    let of_key = ["keys", "usage", id, "--step", "day", "--json"];
    let usage = asked_until(&machine, &of_key, &expected);
    assert_eq!(usage["step"], "day");
    assert_eq!(usage["buckets"].as_array().map(Vec::len), Some(30));
    let of_user = machine.run(&["usage", "--user", "ada", "--json"]).json();
    assert_eq!(sums(&of_user), expected);
    let of_keyspace = ["usage", "--keyspace", "default", "--json"];
    assert_eq!(sums(&machine.run(&of_keyspace).json()), expected);

    let table = machine.run(&["keys", "usage", id]).ok();
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 25, "{table}");
    assert_eq!(lines[0], ["START", "VALID", "SUSPENDED", "TOTAL"]);
    assert!(table.lines().skip(1).all(|line| line.contains(":00:00 ")));

    machine
        .run(&["keys", "usage", id, "--user", "bob"])
        .fails(1);
    assert!(server.stop().success());
}

#[test]
fn the_use_of_keys_is_told_on_sqlite() {
    use_is_told(On::Sqlite);
}

#[test]
fn the_use_of_keys_is_told_on_postgres() {
    use_is_told(On::Postgres);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let mut machine = Machine::new(On::Sqlite);
    let both = ["usage", "--keyspace", "default", "--user", "ada"];
    machine.run(&both).fails(2);
    machine.run(&["usage", "--step", "minute"]).fails(2);
    machine.run(&["keys", "usage", "agpt_text"]).fails(2);
    let refused = machine.run(&["serve", "--usage-retention", "0"]).fails(2);
    assert!(refused.contains("such as 90d; or forever"), "{refused}");
    let _server = machine.serve(&[]);
    let refused = machine.run(&["usage", "--from", "yesterday"]).fails(1);
    assert!(refused.contains("?from"), "{refused}");
}
