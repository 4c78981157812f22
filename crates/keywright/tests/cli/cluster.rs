//! The nodes, as the command line shows them.

use serde_json::Value;

use crate::support::{Machine, On};

fn words(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines();
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn one_server_on_sqlite_is_a_cluster_of_one() {
    let mut machine = Machine::new(On::Sqlite);
    let server = machine.serve(&[]);
    let seen = machine.run(&["cluster", "--json"]).json();
    assert_eq!(seen["store"], "sqlite");
    let address = server.address.strip_prefix("http://").expect("a URL");
    assert_eq!(seen["nodes"][0]["address"], address);
    let table = machine.run(&["cluster"]).ok();
    let words = words(&table);
    assert_eq!(words[0], ["store", "sqlite"]);
    assert_eq!(words[3], ["this", "node", "has", "its", "lease"], "{table}");
    assert_eq!(words[5][..3], ["NODE", "ID", "VERSION"], "{table}");
    assert_eq!(words[6][1], "(this)", "{table}");
    assert!(table.contains("no end"), "{table}");
    assert!(server.stop().success());
}

#[test]
fn two_servers_on_postgres_see_each_other() {
    let mut machine = Machine::new(On::Postgres);
    let one = machine.serve(&["--lease", "2s"]);
    let other = machine.try_serve(&["--lease", "9s"]).expect("it starts");
    machine.run(&["keys", "create", "a", "--user", "ada"]).ok();
    let listed = machine
        .run(&["keys", "list", "--user", "ada", "--json"])
        .json();
    machine
        .run(&["keys", "suspend", listed[0]["id"].as_str().expect("an id")])
        .ok();

    let of = |seen: &Value, this: bool| -> Value {
        let nodes = seen["nodes"].as_array().expect("a list").iter();
        let mut found = nodes.filter(|node| node["is_this_node"] == this);
        let node = found.next().expect("a node").clone();
        assert_eq!(found.next(), None);
        node
    };
    for (asked, beside) in [(&one, &other), (&other, &one)] {
        let seen = machine
            .run(&["cluster", "--json", "--server", &asked.address])
            .json();
        assert_eq!(
            (&seen["store"], &seen["lease_ms"]),
            (&"postgres".into(), &2000.into())
        );
        assert_eq!(
            (&seen["newest_seq"], &seen["change_log_rows"]),
            (&1.into(), &1.into())
        );
        assert_eq!(seen["this_node"]["has_lease"], true);
        for (server, this) in [(asked, true), (beside, false)] {
            let node = of(&seen, this);
            let address = server.address.strip_prefix("http://").expect("a URL");
            assert_eq!(node["address"], address);
            assert_eq!((&node["applied_seq"], &node["lag"]), (&1.into(), &0.into()));
            let left = node["lease_left_ms"].as_u64();
            assert!(left.is_none_or(|left| left <= 2000), "{seen}");
        }
    }
    let table = machine.run(&["cluster"]).ok();
    assert_eq!(table.matches("(this)").count(), 1, "{table}");
    assert!(other.stop().success());
    let seen = machine.run(&["cluster", "--json"]).json();
    assert_eq!(
        seen["nodes"].as_array().map(Vec::len),
        Some(1),
        "it took its leave"
    );
}

#[test]
fn a_service_key_without_cluster_read_is_refused() {
    let mut machine = Machine::new(On::Sqlite);
    let _server = machine.serve(&[]);
    let gateway = machine
        .run(&[
            "keys",
            "create",
            "gateway",
            "--keyspace",
            "keywright",
            "--permission",
            "keys:verify",
        ])
        .ok();
    machine.set("KEYWRIGHT_SERVICE_KEY", gateway.trim());
    let refused = machine.run(&["cluster"]).fails(1);
    assert!(refused.contains("cluster:read"), "{refused}");
    machine.run(&["cluster", "everything"]).fails(2);
}
