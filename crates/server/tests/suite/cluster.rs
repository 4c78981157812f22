//! The nodes, as an administrator is told of them.

use std::time::Duration;

use keywright_server::{NodeSettings, Settings};
use keywright_store::Store;
use keywright_store::cluster::{LeaseTerms, NodeCard, NodeFigures, NodeId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Fault, Kind, World, eventually, on_both_stores};

on_both_stores![
    a_node_alone_tells_of_itself,
    how_often_keys_were_in_memory_is_told,
    where_the_database_cannot_be_read_nothing_is_told,
];

const LEASE: Duration = Duration::from_secs(2);

/// A server that takes part in its cluster, where there is one, and has its lease.
async fn node(store: Kind) -> World {
    joined(store, |_| ()).await
}

pub(crate) async fn joined(store: Kind, change: impl FnOnce(&mut Settings)) -> World {
    let world = World::with(store, |settings| {
        change(settings);
        settings.node = Some(NodeSettings {
            name: "keys-1".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            lease: Some(LEASE),
            notices: true,
        });
    })
    .await;
    eventually(async || {
        let ready = world.anonymous().get("/health/ready").await;
        (ready.status == 200).then_some(())
    })
    .await;
    world
}

async fn seen(world: &World) -> Value {
    world.admin().await.get("/api/cluster").await.ok()
}

