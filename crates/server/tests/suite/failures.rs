//! The bound on failed authentications (CONTRACT §4.5).

use std::time::Duration;

use serde_json::json;

use crate::support::{Client, Kind, Token, World, on_both_stores};

on_both_stores![
    after_a_hundred_failures_a_source_is_told_to_wait,
    a_good_credential_is_never_refused,
    after_a_minute_it_counts_anew,
    a_key_that_is_not_found_is_no_failure_of_the_caller,
    what_is_no_bad_credential_does_not_count,
    every_kind_of_bad_credential_counts,
    a_header_names_no_other_source,
    behind_a_trusted_proxy_every_source_counts_for_itself,
];

async fn fail(client: &Client, times: usize) {
    for _ in 0..times {
        client
            .get("/api/whoami")
            .await
            .refused(401, "invalid_token");
    }
}

async fn after_a_hundred_failures_a_source_is_told_to_wait(store: Kind) {
    let world = World::on(store).await;
    let stranger = world.holder("junk");
    fail(&stranger, 100).await;
    world.clock.advance(Duration::from_millis(17_500));
    for _ in 0..3 {
        let answer = stranger.get("/api/whoami").await;
        let problem = answer.refused(429, "too_many_failures");
        assert_eq!(answer.header("retry-after"), Some("43"));
        assert_eq!(answer.header("www-authenticate"), None);
        let detail =
            "too many failed authentications from this address; a good credential is still taken";
        assert_eq!(problem["detail"], detail);
    }
}

async fn a_good_credential_is_never_refused(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    fail(&world.holder("junk"), 100).await;
    world.user("ada").get("/api/api-keys").await.ok();
    world.holder(&key.text).get("/api/whoami").await.ok();
    let admin = world.admin().await;
    assert_eq!(admin.code_of(&key.text).await, "VALID");
    // A good credential that may not do it is told so, and not that it failed.
    world
        .user("ada")
        .get("/api/users")
        .await
        .refused(403, "service_key_required");
    world
        .service(&["keys:read"])
        .await
        .get("/api/users")
        .await
        .refused(403, "insufficient_scope");
    world
        .anonymous()
        .get("/api/users")
        .await
        .refused(401, "missing_credentials");
    world
        .holder("junk")
        .get("/api/whoami")
        .await
        .refused(429, "too_many_failures");
}

async fn after_a_minute_it_counts_anew(store: Kind) {
    let world = World::on(store).await;
    let stranger = world.holder("junk");
    for _ in 0..2 {
        fail(&stranger, 100).await;
        stranger
            .get("/api/whoami")
            .await
            .refused(429, "too_many_failures");
        world.clock.advance(Duration::from_secs(59));
        stranger
            .get("/api/whoami")
            .await
            .refused(429, "too_many_failures");
        world.clock.advance(Duration::from_secs(1));
    }
    fail(&stranger, 1).await;
}

async fn a_key_that_is_not_found_is_no_failure_of_the_caller(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for _ in 0..2 {
        let requests = vec![json!({"key": "junk"}); 100];
        admin
            .post("/api/verify/batch", json!({"requests": requests}))
            .await
            .ok();
    }
    for _ in 0..101 {
        assert_eq!(admin.code_of("junk").await, "NOT_FOUND");
    }
    fail(&world.holder("junk"), 100).await;
}

async fn what_is_no_bad_credential_does_not_count(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    for _ in 0..101 {
        world
            .anonymous()
            .get("/api/users")
            .await
            .refused(401, "missing_credentials");
        world
            .anonymous()
            .with("authorization", "Basic YTpi")
            .get("/api/users")
            .await
            .refused(401, "missing_credentials");
        ada.get("/api/users")
            .await
            .refused(403, "service_key_required");
        ada.with("x-api-key", "junk")
            .get("/api/users")
            .await
            .refused(400, "conflicting_credentials");
    }
    fail(&world.holder("junk"), 100).await;
}

async fn every_kind_of_bad_credential_counts(store: Kind) {
    let world = World::on(store).await;
    let revoked = world.user("ada").create_key("a", &[]).await;
    world.user("ada").delete(&revoked.path()).await.ok();
    let expired = Token::of("ada").claim("exp", 1).signed();
    let anonymous = world.anonymous();
    let bad = [
        anonymous.bearer(&expired),
        anonymous.bearer("kw_junk"),
        anonymous.bearer(&revoked.text),
        world.holder(""),
    ];
    for _ in 0..25 {
        for client in &bad {
            client
                .get("/api/keyspaces")
                .await
                .refused(401, "invalid_token");
        }
    }
    for client in &bad {
        client
            .get("/api/keyspaces")
            .await
            .refused(429, "too_many_failures");
    }
    world
        .holder(&revoked.text)
        .get("/api/whoami")
        .await
        .refused(429, "too_many_failures");
}

async fn a_header_names_no_other_source(store: Kind) {
    let world = World::on(store).await;
    for number in 0..100 {
        let elsewhere = format!("198.51.100.{number}");
        let client = world
            .holder("junk")
            .with("x-forwarded-for", &elsewhere)
            .with("forwarded", &format!("for={elsewhere}"));
        fail(&client, 1).await;
    }
    world
        .holder("junk")
        .with("x-forwarded-for", "203.0.113.1")
        .get("/api/whoami")
        .await
        .refused(429, "too_many_failures");
}

async fn behind_a_trusted_proxy_every_source_counts_for_itself(store: Kind) {
    let world = World::with(store, |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let from = |address: &str| world.holder("junk").with("x-forwarded-for", address);
    fail(&from("198.51.100.1"), 100).await;
    from("198.51.100.1")
        .get("/api/whoami")
        .await
        .refused(429, "too_many_failures");
    fail(&from("198.51.100.2"), 1).await;
    // What the stranger wrote before the proxy added its part names nobody.
    from("203.0.113.5, 198.51.100.1")
        .get("/api/whoami")
        .await
        .refused(429, "too_many_failures");
    // One subscriber has a network of 64 bits.
    for host in 0..100 {
        fail(&from(&format!("2001:db8::{host:x}")), 1).await;
    }
    from("2001:db8::ffff")
        .get("/api/whoami")
        .await
        .refused(429, "too_many_failures");
    fail(&from("2001:db8:0:1::1"), 1).await;
}
