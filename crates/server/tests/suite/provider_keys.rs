//! The identity provider's public keys: fetched, kept, and fetched again (CONTRACT §4.1).

use std::time::Duration;

use serde_json::json;

use crate::support::{
    Client, Kind, Provider, SigningKey, Token, World, eventually, on_both_stores,
};

on_both_stores![
    tokens_of_every_kind_of_key_are_taken,
    a_token_that_names_no_key_is_tried_with_all,
    an_unknown_key_is_looked_for_at_most_once_a_minute,
    a_new_key_is_found_within_a_minute,
    a_withdrawn_key_is_refused_after_the_next_fetch,
    a_withdrawn_key_is_noticed_though_nobody_asks_for_another,
    a_slow_fetch_keeps_nobody_waiting_whose_key_is_known,
    those_who_wait_for_one_fetch_share_it,
    without_keys_nothing_is_known_and_503_says_so,
    keys_are_kept_when_the_provider_goes_down,
    a_document_that_is_none_changes_nothing,
    keys_that_cannot_sign_are_passed_over,
    those_who_wait_for_a_provider_that_hangs_are_told_at_once,
];

/// A server that takes tokens of these keys alone.
async fn trusting(store: Kind, keys: &[&SigningKey]) -> (World, Provider) {
    let provider = Provider::publishing(keys).await;
    let url = provider.url();
    let world = World::with(store, |settings| {
        settings.jwt.secret = None;
        settings.jwt.jwks_url = Some(url);
    })
    .await;
    (world, provider)
}

/// The status that whoever brings this token gets.
async fn status(world: &World, token: &str) -> u16 {
    bearer(world, token).get("/api/keyspaces").await.status
}

fn bearer(world: &World, token: &str) -> Client {
    world.anonymous().bearer(token)
}

async fn tokens_of_every_kind_of_key_are_taken(store: Kind) {
    let keys = [
        SigningKey::rsa("rsa"),
        SigningKey::ec("ec"),
        SigningKey::ed("ed"),
    ];
    let (world, provider) = trusting(store, &keys.each_ref()).await;
    for (key, user) in keys.iter().zip(["ada", "bob", "cyd"]) {
        let made = bearer(&world, &key.token(user)).create_key("a", &[]).await;
        assert_eq!(made.key["user_id"], user);
    }
    assert_eq!(provider.fetches(), 1);
}

async fn a_token_that_names_no_key_is_tried_with_all(store: Kind) {
    let keys = [
        SigningKey::ec("one"),
        SigningKey::ed("two"),
        SigningKey::ec("three"),
    ];
    let (world, _provider) = trusting(store, &keys.each_ref()).await;
    for key in &keys {
        assert_eq!(status(&world, &key.sign(Token::of("ada"))).await, 200);
    }
    let stranger = SigningKey::ec("one").sign(Token::of("ada"));
    assert_eq!(status(&world, &stranger).await, 401);
}

async fn an_unknown_key_is_looked_for_at_most_once_a_minute(store: Kind) {
    let (known, unknown) = (SigningKey::ec("known"), SigningKey::ec("unknown"));
    let (world, provider) = trusting(store, &[&known]).await;
    assert_eq!(status(&world, &known.token("ada")).await, 200);
    for fetches in 1..4 {
        for _ in 0..5 {
            assert_eq!(status(&world, &unknown.token("ada")).await, 401);
            assert_eq!(status(&world, &known.token("ada")).await, 200);
        }
        world.clock.advance(Duration::from_micros(59_999_999));
        assert_eq!(status(&world, &unknown.token("ada")).await, 401);
        assert_eq!(provider.fetches(), fetches);
        world.clock.advance(Duration::from_micros(1));
        assert_eq!(status(&world, &unknown.token("ada")).await, 401);
        assert_eq!(provider.fetches(), fetches + 1);
    }
}

async fn a_new_key_is_found_within_a_minute(store: Kind) {
    let (old, new) = (SigningKey::ec("old"), SigningKey::rsa("new"));
    let (world, provider) = trusting(store, &[&old]).await;
    assert_eq!(status(&world, &old.token("ada")).await, 200);
    provider.publish(&[old.public(), new.public()]);
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(status(&world, &new.token("ada")).await, 200);
    assert_eq!(status(&world, &old.token("ada")).await, 200);
    assert_eq!(provider.fetches(), 2);
}

async fn a_withdrawn_key_is_refused_after_the_next_fetch(store: Kind) {
    let (old, new) = (SigningKey::ec("old"), SigningKey::ec("new"));
    let (world, provider) = trusting(store, &[&old]).await;
    assert_eq!(status(&world, &old.token("ada")).await, 200);
    provider.publish(&[new.public()]);
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(status(&world, &new.token("ada")).await, 200);
    assert_eq!(status(&world, &old.token("ada")).await, 401);
}

async fn a_withdrawn_key_is_noticed_though_nobody_asks_for_another(store: Kind) {
    let (stolen, new) = (SigningKey::ec("stolen"), SigningKey::ec("new"));
    let (world, provider) = trusting(store, &[&stolen]).await;
    assert_eq!(status(&world, &stolen.token("ada")).await, 200);
    provider.publish(&[new.public()]);
    world.clock.advance(Duration::from_mins(15));
    // The first one is answered with what is known; the fetch goes on behind it.
    eventually(async || (status(&world, &stolen.token("ada")).await == 401).then_some(())).await;
    assert_eq!(provider.fetches(), 2);
}

