//! What only the store of a cluster promises: several nodes, and a server that comes and goes.

use std::sync::Arc;

use futures::future::join_all;
use keywright_store::postgres::{Options, PostgresStore};
use keywright_store::{OpenError, Store, StoreError};
use keywright_testkit::fresh_database;

use crate::ambient::{Counting, StandingClock};
use crate::world::keyspace_name;

async fn connect(url: &str) -> Result<PostgresStore, OpenError> {
    PostgresStore::connect(
        url,
        Arc::new(StandingClock::new()),
        Arc::new(Counting),
        Options::default(),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_open_an_empty_postgres_at_once() {
    let database = fresh_database();
    let opened = join_all((0..8).map(|_| connect(database.url()))).await;
    let mut tag_keys = std::collections::BTreeSet::new();
    for node in opened {
        let node = node.unwrap();
        let name = keyspace_name("default");
        let (_, keys) = node.find_keyspace(&name).await.unwrap().unwrap();
        tag_keys.insert(keys.to_bytes().to_vec());
    }
    assert_eq!(tag_keys.len(), 1, "all nodes have the same tag keys");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_being_shown() {
    for url in [
        "",
        "mysql://root:hunter2@host/db",
        "postgres://root:hunter2@host:port/db",
    ] {
        let refused = connect(url).await.err().expect("refused");
        assert!(matches!(refused, OpenError::Url(_)), "{refused}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_available() {
    // Nobody listens on the port that stands for "any".
    let refused = connect("postgres://nobody@127.0.0.1:1/none")
        .await
        .err()
        .expect("refused");
    assert!(
        matches!(refused, OpenError::Store(StoreError::Unavailable(_))),
        "{refused}"
    );
}
