//! How often keys were used. It is 2026-11-22T09:00:00Z.

use std::time::Duration;

use keywright_core::decision::Code;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::timestamp::Timestamp;
use keywright_store::{Store, UseCount, Uses};
use serde_json::{Value, json};

use crate::support::{CreatedKey, Fault, Kind, World, eventually, on_both_stores, pointers};

on_both_stores![
    the_use_of_a_key_is_told_hour_by_hour_and_the_empty_hours_too,
    the_use_of_a_key_is_told_day_by_day,
    without_a_span_the_last_hours_or_days_are_told_and_now_among_them,
    a_span_is_rounded_to_whole_buckets,
    the_use_of_a_key_is_told_to_whoever_may_see_the_key,
    all_use_is_told_and_that_of_a_keyspace_or_of_a_user,
    what_was_never_used_and_what_does_not_exist_look_the_same,
    a_thousand_buckets_are_answered_and_no_more,
    what_cannot_be_meant_is_refused,
    a_deleted_users_use_is_gone_and_counts_for_the_keyspace,
    old_counts_are_removed_when_a_server_starts,
    without_the_database_nothing_is_made_up,
];

fn count(key: Option<(&CreatedKey, &str)>, hour: &str, code: Code, count: u64) -> UseCount {
    UseCount {
        hour: Timestamp::parse(hour).unwrap(),
        keyspace: Some(KeyspaceName::new("default").unwrap()),
        key: key.map(|(key, user)| {
            let id = KeyId(key.id.parse().unwrap());
            (id, UserId::new(user).unwrap())
        }),
        code,
        count,
    }
}

async fn note(store: &dyn Store, counts: impl IntoIterator<Item = UseCount>) {
    let counts = counts.into_iter().collect();
    let uses = Uses {
        counts,
        ..Uses::default()
    };
    store.record_use(uses).await.unwrap();
}

/// The buckets in which something was counted.
fn counted(usage: &Value) -> Vec<(&str, &Value)> {
    let buckets = usage["buckets"].as_array().unwrap();
    buckets
        .iter()
        .filter(|one| one["counts"] != json!({}))
        .map(|one| (one["start"].as_str().unwrap(), &one["counts"]))
        .collect()
}

/// When the first bucket begins and the last, and how many there are.
fn extent(usage: &Value) -> (&str, &str, usize) {
    let buckets = usage["buckets"].as_array().unwrap();
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
        panic!("no buckets")
    };
    (
        first["start"].as_str().unwrap(),
        last["start"].as_str().unwrap(),
        buckets.len(),
    )
}

async fn the_use_of_a_key_is_told_hour_by_hour_and_the_empty_hours_too(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    let of_key = Some((&key, "ada"));
    let counts = [
        count(of_key, "2026-11-22T06:00:00Z", Code::Valid, 3),
        count(of_key, "2026-11-22T06:00:00Z", Code::Expired, 2),
        count(of_key, "2026-11-22T06:00:00Z", Code::Suspended, 1),
        count(of_key, "2026-11-22T08:00:00Z", Code::Revoked, 4),
        count(
            of_key,
            "2026-11-22T08:00:00Z",
            Code::InsufficientPermissions,
            5,
        ),
        count(of_key, "2026-11-22T09:00:00Z", Code::Valid, 6),
    ];
    note(&*world.store, counts).await;
    let span = "from=2026-11-22T06:00:00Z&to=2026-11-22T09:00:00Z&step=hour";
    let path = format!("{}/usage?{span}", key.path());
    assert_eq!(
        ada.get(&path).await.ok(),
        json!({
            "step": "hour",
            "buckets": [
                {"start": "2026-11-22T06:00:00.000000Z", "counts": {"VALID": 3, "EXPIRED": 2, "SUSPENDED": 1}},
                {"start": "2026-11-22T07:00:00.000000Z", "counts": {}},
                {"start": "2026-11-22T08:00:00.000000Z", "counts": {"REVOKED": 4, "INSUFFICIENT_PERMISSIONS": 5}},
            ]
        })
    );
}

async fn the_use_of_a_key_is_told_day_by_day(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    let hours = [
        "2026-11-19T23:00:00Z",
        "2026-11-20T00:00:00Z",
        "2026-11-20T23:00:00Z",
        "2026-11-22T00:00:00Z",
    ];
    let counts = hours.map(|hour| count(Some((&key, "ada")), hour, Code::Valid, 1));
    note(&*world.store, counts).await;
    let span = "from=2026-11-20T00:00:00Z&to=2026-11-23T00:00:00Z&step=day";
    let path = format!("{}/usage?{span}", key.path());
    assert_eq!(
        ada.get(&path).await.ok(),
        json!({
            "step": "day",
            "buckets": [
                {"start": "2026-11-20T00:00:00.000000Z", "counts": {"VALID": 2}},
                {"start": "2026-11-21T00:00:00.000000Z", "counts": {}},
                {"start": "2026-11-22T00:00:00.000000Z", "counts": {"VALID": 1}},
            ]
        })
    );
}

