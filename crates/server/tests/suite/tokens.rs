//! Users' JSON Web Tokens (CONTRACT §4.1).

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::{Kind, Provider, SECRET, SigningKey, Token, World, on_both_stores};

on_both_stores![
    a_token_is_good_until_it_expires_and_no_longer,
    a_token_without_an_expiry_is_refused,
    a_token_is_not_good_before_it_is,
    an_expiry_may_have_a_fraction,
    an_expiry_that_is_no_moment_is_refused,
    the_audience_is_a_text_or_a_list_that_holds_it,
    the_issuer_must_be_the_configured_one,
    without_a_configured_issuer_any_is_taken,
    the_user_is_the_subject_and_has_1_to_255_characters,
    a_token_without_a_signature_is_refused,
    a_token_of_another_secret_or_algorithm_is_refused,
    a_token_that_asks_for_an_unknown_extension_is_refused,
    a_token_that_is_garbled_is_refused,
    claims_that_stand_twice_are_refused,
    a_public_key_is_never_a_secret,
    a_key_that_a_token_brings_along_is_ignored,
    a_key_of_one_kind_signs_no_token_of_another,
    where_only_public_keys_are_configured_no_secret_is,
    a_subject_that_a_header_would_change_is_refused,
];

/// What the server says of a token.
async fn told(world: &World, token: &str) -> Result<(), String> {
    let answer = world.anonymous().bearer(token).get("/api/keyspaces").await;
    if answer.status == 200 {
        return Ok(());
    }
    let problem = answer.refused(401, "invalid_token");
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    let detail = problem["detail"].as_str().unwrap();
    Err(detail
        .strip_prefix("the JWT is not good: ")
        .unwrap_or(detail)
        .to_owned())
}

fn refused(why: &str) -> Result<(), String> {
    Err(why.to_owned())
}

/// Whole seconds since the epoch.
fn seconds(world: &World) -> i64 {
    use keywright_core::ambient::Clock;
    world.clock.now().as_seconds()
}

async fn a_token_is_good_until_it_expires_and_no_longer(store: Kind) {
    let world = World::on(store).await;
    let token = Token::of("ada").claim("exp", seconds(&world) + 60).signed();
    world.clock.advance(Duration::from_micros(59_999_999));
    assert_eq!(told(&world, &token).await, Ok(()));
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(told(&world, &token).await, refused("it is expired"));
}

async fn a_token_without_an_expiry_is_refused(store: Kind) {
    let world = World::on(store).await;
    let token = Token::of("ada").without("exp").signed();
    assert_eq!(
        told(&world, &token).await,
        refused("it lacks one of the claims exp, sub, aud and iss")
    );
}

async fn a_token_is_not_good_before_it_is(store: Kind) {
    let world = World::on(store).await;
    let token = Token::of("ada").claim("nbf", seconds(&world) + 1).signed();
    world.clock.advance(Duration::from_micros(999_999));
    assert_eq!(told(&world, &token).await, refused("it is not good yet"));
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(told(&world, &token).await, Ok(()));
    for no_moment in [json!("soon"), json!(1e300), json!([])] {
        let token = Token::of("ada").claim("nbf", no_moment).signed();
        assert!(told(&world, &token).await.is_err());
    }
}

async fn an_expiry_may_have_a_fraction(store: Kind) {
    let world = World::on(store).await;
    let token = Token::signed_text(&format!(
        "{{\"sub\":\"ada\",\"aud\":\"authenticated\",\"exp\":{}.5}}",
        seconds(&world)
    ));
    world.clock.advance(Duration::from_micros(499_999));
    assert_eq!(told(&world, &token).await, Ok(()));
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(told(&world, &token).await, refused("it is expired"));
}

async fn an_expiry_that_is_no_moment_is_refused(store: Kind) {
    let world = World::on(store).await;
    for exp in [
        "1e999",
        "1e300",
        "-1",
        "-1e300",
        "0",
        "\"4102444800\"",
        "null",
        "true",
        "[4102444800]",
        "{}",
        "99999999999999999999999999",
        "NaN",
    ] {
        let token = Token::signed_text(&format!(
            "{{\"sub\":\"ada\",\"aud\":\"authenticated\",\"exp\":{exp}}}"
        ));
        assert!(told(&world, &token).await.is_err(), "{exp}");
    }
    let far = Token::of("ada").claim("exp", u64::MAX).signed();
    assert_eq!(
        told(&world, &far).await,
        Ok(()),
        "the far future is a moment"
    );
}

async fn the_audience_is_a_text_or_a_list_that_holds_it(store: Kind) {
    let world = World::on(store).await;
    let with = |audience: Value| Token::of("ada").claim("aud", audience).signed();
    for good in [
        json!("authenticated"),
        json!(["authenticated"]),
        json!(["other", "authenticated"]),
    ] {
        assert_eq!(told(&world, &with(good)).await, Ok(()));
    }
    for other in [
        json!("other"),
        json!("Authenticated"),
        json!("authenticated "),
        json!(""),
        json!(["other"]),
        json!([]),
    ] {
        assert_eq!(
            told(&world, &with(other)).await,
            refused("it is for another audience")
        );
    }
    for none in [json!(1), json!(null), json!({"authenticated": true})] {
        assert!(told(&world, &with(none)).await.is_err());
    }
    let missing = Token::of("ada").without("aud").signed();
    assert_eq!(
        told(&world, &missing).await,
        refused("it lacks one of the claims exp, sub, aud and iss")
    );
}