async fn a_node_alone_tells_of_itself(store: Kind) {
    let world = node(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    ada.act(&format!("{}/suspend", key.path())).await.ok();
    let seen = seen(&world).await;
    let id = seen["this_node"]["id"].clone();
    let (is_shared, kind) = match store {
        Kind::Sqlite => (false, "sqlite"),
        Kind::Postgres => (true, "postgres"),
    };
    // The clock stands still: what was left when the lease was renewed is left now.
    assert_eq!(
        seen,
        json!({
            "store": kind,
            "protocol": is_shared.then_some(2),
            "lease_ms": is_shared.then_some(2000),
            "margin_ms": is_shared.then_some(100),
            "newest_seq": 1,
            "change_log_rows": 1,
            "this_node": {"id": id, "has_lease": true, "no_lease_because": null},
            "nodes": [{
                "id": id,
                "name": "keys-1",
                "version": env!("CARGO_PKG_VERSION"),
                "address": "127.0.0.1:1",
                "since": world.clock.text(),
                "is_this_node": true,
                "lease_left_ms": is_shared.then_some(1900),
                "applied_seq": 1,
                "lag": 0,
                // The administrator's own.
                "cache_entries": 1,
                "cache_hit_rate": 0.0,
            }],
        })
    );
}

async fn how_often_keys_were_in_memory_is_told(store: Kind) {
    let world = node(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let admin = world.admin().await;
    for _ in 0..3 {
        admin.code_of(&key.text).await;
    }
    // Four questions about each of two keys, and of each the first is a miss; and this one, which is a hit.
    let seen = seen(&world).await;
    assert_eq!(seen["nodes"][0]["cache_entries"], 2);
    assert_eq!(seen["nodes"][0]["cache_hit_rate"], json!(5.0 / 7.0));
}

async fn where_the_database_cannot_be_read_nothing_is_told(store: Kind) {
    let world = node(store).await;
    seen(&world).await;
    world.database_suffers(Fault::Down);
    let admin = world.admin().await;
    let problem = admin.get("/api/cluster").await.refused(503, "unavailable");
    assert_eq!(
        problem["detail"],
        "the database does not answer now; try again"
    );
}

fn stranger() -> NodeCard {
    NodeCard {
        id: NodeId(Uuid::from_u128(1)),
        name: "keys-2".to_owned(),
        version: "9.9.9".to_owned(),
        address: "10.0.0.2:7878".to_owned(),
        since: keywright_core::timestamp::Timestamp::from_micros(0),
    }
}

#[tokio::test]
async fn of_another_node_is_told_what_it_told_and_the_most_that_can_be_left_of_its_lease() {
    let world = node(Kind::Postgres).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    ada.act(&format!("{}/suspend", key.path())).await.ok();
    let cluster = world.store.clone().cluster().expect("nodes share it");
    let mut session = cluster.session();
    let card = stranger();
    session.join(&card, 1, Some(0), None).await.unwrap();
    let figures = NodeFigures {
        keys: 7,
        hits: 3,
        misses: 1,
    };
    session.renew(card.id, 1, figures).await.unwrap();

    let other = async || seen(&world).await["nodes"][0].clone();
    let sighted = eventually(async || {
        let node = other().await;
        node["lease_left_ms"].is_number().then_some(node)
    })
    .await;
    let expected = json!({
        "id": card.id.0,
        "name": "keys-2",
        "version": "9.9.9",
        "address": "10.0.0.2:7878",
        "since": "1970-01-01T00:00:00.000000Z",
        "is_this_node": false,
        "lease_left_ms": 2000,
        "applied_seq": 0,
        "lag": 1,
        "cache_entries": 7,
        "cache_hit_rate": 0.75,
    });
    assert_eq!(sighted, expected);
    world.clock.advance(Duration::from_millis(1500));
    assert_eq!(other().await["lease_left_ms"], 500);
    let newest = session.read_log(None).await.unwrap().rows[0].mark;
    session.tell_applied(card.id, newest).await.unwrap();
    session.renew(card.id, 2, figures).await.unwrap();
    let renewed = other().await;
    assert_eq!(
        (&renewed["lease_left_ms"], &renewed["lag"]),
        (&json!(2000), &json!(0))
    );
}

#[tokio::test]
async fn a_node_whose_lease_has_run_out_says_so() {
    let world = node(Kind::Postgres).await;
    // Whoever asks it must be found in the database now.
    let admin = world.admin().await;
    let lost = eventually(async || {
        world.clock.advance(LEASE);
        let seen = admin.get("/api/cluster").await.ok();
        (seen["this_node"]["has_lease"] == false).then_some(seen)
    })
    .await;
    assert_eq!(lost["this_node"]["no_lease_because"], "ran_out");
    assert_eq!(lost["nodes"][0]["lease_left_ms"], 0);
    eventually(async || (seen(&world).await["this_node"]["has_lease"] == true).then_some(())).await;
}

#[tokio::test]
async fn a_process_that_takes_no_part_tells_of_those_that_do() {
    let world = World::on(Kind::Postgres).await;
    let cluster = world.store.clone().cluster().expect("nodes share it");
    let terms = LeaseTerms {
        lease: LEASE,
        margin: LEASE / 20,
    };
    let mut session = cluster.session();
    session
        .join(&stranger(), 1, None, Some(terms))
        .await
        .unwrap();
    let seen = seen(&world).await;
    assert_eq!(seen["this_node"]["no_lease_because"], "not_a_member");
    assert_eq!(seen["nodes"][0]["name"], "keys-2");
    assert_eq!(seen["nodes"][0]["lease_left_ms"], json!(null));
    assert_eq!(seen["nodes"][0]["cache_hit_rate"], json!(null));
}

#[tokio::test]
async fn a_change_that_waits_for_a_lease_is_answered_though_that_takes_longer_than_a_request_may() {
    let limit = Duration::from_millis(300);
    let world = joined(Kind::Postgres, |settings| settings.request_timeout = limit).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    // A node that never tells that it knows.
    let cluster = world.store.clone().cluster().expect("nodes share it");
    let mut session = cluster.session();
    session.join(&stranger(), 1, Some(0), None).await.unwrap();
    let path = format!("{}/suspend", key.path());
    let mut change = std::pin::pin!(ada.act(&path));
    // It waits by the clock of the server, which stands.
    let early = tokio::time::timeout(4 * limit, change.as_mut()).await;
    assert!(early.is_err(), "{early:?}");
    world.clock.advance(LEASE + LEASE / 20);
    let answer = change.await;
    assert_eq!(answer.ok()["status"], "SUSPENDED");
    assert_eq!(answer.header("keywright-nodes"), Some("1"));
    assert_eq!(answer.header("keywright-propagation-ms"), Some("2100"));
}