async fn without_a_span_the_last_hours_or_days_are_told_and_now_among_them(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for (query, expected) in [
        (
            "",
            (
                "2026-11-21T10:00:00.000000Z",
                "2026-11-22T09:00:00.000000Z",
                24,
            ),
        ),
        (
            "?step=day",
            (
                "2026-10-24T00:00:00.000000Z",
                "2026-11-22T00:00:00.000000Z",
                30,
            ),
        ),
        (
            "?to=2026-11-22T06:00:00Z",
            (
                "2026-11-21T06:00:00.000000Z",
                "2026-11-22T05:00:00.000000Z",
                24,
            ),
        ),
        (
            "?from=2026-11-22T08:59:59Z",
            (
                "2026-11-22T08:00:00.000000Z",
                "2026-11-22T09:00:00.000000Z",
                2,
            ),
        ),
    ] {
        let usage = admin.get(&format!("/api/usage{query}")).await.ok();
        assert_eq!(extent(&usage), expected, "{query}");
    }
}

async fn a_span_is_rounded_to_whole_buckets(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let of_an_hour = "from=2026-11-21T23:59:59.999999Z&to=2026-11-22T00:00:00.000001Z";
    for (step, first, last) in [
        ("hour", "2026-11-21T23", "2026-11-22T00"),
        ("day", "2026-11-21T00", "2026-11-22T00"),
    ] {
        let path = format!("/api/usage?{of_an_hour}&step={step}");
        let usage = admin.get(&path).await.ok();
        let whole = |start: &str| format!("{start}:00:00.000000Z");
        assert_eq!(extent(&usage), (&*whole(first), &*whole(last), 2));
    }
    // Another offset is another way to write a moment.
    let elsewhere = "/api/usage?from=2026-11-22T01:00:00%2B02:00&to=2026-11-22T02:00:00%2B02:00";
    let usage = admin.get(elsewhere).await.ok();
    let start = "2026-11-21T23:00:00.000000Z";
    assert_eq!(extent(&usage), (start, start, 1));
}

async fn the_use_of_a_key_is_told_to_whoever_may_see_the_key(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let path = format!("{}/usage", ada.create_key("a", &[]).await.path());
    ada.get(&path).await.ok();
    world.user("bob").get(&path).await.refused(404, "not_found");
    let reader = world.service(&["keys:read"]).await;
    reader.get(&path).await.ok();
    reader.acting_for("ada").get(&path).await.ok();
    reader
        .acting_for("bob")
        .get(&path)
        .await
        .refused(404, "not_found");
    let auditor = world.service(&["audit:read"]).await;
    auditor.get(&path).await.refused(403, "insufficient_scope");
    let (service_key, _) = world.service_key(&["keys:verify"]).await;
    let path = format!("/api/api-keys/{service_key}/usage");
    reader.get(&path).await.ok();
    ada.get(&path).await.refused(404, "not_found");
    ada.get("/api/api-keys/nonsense/usage")
        .await
        .refused(404, "not_found");
}

async fn all_use_is_told_and_that_of_a_keyspace_or_of_a_user(store: Kind) {
    let world = World::on(store).await;
    let (ada, bob) = (world.user("ada"), world.user("bob"));
    let keys = [
        (ada.create_key("a", &[]).await, "ada", 1),
        (ada.create_key("a", &[]).await, "ada", 10),
        (bob.create_key("a", &[]).await, "bob", 100),
    ];
    let hour = "2026-11-22T09:00:00Z";
    let of_keys = keys
        .iter()
        .map(|(key, user, n)| count(Some((key, user)), hour, Code::Valid, *n));
    let unknown = count(None, hour, Code::NotFound, 7);
    let of_no_keyspace = UseCount {
        keyspace: None,
        ..unknown.clone()
    };
    note(&*world.store, of_keys.chain([unknown, of_no_keyspace])).await;
    let admin = world.admin().await;
    for (query, expected) in [
        ("", json!({"VALID": 111, "NOT_FOUND": 14})),
        ("?keyspace=default", json!({"VALID": 111, "NOT_FOUND": 7})),
        ("?user_id=ada", json!({"VALID": 11})),
        ("?user_id=bob", json!({"VALID": 100})),
    ] {
        let usage = admin.get(&format!("/api/usage{query}")).await.ok();
        assert_eq!(
            counted(&usage),
            [("2026-11-22T09:00:00.000000Z", &expected)],
            "{query}"
        );
    }
}

