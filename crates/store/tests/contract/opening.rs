//! Opening a database: how far its tables are, and what a program that is too old is told.

use keywright_core::decision::Code;
use keywright_store::postgres::PostgresStore;
use keywright_store::sqlite::SqliteStore;
use keywright_store::{
    OpenError, Period, SchemaVersions, Step, UsageOf, UsageQuery, UseCount, Uses,
};

use crate::world::{Place, World, user};

contract! {
    a_newer_database_is_refused_untouched,
    a_database_whose_migration_is_another_is_refused,
    a_database_of_the_first_version_is_brought_up_to_date,
    how_far_the_tables_are_is_told,
    what_was_written_is_there_when_opened_again,
    the_database_takes_every_statement,
}

/// The newest migration in a database that is up to date.
async fn newest(world: &World) -> i64 {
    world
        .number("SELECT MAX(version) FROM _sqlx_migrations")
        .await
}

async fn a_newer_database_is_refused_untouched(world: World) {
    world.store.close().await;
    let newest = newest(&world).await;
    world
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 9999, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
    let refused = world.open_again().await.err().expect("refused");
    assert!(
        matches!(
            refused,
            OpenError::NewerSchema {
                found: 9999,
                known
            } if known == newest
        ),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("run the newer keywright"),
        "{refused}"
    );
    assert_eq!(
        world.number("SELECT count(*) FROM _sqlx_migrations").await,
        newest + 1
    );
    world
        .execute("DELETE FROM _sqlx_migrations WHERE version = 9999")
        .await;
    assert!(world.open_again().await.is_ok());
}

async fn a_database_whose_migration_is_another_is_refused(world: World) {
    world.store.close().await;
    let other = match world.place {
        Place::Sqlite(_) => "x'00'",
        Place::Postgres(_) => "'\\x00'",
    };
    world
        .execute(&format!("UPDATE _sqlx_migrations SET checksum = {other}"))
        .await;
    let refused = world.open_again().await.err().expect("refused");
    assert!(matches!(refused, OpenError::Migration(_)), "{refused}");
}

/// Undoes all migrations but the first.
const BACK_TO_THE_FIRST: &str = "DROP TABLE console_sessions; DROP TABLE console_forms; DROP TABLE key_uses; DROP TABLE user_uses; DROP TABLE keyspace_uses; \
     DROP TABLE usage_days; DROP TABLE departed_keys; DROP TABLE usage_gate; \
     DROP INDEX api_keys_by_name; DROP INDEX api_keys_of_user_by_name; DROP INDEX api_keys_by_prefix; \
     DROP INDEX api_keys_by_postfix; DROP INDEX api_keys_by_status; DROP INDEX api_keys_of_user_by_status; \
     DROP INDEX api_keys_by_keyspace; DROP INDEX api_keys_of_user_by_keyspace; \
     ALTER TABLE keyspaces DROP COLUMN holds_imported; \
     DELETE FROM _sqlx_migrations WHERE version > 1";

/// The same of what only a database of several nodes has.
const NODES_BACK: &str = "ALTER TABLE nodes DROP COLUMN version, DROP COLUMN address, DROP COLUMN keys, \
     DROP COLUMN hits, DROP COLUMN misses; \
     ALTER TABLE change_log DROP COLUMN protocol; \
     UPDATE cluster SET protocol = 1";

async fn a_database_of_the_first_version_is_brought_up_to_date(world: World) {
    let newest = newest(&world).await;
    let record = world.key("alice").await;
    world.store.close().await;
    world.execute(BACK_TO_THE_FIRST).await;
    if matches!(world.place, Place::Postgres(_)) {
        world.execute(NODES_BACK).await;
    }
    assert_eq!(self::newest(&world).await, 1);

    let store = world.open_again().await.unwrap();
    assert_eq!(self::newest(&world).await, newest);
    assert_eq!(
        store.find_key(record.key.id).await,
        Ok(Some(record.clone()))
    );
    let keyspaces = store.load_keyspaces().await.unwrap().found;
    assert!(keyspaces.iter().all(|one| !one.holds_imported));
    let thrice = UseCount {
        hour: world.now(),
        keyspace: Some(record.key.keyspace.clone()),
        key: Some((record.key.id, record.key.user_id.clone())),
        code: Code::Valid,
        count: 3,
    };
    let uses = Uses {
        last_used: vec![(record.key.id, world.now())],
        counts: vec![thrice],
    };
    store.record_use(uses).await.unwrap();
    let asked = UsageQuery {
        of: UsageOf::Key(record.key.id),
        over: Period::before(Step::Day, world.now(), 2),
    };
    let told = store.usage(&asked).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].counts[&Code::Valid], 3);
    assert_eq!(store.delete_user(user("alice"), world.by()).await, Ok(true));
}

async fn how_far_the_tables_are_is_told(world: World) {
    let versions = || async {
        match &world.place {
            Place::Sqlite(_) => SqliteStore::schema_versions(&world.place.file()).await,
            Place::Postgres(database) => PostgresStore::schema_versions(database.url()).await,
        }
    };
    let newest = newest(&world).await;
    let expected = SchemaVersions {
        applied: Some(newest),
        known: newest,
    };
    assert_eq!(versions().await.unwrap(), expected, "while it is open");
    world.store.close().await;
    assert_eq!(versions().await.unwrap(), expected, "when it is closed");
    assert!(world.open_again().await.is_ok());
}

async fn what_was_written_is_there_when_opened_again(world: World) {
    let record = world.key("alice").await;
    world.store.close().await;
    let again = world.open_again().await.unwrap();
    assert_eq!(again.find_key(record.key.id).await, Ok(Some(record)));
}

async fn the_database_takes_every_statement(world: World) {
    world.store.close().await;
    let prepared = match &world.place {
        Place::Sqlite(_) => {
            world
                .open_sqlite()
                .await
                .unwrap()
                .prepare_every_statement()
                .await
        }
        Place::Postgres(_) => {
            world
                .open_postgres()
                .await
                .unwrap()
                .prepare_every_statement()
                .await
        }
    };
    let prepared = prepared.unwrap();
    assert!(prepared > 25, "only {prepared} are listed");
}
