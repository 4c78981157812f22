//! What the loader writes is what the store would have written.

use keywright_bench::database::Database;
use keywright_bench::loader::load;
use keywright_bench::population::{KEYS_PER_USER, Population, owner};
use keywright_store::{KeyQuery, UserQuery};
use keywright_testkit::fresh_database;

const COUNT: u64 = 12_345;

async fn is_loaded_as_if_it_had_been_made(database: Database) {
    let store = database.open().await.unwrap();
    let population = Population::of(&*store).await.unwrap();
    store.close().await;
    drop(store);
    load(&database, &population, COUNT).await.unwrap();

    let store = database.open().await.unwrap();
    for n in [0, 1, 9_999, COUNT - 1] {
        let expected = population.record(n).unwrap();
        assert_eq!(expected.digest, population.text(n).unwrap().digest());
        let found = store.find_key_by_digest(&expected.digest).await.unwrap();
        assert_eq!(found, Some(expected.clone()));
        assert_eq!(store.find_key(expected.key.id).await.unwrap(), found);
    }
    let beyond = population.text(COUNT).unwrap().digest();
    assert_eq!(store.find_key_by_digest(&beyond).await.unwrap(), None);

    let user = store.find_user(&owner(25).unwrap()).await.unwrap().unwrap();
    assert_eq!(user.api_keys, KEYS_PER_USER);
    let theirs = KeyQuery {
        user_id: Some(user.id),
        status: None,
        keyspace: None,
        after: None,
        limit: 500,
    };
    let theirs = store.list_keys(&theirs).await.unwrap();
    assert_eq!(theirs.entries.len(), 10);
    let all = UserQuery {
        id_start: None,
        after: None,
        limit: 2_000,
    };
    let all = store.list_users(&all).await.unwrap();
    assert_eq!(all.entries.len() as u64, COUNT.div_ceil(KEYS_PER_USER));
    let keys: u64 = all.entries.iter().map(|user| user.api_keys).sum();
    assert_eq!(keys, COUNT);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_database_is_loaded_as_if_it_had_been_made() {
    is_loaded_as_if_it_had_been_made(Database::sqlite(None).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_database_is_loaded_as_if_it_had_been_made() {
    let (database, folder) = (fresh_database(), tempfile::tempdir().unwrap());
    let there = Database::postgres_at(database.url(), Some(folder.path())).unwrap();
    is_loaded_as_if_it_had_been_made(there).await;
}