async fn what_was_never_used_and_what_does_not_exist_look_the_same(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for query in [
        "",
        "?keyspace=default",
        "?keyspace=nowhere",
        "?user_id=nobody",
    ] {
        let usage = admin.get(&format!("/api/usage{query}")).await.ok();
        assert_eq!(counted(&usage), [], "{query}");
        assert_eq!(usage["buckets"].as_array().unwrap().len(), 24);
    }
}

async fn a_thousand_buckets_are_answered_and_no_more(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let span = |to| format!("/api/usage?from=2026-01-01T00:00:00Z&to={to}");
    let usage = admin.get(&span("2026-02-11T16:00:00Z")).await.ok();
    assert_eq!(usage["buckets"].as_array().unwrap().len(), 1000);
    let refused = admin.get(&span("2026-02-11T16:00:00.000001Z")).await;
    let refused = refused.refused(422, "validation_failed");
    assert_eq!(
        refused["errors"],
        json!([{
            "pointer": "?from",
            "detail": "is 1001 hours before the end, and at most 1000 are answered at once: ask for a part of them, \
                       or for step=day"
        }])
    );
    let days = admin
        .get(&(span("2026-02-11T16:00:00.000001Z") + "&step=day"))
        .await;
    assert_eq!(days.ok()["buckets"].as_array().unwrap().len(), 42);
}

async fn what_cannot_be_meant_is_refused(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let key = world.user("ada").create_key("a", &[]).await;
    for (query, pointer) in [
        ("step=minute", "?step"),
        ("step=", "?step"),
        ("from=yesterday", "?from"),
        ("to=2026-11-22", "?to"),
        ("from=2026-11-22T09:00:00Z&to=2026-11-22T09:00:00Z", "?from"),
        ("from=2026-11-22T09:00:01Z", "?from"),
        ("from=0000-01-01T00:00:00Z", "?from"),
        ("form=2026-11-22T09:00:00Z", "?"),
    ] {
        for path in [format!("{}/usage", key.path()), "/api/usage".to_owned()] {
            let refused = admin.get(&format!("{path}?{query}")).await;
            let refused = refused.refused(422, "validation_failed");
            assert_eq!(pointers(&refused), [pointer], "{path}?{query}");
        }
    }
    for (query, pointer) in [
        ("keyspace=default&user_id=ada", "?user_id"),
        ("keyspace=No", "?keyspace"),
        ("user_id=", "?user_id"),
    ] {
        let refused = admin.get(&format!("/api/usage?{query}")).await;
        let refused = refused.refused(422, "validation_failed");
        assert_eq!(pointers(&refused), [pointer], "{query}");
    }
}

async fn a_deleted_users_use_is_gone_and_counts_for_the_keyspace(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let key = world.user("ada").create_key("a", &[]).await;
    let noted = count(Some((&key, "ada")), "2026-11-22T09:00:00Z", Code::Valid, 1);
    note(&*world.store, [noted]).await;
    admin.delete("/api/users/ada").await;
    admin
        .get(&format!("{}/usage", key.path()))
        .await
        .refused(404, "not_found");
    world.user("ada").create_key("a", &[]).await;
    let usage = admin.get("/api/usage?user_id=ada").await.ok();
    assert_eq!(counted(&usage), []);
    let usage = admin.get("/api/usage?keyspace=default").await.ok();
    assert_eq!(counted(&usage).len(), 1);
}

async fn old_counts_are_removed_when_a_server_starts(store: Kind) {
    let mut world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    world.stop().await;
    let closed = world.reopen().await;
    // 400 days before is 2025-10-18T09:00:00Z.
    let counts = ["2025-10-17T23:00:00Z", "2025-10-18T00:00:00Z"]
        .map(|hour| count(Some((&key, "ada")), hour, Code::Valid, 1));
    note(&*closed, counts).await;
    closed.close().await;

    world.start_again().await;
    let ada = world.user("ada");
    let path = format!(
        "{}/usage?from=2025-10-17T00:00:00Z&to=2025-10-19T00:00:00Z&step=day",
        key.path()
    );
    let left = eventually(async || {
        let usage = ada.get(&path).await.ok();
        (counted(&usage).len() == 1).then_some(usage)
    })
    .await;
    let kept = ("2025-10-18T00:00:00.000000Z", &json!({"VALID": 1}));
    assert_eq!(counted(&left), [kept]);
}

async fn without_the_database_nothing_is_made_up(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let key = ada.create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    world.database_suffers(Fault::Down);
    ada.get(&format!("{}/usage", key.path()))
        .await
        .refused(503, "unavailable");
}
