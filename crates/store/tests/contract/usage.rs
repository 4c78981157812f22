//! How often keys were used.

use std::collections::BTreeMap;

use futures::future::join_all;
use keywright_core::decision::Code;
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::permission::Grants;
use keywright_core::timestamp::Timestamp;
use keywright_store::{
    Period, Step, Store, StoreError, UsageBucket, UsageOf, UsageQuery, UseCount, Uses,
};

use crate::world::{World, id, keyspace_name, user};

contract! {
    what_was_counted_is_told_exactly,
    each_count_is_added_to_what_is_there,
    hours_and_days_end_on_their_boundaries,
    the_uses_of_several_keys_are_told_at_once,
    a_use_counts_for_its_key_its_user_its_keyspace_and_for_everything,
    text_of_no_keyspace_counts_for_everything_alone,
    the_use_of_service_keys_counts_for_no_user,
    a_key_that_is_gone_counts_for_its_keyspace_alone,
    nothing_is_added_where_one_count_cannot_be,
    recorders_at_once_lose_and_invent_nothing,
    a_user_takes_the_counts_along,
    counting_and_deleting_at_once_leaves_nothing_behind,
    whole_days_are_trimmed_and_no_more,
    more_is_trimmed_than_one_transaction_takes,
    what_is_trimmed_twice_at_once_is_gone_once,
}

const NOON: &str = "2026-11-22T12:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A count of `VALID` for a key, in the hour of `when`.
fn valid(record: &KeyRecord, when: &str, count: u64) -> UseCount {
    UseCount {
        hour: at(when),
        keyspace: Some(record.key.keyspace.clone()),
        key: Some((record.key.id, record.key.user_id.clone())),
        code: Code::Valid,
        count,
    }
}

fn not_found(keyspace: Option<&str>, count: u64) -> UseCount {
    UseCount {
        hour: at(NOON),
        keyspace: keyspace.map(keyspace_name),
        key: None,
        code: Code::NotFound,
        count,
    }
}

async fn count(store: &dyn Store, counts: impl IntoIterator<Item = UseCount>) {
    let counts = counts.into_iter().collect();
    let uses = Uses {
        counts,
        ..Uses::default()
    };
    store.record_use(uses).await.expect("it is counted");
}

