//! Pages: put together they are the whole list, newest first, whatever the times and the size of a page.

use keywright_core::authority::Caller;
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::permission::Grants;
use keywright_core::timestamp::Timestamp;
use keywright_store::{
    AuditQuery, KeyQuery, Page, Position, StoreError, User, UserPosition, UserQuery,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use crate::world::{World, user};

contract! {
    pages_of_keys_put_together_are_the_list,
    pages_of_users_put_together_are_the_list,
    pages_of_the_audit_log_put_together_are_the_log,
    users_of_one_moment_are_in_the_order_of_their_bytes,
    users_are_found_by_the_start_of_their_ids,
}

/// A few entries, many of which share a moment, and the size of a page.
fn lists() -> impl Strategy<Value = (Vec<(i64, u128)>, u32)> {
    (
        prop::collection::vec((-2_i64..3, any::<u128>()), 0..16),
        1_u32..6,
    )
}

/// Runs a property that asks a database. Each case has an owner of its own: they share the database.
fn hold(property: impl Fn(u32, Vec<(i64, u128)>, u32) -> Result<(), TestCaseError>) {
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&lists(), |(entries, limit)| {
        case.set(case.get() + 1);
        property(case.get(), entries, limit)
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// Reads page after page.
async fn read_all<T: Clone, F: Future<Output = Result<Page<T>, StoreError>>>(
    limit: u32,
    next: impl Fn(Option<T>) -> F,
) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let page = next(all.last().cloned()).await.unwrap();
        let size = page.entries.len();
        all.extend(page.entries);
        assert!(
            size <= limit as usize,
            "a page of {size} where {limit} were asked for"
        );
        if !page.more {
            return all;
        }
        assert_eq!(size, limit as usize, "a page with more after it is full");
    }
}

async fn pages_of_keys_put_together_are_the_list(world: World) {
    hold(|case, entries, limit| {
        wait(async {
            let owner = format!("owner {case}");
            let mut expected: Vec<KeyRecord> = Vec::new();
            for (at, id) in entries {
                let mut record = world.draft(&owner);
                record.key.id = KeyId(Uuid::from_u128(id));
                record.key.created_at = Timestamp::from_micros(at);
                expected.push(world.create(record).await);
            }
            expected
                .sort_by_key(|record| std::cmp::Reverse((record.key.created_at, record.key.id)));
            let read = read_all(limit, |last: Option<KeyRecord>| {
                let after = last.map(|last| Position {
                    at: last.key.created_at,
                    id: last.key.id.0,
                });
                let query = KeyQuery {
                    user_id: Some(user(&owner)),
                    status: None,
                    keyspace: None,
                    after,
                    limit,
                };
                let store = world.store.clone();
                async move { store.list_keys(&query).await }
            });
            prop_assert_eq!(read.await, expected);
            Ok(())
        })
    });
}

async fn pages_of_users_put_together_are_the_list(world: World) {
    hold(|case, entries, limit| {
        wait(async {
            for (at, id) in entries {
                // Capitals, accents and lengths, which collations order in their own ways.
                let id = format!(
                    "{}{:x}",
                    ["a", "B", "ä", "Z", "z", "a "][usize::try_from(id % 6).unwrap()],
                    id >> 64
                );
                let at = Timestamp::from_micros(at + i64::from(case));
                world.store.ensure_user(&user(&id), at).await.unwrap();
            }
            let everybody = UserQuery {
                id_start: None,
                after: None,
                limit: 10_000,
            };
            let mut expected = world.store.list_users(&everybody).await.unwrap().entries;
            expected.sort_by(|one, other| {
                (other.created_at, &other.id).cmp(&(one.created_at, &one.id))
            });
            let read = read_all(limit, |last: Option<User>| {
                let after = last.map(|last| UserPosition {
                    at: last.created_at,
                    id: last.id,
                });
                let store = world.store.clone();
                async move {
                    store
                        .list_users(&UserQuery {
                            id_start: None,
                            after,
                            limit,
                        })
                        .await
                }
            });
            prop_assert_eq!(read.await, expected);
            Ok(())
        })
    });
}

async fn pages_of_the_audit_log_put_together_are_the_log(world: World) {
    hold(|case, entries, limit| {
        wait(async {
            let owner = format!("owner {case}");
            let mut expected = Vec::new();
            for (at, id) in entries {
                let mut by = world.by();
                (by.at, by.entry_id) = (Timestamp::from_micros(at), Uuid::from_u128(id));
                world
                    .store
                    .create_key(world.draft(&owner), Caller::Operator, by.clone())
                    .await
                    .unwrap();
                expected.push(by);
            }
            expected.sort_by_key(|by| std::cmp::Reverse((by.at, by.entry_id)));
            let read = read_all(limit, |last: Option<keywright_core::audit::AuditEntry>| {
                let after = last.map(|last| Position {
                    at: last.by.at,
                    id: last.by.entry_id,
                });
                let query = AuditQuery {
                    user_id: Some(user(&owner)),
                    after,
                    limit,
                    ..AuditQuery::default()
                };
                let store = world.store.clone();
                async move { store.list_audit(&query).await }
            });
            let read: Vec<_> = read.await.into_iter().map(|entry| entry.by).collect();
            prop_assert_eq!(read, expected);
            Ok(())
        })
    });
}

async fn users_are_found_by_the_start_of_their_ids(world: World) {
    let ids = [
        "ada",
        "ada x",
        "ada/b",
        "ada%",
        "ada_",
        "adb",
        "Ada",
        "a",
        "ad\u{d7ff}x",
        "ad\u{e000}",
        "ad\u{ffff}",
        "ad\u{10000}",
        "ad\u{10ffff}",
        "ad\u{10ffff}\u{10ffff}z",
        "ae",
        "ä",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}b",
    ];
    let ids = ids.map(user);
    for id in &ids {
        world.store.ensure_user(id, world.now()).await.unwrap();
        world.clock.tick();
    }
    // The reserved owner is there, and is nobody.
    world.service_key(Grants(1)).await;
    let longest = user(&"\u{10ffff}".repeat(UserId::MAX_CHARS));
    world
        .store
        .ensure_user(&longest, world.now())
        .await
        .unwrap();
    let all: Vec<UserId> = ids.into_iter().chain([longest]).collect();
    for start in [
        "",
        "a",
        "ad",
        "ada",
        "ada ",
        "ada%",
        "ada_",
        "ADA",
        "ad\u{d7ff}",
        "ad\u{ffff}",
        "ad\u{10ffff}",
        "\u{10ffff}",
        "ä",
        "nobody",
        "a\0",
    ] {
        let begins = |id: &&UserId| id.as_str().starts_with(start);
        let mut expected: Vec<UserId> = all.iter().filter(begins).cloned().collect();
        expected.sort();
        for limit in [1, 2, 500] {
            let read = read_all(limit, |last: Option<User>| {
                let after = last.map(|last| UserPosition {
                    at: last.created_at,
                    id: last.id,
                });
                let query = UserQuery {
                    id_start: Some(start.to_owned()),
                    after,
                    limit,
                };
                let store = world.store.clone();
                async move { store.list_users(&query).await }
            });
            let read: Vec<UserId> = read.await.into_iter().map(|user| user.id).collect();
            assert_eq!(read, expected, "{start:?}, {limit} at a time");
        }
    }
}

async fn users_of_one_moment_are_in_the_order_of_their_bytes(world: World) {
    let mut ids: Vec<UserId> = ["a", "B", "ä", "Z", "z", "!", "aa", "a b", "10", "9"]
        .map(user)
        .to_vec();
    for id in &ids {
        world.store.ensure_user(id, world.now()).await.unwrap();
    }
    ids.sort_by(|one, other| other.cmp(one));
    let listed = world
        .store
        .list_users(&UserQuery {
            id_start: None,
            after: None,
            limit: 500,
        })
        .await
        .unwrap()
        .entries;
    assert_eq!(
        listed.into_iter().map(|user| user.id).collect::<Vec<_>>(),
        ids
    );
}