async fn a_slow_fetch_keeps_nobody_waiting_whose_key_is_known(store: Kind) {
    let (known, new) = (SigningKey::ec("known"), SigningKey::ec("new"));
    let (world, provider) = trusting(store, &[&known]).await;
    assert_eq!(status(&world, &known.token("ada")).await, 200);
    provider.publish(&[known.public(), new.public()]);
    world.clock.advance(Duration::from_mins(1));
    provider.hold();
    let waiting = bearer(&world, &new.token("ada"));
    let waiting = tokio::spawn(async move { waiting.get("/api/keyspaces").await.status });
    eventually(async || (provider.fetches() == 2).then_some(())).await;
    assert_eq!(status(&world, &known.token("ada")).await, 200);
    assert!(!waiting.is_finished());
    provider.release();
    assert_eq!(waiting.await.unwrap(), 200);
}

async fn those_who_wait_for_one_fetch_share_it(store: Kind) {
    let key = SigningKey::ec("key");
    let (world, provider) = trusting(store, &[&key]).await;
    let client = bearer(&world, &key.token("ada"));
    let all = (0..10).map(|_| client.get("/api/keyspaces"));
    for answer in futures::future::join_all(all).await {
        answer.ok();
    }
    assert_eq!(provider.fetches(), 1);
}

async fn without_keys_nothing_is_known_and_503_says_so(store: Kind) {
    let key = SigningKey::ec("key");
    let (world, provider) = trusting(store, &[&key]).await;
    provider.set_down(true);
    let client = bearer(&world, &key.token("ada"));
    for _ in 0..3 {
        let answer = client.get("/api/keyspaces").await;
        let problem = answer.refused(503, "unavailable");
        let detail = "the identity provider's public keys cannot be had now; try again";
        assert_eq!(
            (&problem["detail"], answer.header("retry-after")),
            (&json!(detail), Some("1"))
        );
    }
    assert_eq!(
        provider.fetches(),
        1,
        "a provider that is down is not flooded"
    );
    // Whoever needs no public key is not concerned.
    assert_eq!(world.admin().await.get("/api/users").await.status, 200);
    provider.set_down(false);
    world.clock.advance(Duration::from_secs(5));
    client.get("/api/keyspaces").await.ok();
    assert_eq!(provider.fetches(), 2);
}

async fn keys_are_kept_when_the_provider_goes_down(store: Kind) {
    let (key, unknown) = (SigningKey::ec("key"), SigningKey::ec("unknown"));
    let (world, provider) = trusting(store, &[&key]).await;
    assert_eq!(status(&world, &key.token("ada")).await, 200);
    provider.set_down(true);
    for _ in 0..3 {
        world.clock.advance(Duration::from_hours(1));
        assert_eq!(status(&world, &key.token("ada")).await, 200);
        assert_eq!(status(&world, &unknown.token("ada")).await, 401);
    }
    eventually(async || (provider.fetches() == 4).then_some(())).await;
    assert_eq!(status(&world, &key.token("ada")).await, 200);
}

async fn a_document_that_is_none_changes_nothing(store: Kind) {
    let (key, unknown) = (SigningKey::ec("key"), SigningKey::ec("unknown"));
    let (world, provider) = trusting(store, &[&key]).await;
    assert_eq!(status(&world, &key.token("ada")).await, 200);
    let large = json!({"keys": [], "more": "x".repeat(300 * 1024)}).to_string();
    for (number, document) in ["", "no JSON", "[]", "{\"keys\": 1}", &large]
        .into_iter()
        .enumerate()
    {
        provider.answer_once(document);
        world.clock.advance(Duration::from_mins(1));
        assert_eq!(status(&world, &unknown.token("ada")).await, 401);
        assert_eq!(provider.fetches(), number + 2);
        assert_eq!(status(&world, &key.token("ada")).await, 200);
    }
}

async fn keys_that_cannot_sign_are_passed_over(store: Kind) {
    let (key, other) = (SigningKey::ec("key"), SigningKey::ed("other"));
    let (world, provider) = trusting(store, &[&key]).await;
    let mut for_encryption = other.public();
    for_encryption["use"] = "enc".into();
    provider.publish(&[
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "secret"}),
        json!({"kty": "unheard-of", "kid": "odd"}),
        for_encryption,
        key.public(),
    ]);
    assert_eq!(status(&world, &key.token("ada")).await, 200);
    assert_eq!(status(&world, &other.token("ada")).await, 401);
}

async fn those_who_wait_for_a_provider_that_hangs_are_told_at_once(store: Kind) {
    let key = SigningKey::ec("key");
    let provider = Provider::publishing(&[&key]).await;
    let url = provider.url();
    let world = World::with(store, |settings| {
        settings.jwt.jwks_url = Some(url);
        settings.fetch_timeout = Duration::from_secs(1);
    })
    .await;
    provider.hold();
    let clients = (0..10).map(|number| {
        let unknown = SigningKey::ec(&format!("key-{number}"));
        let client = bearer(&world, &unknown.token("ada"));
        tokio::spawn(async move { client.get("/api/keyspaces").await })
    });
    let clients: Vec<_> = clients.collect();
    eventually(async || (provider.fetches() == 1).then_some(())).await;
    // The fetch takes longer than the pause between two of them: none of those who waited begins another.
    world.clock.advance(Duration::from_secs(30));
    for client in clients {
        client.await.unwrap().refused(503, "unavailable");
    }
    assert_eq!(provider.fetches(), 1);
}