/// What `VALID`, `NOT_FOUND` and so on were counted, by the beginning of their bucket.
type Told = Vec<(String, Vec<(&'static str, u64)>)>;

async fn tell(store: &dyn Store, of: UsageOf, over: Period) -> Told {
    let buckets = store.usage(&UsageQuery { of, over }).await.unwrap();
    let line = |UsageBucket { start, counts }| {
        let counts: BTreeMap<Code, u64> = counts;
        (
            start.to_string(),
            counts.iter().map(|(code, n)| (code.as_str(), *n)).collect(),
        )
    };
    buckets.into_iter().map(line).collect()
}

/// All of the days around [`NOON`].
fn november() -> Period {
    let (from, to) = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    Period::new(Step::Day, at(from), at(to)).unwrap()
}

/// The sum of what was counted with `VALID` in [`november`].
async fn sum(store: &dyn Store, of: UsageOf) -> u64 {
    let buckets = store
        .usage(&UsageQuery {
            of,
            over: november(),
        })
        .await
        .unwrap();
    buckets.iter().map(|one| one.counts[&Code::Valid]).sum()
}

fn of_key(record: &KeyRecord) -> UsageOf {
    UsageOf::Key(record.key.id)
}

fn of_user(name: &str) -> UsageOf {
    UsageOf::User(user(name))
}

fn of_keyspace(name: &str) -> UsageOf {
    UsageOf::Keyspace(keyspace_name(name))
}

fn one_day(counts: &[(&'static str, u64)]) -> Told {
    vec![("2026-11-22T00:00:00.000000Z".to_owned(), counts.to_vec())]
}

async fn the_uses_of_several_keys_are_told_at_once(world: World) {
    let (used, unused, other) = (
        world.key("alice").await,
        world.key("alice").await,
        world.key("bob").await,
    );
    let counts = [
        valid(&used, "2026-11-21T23:30:00Z", 1),
        valid(&used, NOON, 2),
        valid(&used, "2026-11-22T13:00:00Z", 3),
        valid(&other, NOON, 4),
    ];
    count(&*world.store, counts).await;
    let ids = [used.key.id, unused.key.id];
    for over in [
        november(),
        Period::before(Step::Hour, at("2026-11-22T13:00:00Z"), 24),
        Period::before(Step::Day, at("2026-11-22T13:00:00Z"), 1),
    ] {
        let told = world.store.usage_by_key(&ids, over).await.unwrap();
        let of = UsageOf::Key(used.key.id);
        let alone = world.store.usage(&UsageQuery { of, over }).await.unwrap();
        assert!(!alone.is_empty());
        assert_eq!(told, [(used.key.id, alone)].into());
    }
    let none = world.store.usage_by_key(&[], november()).await.unwrap();
    assert_eq!(none, [].into());
}

async fn what_was_counted_is_told_exactly(world: World) {
    let record = world.key("alice").await;
    let counts = Code::ALL
        .into_iter()
        .filter(|code| *code != Code::NotFound)
        .zip(1..)
        .map(|(code, count)| UseCount {
            code,
            ..valid(&record, NOON, count)
        });
    count(&*world.store, counts).await;
    assert_eq!(
        tell(&*world.store, of_key(&record), november()).await,
        one_day(&[
            ("REVOKED", 1),
            ("SUSPENDED", 2),
            ("EXPIRED", 3),
            ("INSUFFICIENT_PERMISSIONS", 4),
            ("VALID", 5),
        ])
    );
    let other = world.key("alice").await;
    assert_eq!(
        tell(&*world.store, of_key(&other), november()).await,
        vec![]
    );
}

async fn each_count_is_added_to_what_is_there(world: World) {
    let record = world.key("alice").await;
    // Twice in one batch, within the hour, and once more in another.
    let within = [
        valid(&record, "2026-11-22T12:00:00Z", 1),
        valid(&record, "2026-11-22T12:59:59.999999Z", 2),
        valid(&record, NOON, 0),
    ];
    count(&*world.store, within).await;
    count(&*world.store, [valid(&record, NOON, 1 << 40)]).await;
    count(&*world.store, []).await;
    let hour = Period::before(Step::Hour, at("2026-11-22T13:00:00Z"), 1);
    let expected = vec![(
        "2026-11-22T12:00:00.000000Z".to_owned(),
        vec![("VALID", 3 + (1 << 40))],
    )];
    assert_eq!(tell(&*world.store, of_key(&record), hour).await, expected);
    assert_eq!(
        tell(&*world.store, UsageOf::Everything, hour).await,
        expected
    );
}

async fn hours_and_days_end_on_their_boundaries(world: World) {
    let record = world.key("alice").await;
    let hours = [
        ("2026-11-20T23:59:59.999999Z", 1),
        ("2026-11-21T00:00:00Z", 2),
        ("2026-11-21T23:00:00Z", 4),
        ("2026-11-22T00:00:00Z", 8),
        ("2026-11-22T01:00:00Z", 16),
        ("2026-11-23T00:00:00Z", 32),
    ];
    let counts = hours.map(|(when, n)| valid(&record, when, n));
    count(&*world.store, counts).await;
    let asked = |step, from, to| Period::new(step, at(from), at(to)).unwrap();
    let valid = |lines: &[(&str, u64)]| -> Told {
        let line =
            |(start, n): &(&str, u64)| (format!("{start}:00:00.000000Z"), vec![("VALID", *n)]);
        lines.iter().map(line).collect()
    };
    for of in [
        of_key(&record),
        of_user("alice"),
        of_keyspace("default"),
        UsageOf::Everything,
    ] {
        let days = asked(Step::Day, "2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z");
        assert_eq!(
            tell(&*world.store, of.clone(), days).await,
            valid(&[("2026-11-21T00", 6), ("2026-11-22T00", 24)])
        );
        let hours = asked(Step::Hour, "2026-11-21T23:00:00Z", "2026-11-22T01:00:00Z");
        assert_eq!(
            tell(&*world.store, of.clone(), hours).await,
            valid(&[("2026-11-21T23", 4), ("2026-11-22T00", 8)])
        );
        let wider = asked(Step::Hour, "2026-11-20T23:30:00Z", "2026-11-22T01:00:01Z");
        assert_eq!(
            tell(&*world.store, of, wider).await,
            valid(&[
                ("2026-11-20T23", 1),
                ("2026-11-21T00", 2),
                ("2026-11-21T23", 4),
                ("2026-11-22T00", 8),
                ("2026-11-22T01", 16)
            ])
        );
    }
}

async fn a_use_counts_for_its_key_its_user_its_keyspace_and_for_everything(world: World) {
    let (one, two) = (world.key("alice").await, world.key("alice").await);
    let bobs = world.key("bob").await;
    let counts = [
        valid(&one, NOON, 1),
        valid(&two, NOON, 10),
        valid(&bobs, NOON, 100),
    ];
    count(&*world.store, counts).await;
    for (of, expected) in [
        (of_key(&one), 1),
        (of_key(&two), 10),
        (of_user("alice"), 11),
        (of_user("bob"), 100),
        (of_user("nobody"), 0),
        (of_keyspace("default"), 111),
        (of_keyspace("keywright"), 0),
        (UsageOf::Everything, 111),
    ] {
        assert_eq!(sum(&*world.store, of.clone()).await, expected, "{of:?}");
    }
}

async fn text_of_no_keyspace_counts_for_everything_alone(world: World) {
    count(
        &*world.store,
        [not_found(Some("default"), 3), not_found(None, 5)],
    )
    .await;
    assert_eq!(
        tell(&*world.store, of_keyspace("default"), november()).await,
        one_day(&[("NOT_FOUND", 3)])
    );
    assert_eq!(
        tell(&*world.store, UsageOf::Everything, november()).await,
        one_day(&[("NOT_FOUND", 8)])
    );
    assert_eq!(world.number("SELECT COUNT(*) FROM key_uses").await, 0);
}

async fn the_use_of_service_keys_counts_for_no_user(world: World) {
    let record = world.service_key(Grants(1)).await;
    count(&*world.store, [valid(&record, NOON, 7)]).await;
    assert_eq!(sum(&*world.store, of_key(&record)).await, 7);
    assert_eq!(sum(&*world.store, of_keyspace("keywright")).await, 7);
    assert_eq!(
        sum(&*world.store, UsageOf::User(UserId::reserved())).await,
        0
    );
}

async fn a_key_that_is_gone_counts_for_its_keyspace_alone(world: World) {
    let (record, mut gone) = (world.key("alice").await, world.draft("alice"));
    gone.key.id = KeyId(id());
    let uses = Uses {
        last_used: vec![(gone.key.id, at(NOON)), (record.key.id, at(NOON))],
        counts: vec![valid(&gone, NOON, 1), valid(&record, NOON, 10)],
    };
    world.store.record_use(uses).await.unwrap();
    assert_eq!(sum(&*world.store, of_key(&gone)).await, 0);
    assert_eq!(sum(&*world.store, of_key(&record)).await, 10);
    assert_eq!(sum(&*world.store, of_user("alice")).await, 10);
    assert_eq!(sum(&*world.store, of_keyspace("default")).await, 11);
    assert_eq!(sum(&*world.store, UsageOf::Everything).await, 11);
}

async fn nothing_is_added_where_one_count_cannot_be(world: World) {
    let record = world.key("alice").await;
    count(&*world.store, [valid(&record, NOON, 1)]).await;
    // Whatever it is that goes wrong with the last table.
    world
        .execute("ALTER TABLE keyspace_uses RENAME TO elsewhere")
        .await;
    let uses = Uses {
        counts: vec![valid(&record, NOON, 2)],
        ..Uses::default()
    };
    let refused = world.store.record_use(uses.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Internal(_))),
        "{refused:?}"
    );
    world
        .execute("ALTER TABLE elsewhere RENAME TO keyspace_uses")
        .await;
    world.store.record_use(uses).await.unwrap();
    for of in [of_key(&record), of_user("alice"), UsageOf::Everything] {
        assert_eq!(sum(&*world.store, of).await, 3);
    }
}

async fn recorders_at_once_lose_and_invent_nothing(world: World) {
    let mut records = Vec::new();
    for number in 0..20 {
        records.push(world.key(&format!("user {}", number % 5)).await);
    }
    let notes = (0..8).map(|round| {
        // In another order each time.
        let mut counts: Vec<_> = records
            .iter()
            .map(|record| valid(record, NOON, round + 1))
            .collect();
        counts.rotate_left(usize::try_from(round).unwrap() * 2);
        let last_used = records
            .iter()
            .rev()
            .map(|record| (record.key.id, at(NOON)))
            .collect();
        world.store.record_use(Uses { last_used, counts })
    });
    let answers = join_all(notes).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    for record in &records {
        assert_eq!(sum(&*world.store, of_key(record)).await, 36);
    }
    assert_eq!(sum(&*world.store, of_user("user 3")).await, 4 * 36);
    assert_eq!(sum(&*world.store, UsageOf::Everything).await, 20 * 36);
}

/// How many rows there are about keys and users.
async fn rows_left(world: &World) -> i64 {
    world
        .number(
            "SELECT (SELECT COUNT(*) FROM key_uses) + (SELECT COUNT(*) FROM user_uses) \
             + (SELECT COUNT(*) FROM departed_keys)",
        )
        .await
}

async fn a_user_takes_the_counts_along(world: World) {
    let bobs = world.key("bob").await;
    let mut alices = Vec::new();
    for _ in 0..25 {
        alices.push(world.key("alice").await);
    }
    let days = ["2026-11-20T05:00:00Z", NOON];
    let counts = alices
        .iter()
        .chain([&bobs])
        .flat_map(|record| days.map(|day| valid(record, day, 1)));
    count(&*world.store, counts).await;
    let deleted = world.store.delete_user(user("alice"), world.by()).await;
    assert_eq!(deleted, Ok(true));
    // Who comes back under that name has used nothing.
    world.key("alice").await;
    assert_eq!(sum(&*world.store, of_user("alice")).await, 0);
    assert_eq!(sum(&*world.store, UsageOf::Everything).await, 52);

    let long_ago = Timestamp::from_micros(0);
    assert_eq!(world.store.trim_usage(long_ago).await, Ok(50));
    assert_eq!(world.store.trim_usage(long_ago).await, Ok(0));
    assert_eq!(sum(&*world.store, of_key(&alices[0])).await, 0);
    assert_eq!(sum(&*world.store, of_key(&bobs)).await, 2);
    assert_eq!(sum(&*world.store, of_user("bob")).await, 2);
    assert_eq!(rows_left(&world).await, 4);
}

async fn counting_and_deleting_at_once_leaves_nothing_behind(world: World) {
    for _ in 0..5 {
        let record = world.key("alice").await;
        let counting = join_all((0..4).map(|_| count(&*world.store, [valid(&record, NOON, 1)])));
        let deleting = world.store.delete_user(user("alice"), world.by());
        let (_, deleted) = tokio::join!(counting, deleting);
        assert_eq!(deleted, Ok(true));
    }
    assert_eq!(sum(&*world.store, of_user("alice")).await, 0);
    world
        .store
        .trim_usage(Timestamp::from_micros(0))
        .await
        .unwrap();
    assert_eq!(rows_left(&world).await, 0);
    assert_eq!(sum(&*world.store, UsageOf::Everything).await, 20);
}

async fn whole_days_are_trimmed_and_no_more(world: World) {
    let record = world.key("alice").await;
    let hours = [
        ("2026-11-20T23:00:00Z", 1),
        ("2026-11-21T00:00:00Z", 2),
        ("2026-11-21T23:00:00Z", 4),
        ("2026-11-22T00:00:00Z", 8),
    ];
    count(
        &*world.store,
        hours.map(|(when, n)| valid(&record, when, n)),
    )
    .await;
    for (before, removed, left) in [
        ("2026-11-20T23:59:59Z", 0, 15),
        // Of the key, of the user, of the keyspace, of everything.
        ("2026-11-21T00:00:00Z", 4, 14),
        ("2026-11-21T23:59:59.999999Z", 0, 14),
        ("2026-11-22T00:00:00Z", 8, 8),
    ] {
        assert_eq!(world.store.trim_usage(at(before)).await, Ok(removed));
        for of in [of_key(&record), of_user("alice"), UsageOf::Everything] {
            assert_eq!(sum(&*world.store, of).await, left, "{before}");
        }
    }
    assert_eq!(world.number("SELECT COUNT(*) FROM usage_days").await, 1);
}

async fn more_is_trimmed_than_one_transaction_takes(world: World) {
    // Written from outside, since keys are many: 11,000 rows of two days, with an hour each and two codes.
    let (numbers, id_of) = match world.place {
        crate::world::Place::Sqlite(_) => (
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2750)",
            "unhex(printf('%032x', n))",
        ),
        crate::world::Place::Postgres(_) => (
            "WITH n AS (SELECT generate_series(1, 2750) AS n)",
            "CAST(lpad(to_hex(n), 32, '0') AS UUID)",
        ),
    };
    for (day, code) in [(10, 1), (10, 3), (11, 1), (11, 3)] {
        world
            .execute(&format!(
                "{numbers} INSERT INTO key_uses (day, key_id, hour, code, count) \
                 SELECT {day}, {id_of}, 7, {code}, 1 FROM n"
            ))
            .await;
    }
    let days = |days: i64| Timestamp::from_micros(days * 86_400_000_000);
    assert_eq!(world.store.trim_usage(days(11)).await, Ok(5500));
    assert_eq!(world.store.trim_usage(days(12)).await, Ok(5500));
}

async fn what_is_trimmed_twice_at_once_is_gone_once(world: World) {
    let record = world.key("alice").await;
    let hours = (0..24).map(|hour| valid(&record, &format!("2026-11-20T{hour:02}:00:00Z"), 1));
    count(&*world.store, hours).await;
    count(&*world.store, [valid(&record, NOON, 1)]).await;
    let trims = join_all((0..4).map(|_| world.store.trim_usage(at(NOON)))).await;
    let removed: u64 = trims.into_iter().map(Result::unwrap).sum();
    assert_eq!(removed, 4 * 24);
    assert_eq!(sum(&*world.store, UsageOf::Everything).await, 1);
}