async fn the_issuer_must_be_the_configured_one(store: Kind) {
    let world = World::with(store, |settings| {
        settings.jwt.issuer = Some("https://id.example".to_owned());
    })
    .await;
    let of = |issuer: Value| Token::of("ada").claim("iss", issuer).signed();
    assert_eq!(told(&world, &of(json!("https://id.example"))).await, Ok(()));
    assert_eq!(
        told(&world, &of(json!("https://id.example/"))).await,
        refused("it is of another issuer")
    );
    assert_eq!(
        told(&world, &Token::of("ada").signed()).await,
        refused("it lacks one of the claims exp, sub, aud and iss")
    );
}

async fn without_a_configured_issuer_any_is_taken(store: Kind) {
    let world = World::with(store, |settings| settings.jwt.audience = "mine".into()).await;
    let token = Token::of("ada").claim("aud", "mine");
    assert_eq!(
        told(&world, &token.clone().claim("iss", "anybody").signed()).await,
        Ok(())
    );
    assert_eq!(told(&world, &token.signed()).await, Ok(()));
    assert_eq!(
        told(&world, &Token::of("ada").signed()).await,
        refused("it is for another audience")
    );
}

async fn the_user_is_the_subject_and_has_1_to_255_characters(store: Kind) {
    let world = World::on(store).await;
    let longest = "ü".repeat(255);
    assert_eq!(
        world.user(&longest).create_key("a", &[]).await.key["user_id"],
        longest
    );
    for sub in ["", "a\u{0}b", &"ü".repeat(256)] {
        let found = told(&world, &Token::of(sub).signed()).await;
        assert_eq!(
            found,
            refused(
                "its sub is no id of a user: 1 to 255 characters, none a control character, no white space at either end",
            ),
            "{sub:?}"
        );
    }
    assert!(
        told(&world, &Token::of("").without("sub").signed())
            .await
            .is_err()
    );
    for sub in [json!(1), json!(null), json!(["ada"])] {
        assert!(
            told(&world, &Token::of("").claim("sub", sub).signed())
                .await
                .is_err()
        );
    }
}

async fn a_token_without_a_signature_is_refused(store: Kind) {
    let world = World::on(store).await;
    let token = Token::of("ada");
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": ""}),
        json!({}),
        json!({"alg": ["HS256"]}),
        json!({"typ": "JWT", "alg": null}),
    ] {
        assert_eq!(
            told(&world, &token.forged(&header, b"")).await,
            refused("its header cannot be read"),
            "{header}"
        );
    }
    assert_eq!(
        told(&world, &token.forged(&json!({"alg": "HS256"}), b"")).await,
        refused("its signature is wrong")
    );
}

async fn a_token_of_another_secret_or_algorithm_is_refused(store: Kind) {
    let world = World::on(store).await;
    let token = Token::of("ada");
    let other = EncodingKey::from_secret(b"another secret of at least 32 bytes, or so");
    assert_eq!(
        told(&world, &token.signed_by(&other)).await,
        refused("its signature is wrong")
    );
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = token
            .clone()
            .header(|header| header.alg = algorithm)
            .signed();
        assert_eq!(
            told(&world, &token).await,
            refused("its algorithm is not taken here")
        );
    }
    // Good signatures, and nobody configured whose they could be.
    for key in [SigningKey::ec("k"), SigningKey::ed("k")] {
        assert_eq!(
            told(&world, &key.token("ada")).await,
            refused("its algorithm is not taken here")
        );
    }
}

async fn a_token_that_asks_for_an_unknown_extension_is_refused(store: Kind) {
    let world = World::on(store).await;
    let token = Token::of("ada").header(|header| header.crit = Some(vec!["b64".to_owned()]));
    let why = "its header asks for an extension that is not known here";
    assert_eq!(told(&world, &token.signed()).await, refused(why));
}

async fn a_token_that_is_garbled_is_refused(store: Kind) {
    let world = World::on(store).await;
    let good = Token::of("ada").signed();
    assert_eq!(told(&world, &good).await, Ok(()));
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    let other_claims = Token::of("eve")
        .signed()
        .split('.')
        .nth(1)
        .unwrap()
        .to_owned();
    for garbled in [
        format!("{header}.{other_claims}.{signature}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{signature}A"),
        format!("{header}.{claims}.{}", &signature[1..]),
        format!(".{claims}.{signature}"),
        format!("{header}..{signature}"),
        "..".to_owned(),
        format!("{header}={claims}.{signature}."),
        format!("{claims}.{header}.{signature}"),
    ] {
        assert!(told(&world, &garbled).await.is_err(), "{garbled}");
    }
    for no_claims in ["[]", "null", "", "{", "\"ada\""] {
        assert!(
            told(&world, &Token::signed_text(no_claims)).await.is_err(),
            "{no_claims}"
        );
    }
}

