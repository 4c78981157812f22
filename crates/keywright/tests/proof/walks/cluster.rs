//! Several processes on one PostgreSQL database.

use std::fs;
use std::sync::Barrier;
use std::thread;

use keywright_testkit::fresh_database;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Database, Launch, Node, World, assert_whole};

#[test]
fn a_change_through_one_node_is_seen_by_the_next_verification_of_the_other() {
    let world = World::on_postgres();
    let other = world.another_node();
    let nodes = [&world.node, &other];
    for turn in 0..20 {
        let (here, there) = (nodes[turn % 2], nodes[(turn + 1) % 2]);
        let ada = world.user("ada").at(here);
        let admin = world.admin().at(there);
        let key = ada.key("roaming");
        assert_eq!(admin.verify(&key), "VALID");
        ada.suspend(&key);
        assert_eq!(admin.verify(&key), "SUSPENDED");
        ada.reactivate(&key);
        assert_eq!(admin.verify(&key), "VALID");
        ada.patch(&key.path(), &json!({"name": "seen"})).ok();
        assert_eq!(admin.ask(&json!({"key": key.text}))["name"], "seen");
        ada.revoke(&key);
        assert_eq!(admin.verify(&key), "REVOKED");
        let gone = ada.key("of somebody who leaves");
        assert_eq!(admin.verify(&gone), "VALID");
        assert_eq!(world.admin().at(here).delete("/api/users/ada").status, 204);
        assert_eq!(admin.verify(&gone), "NOT_FOUND");
    }
    assert_whole(&world.database);
}

#[test]
fn nodes_that_start_together_on_an_empty_database_make_one_service_key() {
    const NODES: usize = 5;
    for _ in 0..3 {
        let database = Database::Shared(fresh_database());
        let launch = World::launch_on(&database, Launch::default());
        let folder = TempDir::new().unwrap();
        let ready = Barrier::new(NODES);
        let nodes: Vec<Node> = thread::scope(|scope| {
            let start = |number: usize| {
                let (folder, launch, ready) = (
                    folder.path().join(number.to_string()),
                    launch.clone(),
                    &ready,
                );
                scope.spawn(move || {
                    ready.wait();
                    Node::start(&folder, launch)
                })
            };
            let starting: Vec<_> = (0..NODES).map(start).collect();
            starting
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let keys: Vec<String> = nodes
            .iter()
            .filter_map(|node| fs::read_to_string(node.data().join("admin-key")).ok())
            .collect();
        assert_eq!(keys.len(), 1, "how many nodes wrote a service key");
        assert_eq!(database.number("SELECT COUNT(*) FROM api_keys"), 1);
        assert_eq!(database.number("SELECT COUNT(*) FROM audit_log"), 1);
        assert_eq!(database.number("SELECT COUNT(*) FROM keyspaces"), 2);
        assert_whole(&database);
    }
}
