//! Lists that never end: they are given up, they stop, and meanwhile keys are found.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use keywright_store::postgres::{Options as PostgresOptions, PostgresStore};
use keywright_store::sqlite::{Options as SqliteOptions, SqliteStore};
use keywright_store::{AuditQuery, Store, StoreError};

use crate::ambient::Counting;
use crate::world::{Place, World};

contract! {
    lists_that_never_end_are_given_up_and_keep_nobody_waiting,
}

/// Long against what a look-up takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same database, by a store with few connections.
async fn open_small(world: &World) -> Arc<dyn Store> {
    match &world.place {
        Place::Sqlite(_) => {
            let options = SqliteOptions {
                readers: 1,
                patience: PATIENCE,
            };
            let path = world.place.file();
            let store =
                SqliteStore::open(&path, world.clock.clone(), Arc::new(Counting), options).await;
            Arc::new(store.unwrap())
        }
        Place::Postgres(database) => {
            let options = PostgresOptions {
                max_connections: 4,
                patience: PATIENCE,
                statement_timeout: PATIENCE,
                ..PostgresOptions::default()
            };
            let (clock, entropy) = (world.clock.clone(), Arc::new(Counting));
            let store = PostgresStore::connect(database.url(), clock, entropy, options).await;
            Arc::new(store.unwrap())
        }
    }
}

async fn lists_that_never_end_are_given_up_and_keep_nobody_waiting(world: World) {
    let record = world.key("alice").await;
    world.store.close().await;
    let store = open_small(&world).await;
    let for_ever = match world.place {
        Place::Sqlite(_) => {
            "(WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) \
             SELECT n FROM n WHERE n < 0)"
        }
        Place::Postgres(_) => "(SELECT 1 FROM pg_sleep(600))",
    };
    world
        .execute(&format!(
            "ALTER TABLE audit_log RENAME TO kept; \
             CREATE VIEW audit_log AS SELECT kept.* FROM kept, {for_ever} AS for_ever"
        ))
        .await;
    let all = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };

    let mut lists = std::pin::pin!(join_all((0..12).map(|_| store.list_audit(&all))));
    let mut found = 0;
    let lists = loop {
        // Where the lists hold every connection, this is given up as well.
        let look_up = store.find_key(record.key.id);
        tokio::select! {
            biased;
            lists = &mut lists => break lists,
            answer = look_up => assert_eq!(answer, Ok(Some(record.clone()))),
        }
        found += 1;
    };
    assert!(found > 0, "nothing was looked up meanwhile");
    for list in lists {
        assert!(matches!(list, Err(StoreError::Unavailable(_))), "{list:?}");
    }

    world
        .execute("DROP VIEW audit_log; ALTER TABLE kept RENAME TO audit_log")
        .await;
    // Those that were given up have stopped: they hold no connection for as long as this may wait for one.
    let listed = store.list_audit(&all).await.unwrap();
    assert_eq!(listed.entries.len(), 1);
    tokio::time::timeout(PATIENCE, store.close())
        .await
        .expect("nothing goes on");
}