async fn claims_that_stand_twice_are_refused(store: Kind) {
    let world = World::on(store).await;
    for claims in [
        r#"{"sub":"ada","sub":"eve","aud":"authenticated","exp":4102444800}"#,
        r#"{"sub":"ada","aud":"authenticated","exp":1,"exp":4102444800}"#,
    ] {
        assert!(
            told(&world, &Token::signed_text(claims)).await.is_err(),
            "{claims}"
        );
    }
}

/// A server that takes tokens of these keys, and of the shared secret.
async fn trusting(store: Kind, keys: &[&SigningKey]) -> (World, Provider) {
    let provider = Provider::publishing(keys).await;
    let url = provider.url();
    (
        World::with(store, |settings| settings.jwt.jwks_url = Some(url)).await,
        provider,
    )
}

async fn a_public_key_is_never_a_secret(store: Kind) {
    let keys = [
        SigningKey::rsa("rsa"),
        SigningKey::ec("ec"),
        SigningKey::ed("ed"),
    ];
    let (world, _provider) = trusting(store, &keys.each_ref()).await;
    for key in &keys {
        assert_eq!(told(&world, &key.token("ada")).await, Ok(()));
        let public = key.public();
        let mut secrets = vec![public.to_string(), key.kid.clone()];
        for part in ["n", "e", "x", "y"] {
            secrets.extend(public[part].as_str().map(str::to_owned));
        }
        for secret in secrets {
            let token = Token::of("ada").header(|header| header.kid = Some(key.kid.clone()));
            let signed = token.signed_by(&EncodingKey::from_secret(secret.as_bytes()));
            assert_eq!(
                told(&world, &signed).await,
                refused("its signature is wrong")
            );
            let Ok(bytes) =
                base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &secret)
            else {
                continue;
            };
            let signed = token.signed_by(&EncodingKey::from_secret(&bytes));
            assert_eq!(
                told(&world, &signed).await,
                refused("its signature is wrong")
            );
        }
    }
    let good = Token::of("ada").header(|header| header.kid = Some("rsa".to_owned()));
    assert_eq!(
        told(
            &world,
            &good.signed_by(&EncodingKey::from_secret(SECRET.as_bytes()))
        )
        .await,
        Ok(())
    );
}

async fn a_key_that_a_token_brings_along_is_ignored(store: Kind) {
    let key = SigningKey::ec("k");
    let (world, provider) = trusting(store, &[&key]).await;
    assert_eq!(told(&world, &key.token("ada")).await, Ok(()));
    let evil = SigningKey::ec("k");
    let elsewhere = Provider::publishing(&[&evil]).await;
    let jwk = serde_json::from_value(evil.public()).unwrap();
    let token = Token::of("ada").header(|header| {
        header.kid = Some("k".to_owned());
        header.jku = Some(elsewhere.url().to_string());
        header.jwk = Some(jwk);
    });
    assert_eq!(
        told(&world, &evil.sign(token)).await,
        refused("its signature is wrong")
    );
    assert_eq!((provider.fetches(), elsewhere.fetches()), (1, 0));
}

async fn a_key_of_one_kind_signs_no_token_of_another(store: Kind) {
    let (ec, ed) = (SigningKey::ec("ec"), SigningKey::ed("ed"));
    let (world, _provider) = trusting(store, &[&ec, &ed]).await;
    let token = |kid: &str| Token::of("ada").header(|header| header.kid = Some(kid.to_owned()));
    let why = "no public key of the identity provider fits it";
    assert_eq!(told(&world, &ec.sign(token("ed"))).await, refused(why));
    assert_eq!(told(&world, &ed.sign(token("ec"))).await, refused(why));
    let others = SigningKey::ec("ec");
    assert_eq!(
        told(&world, &others.token("ada")).await,
        refused("its signature is wrong")
    );
}

async fn where_only_public_keys_are_configured_no_secret_is(store: Kind) {
    let key = SigningKey::ec("k");
    let provider = Provider::publishing(&[&key]).await;
    let url = provider.url();
    let world = World::with(store, |settings| {
        settings.jwt.secret = None;
        settings.jwt.jwks_url = Some(url);
    })
    .await;
    assert_eq!(told(&world, &key.token("ada")).await, Ok(()));
    assert_eq!(
        told(&world, &Token::of("ada").signed()).await,
        refused("its algorithm is not taken here")
    );
    let empty = Token::of("ada").signed_by(&EncodingKey::from_secret(b""));
    assert_eq!(
        told(&world, &empty).await,
        refused("its algorithm is not taken here")
    );
}

async fn a_subject_that_a_header_would_change_is_refused(store: Kind) {
    let world = World::on(store).await;
    for sub in [" ada", "ada ", "ada\t", "\u{a0}ada", "a\nb", "a\u{7f}b"] {
        let found = told(&world, &Token::of(sub).signed()).await;
        assert_eq!(
            found,
            refused(
                "its sub is no id of a user: 1 to 255 characters, none a control character, no white space at either end",
            ),
            "{sub:?}"
        );
    }
}
