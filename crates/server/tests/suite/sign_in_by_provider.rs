//! Users who sign in with an identity provider: what it must say of them, what browsers must bring, and what becomes of
//! everything else. (A real provider and a real browser are in tests/console/oidc.test.mjs.)

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use keywright_core::digest::Digest;
use keywright_server::PublicUrl;
use serde_json::{Value, json};

use crate::support::{
    Browser, CLIENT, CLIENT_SECRET, Kind, OpenId, Shown, SigningKey, Token, World, eventually,
    on_both_stores,
};

on_both_stores![
    a_user_signs_in_and_goes_where_they_wanted,
    an_id_token_that_is_not_for_this_sign_in_signs_nobody_in,
    an_id_that_no_user_can_have_is_refused,
    members_of_the_admin_group_are_operators,
    an_answer_that_this_browser_did_not_ask_for_signs_nobody_in,
    an_attempt_is_over_whatever_comes_of_it,
    errors_of_the_provider_are_told_in_our_words,
    failed_sign_ins_count_against_their_source,
    keys_that_the_provider_changed_are_fetched_once,
    a_provider_that_does_not_answer_is_said_to,
    no_more_than_a_few_codes_are_brought_to_the_provider_at_once,
    what_the_provider_says_of_itself_is_kept_for_a_while_and_shared,
    nobody_signs_in_by_a_provider_where_there_is_none,
];

const COOKIE: &str = "keywright_session";
const FLOW: &str = "keywright_sign_in";

/// A server, the provider whose users sign in to it, and that one's key.
struct Place {
    world: World,
    provider: OpenId,
    key: SigningKey,
}

/// Somebody at the provider, who is to come back with these.
struct There {
    state: String,
    nonce: String,
    sent: BTreeMap<String, String>,
}

impl Place {
    async fn on(store: Kind) -> Self {
        let key = SigningKey::ec("first");
        let provider = OpenId::publishing(&[&key]).await;
        // The tests' browser comes by the address and says so.
        let public = PublicUrl::parse("http://keys.test").unwrap();
        let world = World::with(store, |settings| {
            settings.oidc = Some(provider.settings(&public));
        })
        .await;
        Self {
            world,
            provider,
            key,
        }
    }

    /// What the provider would say of `sub` to this server, in this attempt.
    fn token(&self, sub: &str, there: &There) -> Token {
        Token::of(sub)
            .header(|header| header.kid = Some(self.key.kid.clone()))
            .claim("iss", self.provider.issuer.as_str())
            .claim("aud", CLIENT)
            .claim("iat", 1_795_338_000)
            .claim("nonce", there.nonce.as_str())
    }

    /// Comes back with a code, for which the provider gives this ID token.
    async fn back_with(&self, browser: &mut Browser, there: &There, id_token: &str) -> Shown {
        self.provider.gives(id_token);
        back(browser, there, "code=c0de").await
    }

    /// Signs somebody in whose ID token has these further claims.
    async fn signed_in(&self, sub: &str, claims: &[(&str, Value)]) -> (Browser, Shown) {
        let mut browser = self.world.browser();
        let there = go(&mut browser, "/sign-in/provider").await;
        let mut token = self.token(sub, &there);
        for (name, value) in claims {
            token = token.claim(name, value.clone());
        }
        let token = self.key.sign(token);
        let shown = self.back_with(&mut browser, &there, &token).await;
        (browser, shown)
    }
}

/// What a provider says that is not to be believed.
type Bad = Box<dyn Fn(&Place, &There) -> String>;

/// Goes to the provider.
async fn go(browser: &mut Browser, path: &str) -> There {
    let to = browser.led_to(path).await;
    let (_, query) = to.split_once("/authorize?").expect("the provider's page");
    let sent: BTreeMap<String, String> = serde_urlencoded::from_str(query).unwrap();
    There {
        state: sent["state"].clone(),
        nonce: sent["nonce"].clone(),
        sent,
    }
}

/// Comes back from it.
async fn back(browser: &mut Browser, there: &There, answer: &str) -> Shown {
    let path = format!("/sign-in/callback?state={}&{answer}", there.state);
    browser.open(&path).await
}

fn is_refused(browser: &Browser, shown: &Shown, why: &str) {
    assert_eq!(shown.status, 403, "{why}: {}", shown.html);
    shown.says("You are not signed in: ");
    shown.says("Sign in with 127.0.0.1");
    assert_eq!(browser.cookie(COOKIE), None, "{why}");
    assert_eq!(browser.cookie(FLOW), None, "{why}");
}

async fn a_user_signs_in_and_goes_where_they_wanted(store: Kind) {
    let place = Place::on(store).await;
    let mut browser = place.world.browser();
    let asked = browser.open("/account").await;
    asked.says("href=\"/sign-in/provider?next=%2Faccount\" hx-boost=\"false\"");
    asked.says("Sign in with 127.0.0.1");
    let there = go(&mut browser, "/sign-in/provider?next=%2Faccount").await;
    let sent = |name: &str| there.sent[name].as_str();
    assert_eq!(sent("response_type"), "code");
    assert_eq!(sent("client_id"), CLIENT);
    assert_eq!(sent("scope"), "openid profile");
    assert_eq!(sent("redirect_uri"), "http://keys.test/sign-in/callback");
    assert_eq!(sent("code_challenge_method"), "S256");
    assert_eq!((there.state.len(), there.nonce.len()), (43, 43));
    let planted = browser.with_cookie(COOKIE, &"A".repeat(43));
    browser = planted;
    let token = place.key.sign(place.token("ada", &there));
    let shown = place.back_with(&mut browser, &there, &token).await;
    assert_eq!((shown.status, shown.path.as_str()), (200, "/account"));
    shown.says("ada");
    shown.does_not_say("operator");
    assert_eq!(browser.cookie(FLOW), None);
    let session = browser.cookie(COOKIE).expect("a session");
    assert!(session.len() == 43 && session != "A".repeat(43));
    // Who exchanged the code has begun it, and is the client.
    let exchanged = |field: &str| place.provider.exchanged(field);
    let challenge = Digest::of(&exchanged("code_verifier"));
    let challenge = URL_SAFE_NO_PAD.encode(challenge.as_bytes());
    assert_eq!(challenge, sent("code_challenge"));
    assert_eq!(exchanged("code"), "c0de");
    assert_eq!(exchanged("redirect_uri"), sent("redirect_uri"));
    let basic = exchanged("authorization");
    let basic = STANDARD.decode(basic.strip_prefix("Basic ").unwrap());
    let basic = String::from_utf8(basic.unwrap()).unwrap();
    assert!(basic.starts_with("console:the+client"), "{basic}");
    // The user is one of the API's.
    let user = place.world.admin().await.get("/api/users/ada").await.ok();
    assert_eq!(user["id"], "ada");
}

async fn an_id_token_that_is_not_for_this_sign_in_signs_nobody_in(store: Kind) {
    let place = Place::on(store).await;
    let stranger = SigningKey::ec("first");
    let other = |name: &'static str, value: Value| {
        move |place: &Place, there: &There| {
            let token = place.token("ada", there).claim(name, value.clone());
            place.key.sign(token)
        }
    };
    let lacks = |name: &'static str| {
        move |place: &Place, there: &There| place.key.sign(place.token("ada", there).without(name))
    };
    let bad: Vec<(&str, Bad)> = vec![
        ("another nonce", Box::new(other("nonce", json!("n")))),
        ("no nonce", Box::new(lacks("nonce"))),
        (
            "another issuer",
            Box::new(other("iss", json!("https://id.example"))),
        ),
        ("no issuer", Box::new(lacks("iss"))),
        ("another audience", Box::new(other("aud", json!("other")))),
        (
            "a further audience",
            Box::new(other("aud", json!([CLIENT, "other"]))),
        ),
        ("another party", Box::new(other("azp", json!("other")))),
        ("expired", Box::new(other("exp", json!(1_795_338_000)))),
        ("no expiry", Box::new(lacks("exp"))),
        ("no subject", Box::new(lacks("sub"))),
        (
            "signed by somebody else",
            Box::new(move |place, there| stranger.sign(place.token("ada", there))),
        ),
        (
            "signed with the client's secret",
            Box::new(|place, there| {
                let secret = EncodingKey::from_secret(CLIENT_SECRET.as_bytes());
                place.token("ada", there).signed_by(&secret)
            }),
        ),
        (
            "not signed",
            Box::new(|place, there| {
                let header = json!({"alg": "none"});
                place.token("ada", there).forged(&header, b"")
            }),
        ),
        ("no token", Box::new(|_, _| "a.b.c".to_owned())),
    ];
    for (why, token) in bad {
        let mut browser = place.world.browser();
        let there = go(&mut browser, "/sign-in/provider").await;
        let token = token(&place, &there);
        let shown = place.back_with(&mut browser, &there, &token).await;
        assert!(matches!(shown.status, 403 | 503), "{why}: {}", shown.html);
        shown.says("You are not signed in: ");
        assert_eq!(browser.cookie(COOKIE), None, "{why}");
        assert_eq!(browser.cookie(FLOW), None, "{why}");
    }
    let right = [("azp", json!(CLIENT)), ("aud", json!([CLIENT]))];
    let (_, shown) = place.signed_in("ada", &right).await;
    assert_eq!((shown.status, shown.path.as_str()), (200, "/keys"));
}

async fn an_id_that_no_user_can_have_is_refused(store: Kind) {
    let place = Place::on(store).await;
    for sub in [&"x".repeat(256), "", " ada", "ada\n"] {
        let (browser, shown) = place.signed_in(sub, &[]).await;
        is_refused(&browser, &shown, sub);
        if !sub.is_empty() {
            shown.says("1 to 255 characters");
        }
    }
    let (_, shown) = place.signed_in("<script>alert(1)</script>", &[]).await;
    assert_eq!(shown.status, 200);
    shown.does_not_say("<script>alert");
    shown.says("&#60;script&#62;alert(1)");
    let (_, shown) = place.signed_in(&"ä".repeat(255), &[]).await;
    assert_eq!(shown.status, 200);
}

async fn members_of_the_admin_group_are_operators(store: Kind) {
    const OPERATOR: &str = "<span class=\"chip\">operator</span>";
    let place = Place::on(store).await;
    let member = json!({"sub": "ada", "groups": ["operators"]});
    place.provider.says_of_the_user(member);
    place.world.user("bob").create_key("of bob", &[]).await;
    for groups in [json!("operators"), json!(["staff", "operators"])] {
        let (_, shown) = place.signed_in("ada", &[("groups", groups)]).await;
        shown.says(OPERATOR);
        shown.says("of bob");
    }
    // What the ID token says is not asked again.
    for groups in [json!(["staff"]), json!("operators2"), json!(null)] {
        let (_, shown) = place.signed_in("ada", &[("groups", groups)]).await;
        shown.does_not_say(OPERATOR);
        shown.does_not_say("of bob");
    }
    let (_, shown) = place.signed_in("ada", &[]).await;
    shown.says(OPERATOR);
    // Of somebody else.
    let (browser, shown) = place.signed_in("eve", &[]).await;
    is_refused(&browser, &shown, "userinfo of another");
    place.provider.says_of_the_user(json!({"sub": "eve"}));
    let (_, shown) = place.signed_in("eve", &[]).await;
    assert_eq!(shown.status, 200);
    shown.does_not_say(OPERATOR);
}

async fn an_answer_that_this_browser_did_not_ask_for_signs_nobody_in(store: Kind) {
    let place = Place::on(store).await;
    let mut attacker = place.world.browser();
    let theirs = go(&mut attacker, "/sign-in/provider").await;
    place
        .provider
        .gives(&place.key.sign(place.token("eve", &theirs)));
    // No attempt at all, and another one.
    let mut victim = place.world.browser();
    let shown = back(&mut victim, &theirs, "code=c0de").await;
    is_refused(&victim, &shown, "no attempt");
    let own = go(&mut victim, "/sign-in/provider").await;
    let shown = back(&mut victim, &theirs, "code=c0de").await;
    is_refused(&victim, &shown, "another attempt");
    for query in [
        String::new(),
        "code=c0de".to_owned(),
        "state=&code=c0de".to_owned(),
        format!("state={0}&state={0}&code=c0de", own.state),
        format!("state={}", own.state),
        format!("state={}&code=", own.state),
        format!("state={}&code=c0de&iss=https://id.example", own.state),
    ] {
        let mut browser = place.world.browser();
        go(&mut browser, "/sign-in/provider").await;
        let kept = browser.cookie(FLOW).unwrap().to_owned();
        let mut parts: Vec<_> = kept.split('.').collect();
        parts[0] = &own.state;
        let mut browser = browser.with_cookie(FLOW, &parts.join("."));
        let shown = browser.open(&format!("/sign-in/callback?{query}")).await;
        is_refused(&browser, &shown, &query);
    }
    assert_eq!(place.provider.exchanged("code"), "", "none was exchanged");
}

async fn an_attempt_is_over_whatever_comes_of_it(store: Kind) {
    let place = Place::on(store).await;
    let mut browser = place.world.browser();
    let there = go(&mut browser, "/sign-in/provider").await;
    let shown = back(&mut browser, &there, "error=access_denied").await;
    is_refused(&browser, &shown, "denied");
    let token = place.key.sign(place.token("ada", &there));
    let shown = place.back_with(&mut browser, &there, &token).await;
    is_refused(&browser, &shown, "after it was denied");
    let there = go(&mut browser, "/sign-in/provider").await;
    let token = place.key.sign(place.token("ada", &there));
    let shown = place.back_with(&mut browser, &there, &token).await;
    assert_eq!(shown.status, 200);
    let session = browser.cookie(COOKIE).unwrap().to_owned();
    let shown = place.back_with(&mut browser, &there, &token).await;
    assert_eq!(shown.status, 403, "a second time");
    assert_eq!(browser.cookie(COOKIE), Some(session.as_str()));
    // One begun anew takes the place of the one before.
    let first = go(&mut browser, "/sign-in/provider").await;
    go(&mut browser, "/sign-in/provider").await;
    let token = place.key.sign(place.token("ada", &first));
    let shown = place.back_with(&mut browser, &first, &token).await;
    assert_eq!(shown.status, 403);
}

async fn errors_of_the_provider_are_told_in_our_words(store: Kind) {
    let place = Place::on(store).await;
    for (error, says) in [
        ("access_denied", "access was denied"),
        ("login_required", "wants something of you"),
        ("temporarily_unavailable", "try again later"),
        ("%3Cscript%3Ealert(1)", "refused the sign-in"),
        ("call_0900_FOR_HELP", "refused the sign-in"),
    ] {
        let mut browser = place.world.browser();
        let there = go(&mut browser, "/sign-in/provider").await;
        let answer = format!("error={error}&error_description=call_0900_FOR_HELP");
        let shown = back(&mut browser, &there, &answer).await;
        is_refused(&browser, &shown, error);
        shown.says(says);
        shown.does_not_say("0900");
        shown.does_not_say("alert(1)");
    }
    for (status, answer, shown_status) in [
        (400, json!({"error": "invalid_grant"}), 403),
        (401, json!({"error": "invalid_client"}), 503),
        (500, json!("no OAuth at all"), 503),
        (
            200,
            json!({"access_token": "a", "token_type": "Bearer"}),
            403,
        ),
    ] {
        let mut browser = place.world.browser();
        let there = go(&mut browser, "/sign-in/provider").await;
        place.provider.answers(status, answer);
        let shown = back(&mut browser, &there, "code=c0de").await;
        assert_eq!(shown.status, shown_status, "{}", shown.html);
        assert_eq!(browser.cookie(COOKIE), None);
        assert_eq!(browser.cookie(FLOW), None);
    }
}

async fn failed_sign_ins_count_against_their_source(store: Kind) {
    let place = Place::on(store).await;
    let mut browser = place.world.browser();
    for _ in 0..100 {
        let shown = browser.open("/sign-in/callback?code=c&state=s").await;
        assert_eq!(shown.status, 403);
    }
    let shown = browser.open("/sign-in/callback?code=c&state=s").await;
    assert_eq!(shown.status, 429);
    assert_eq!(shown.headers["retry-after"], "60");
    // A good one is still taken.
    let (_, shown) = place.signed_in("ada", &[]).await;
    assert_eq!(shown.status, 200);
}

async fn keys_that_the_provider_changed_are_fetched_once(store: Kind) {
    let mut place = Place::on(store).await;
    let (_, shown) = place.signed_in("ada", &[]).await;
    assert_eq!((shown.status, place.provider.discoveries()), (200, 1));
    place.key = SigningKey::ec("second");
    place.provider.publish(&[&place.key]);
    let (_, shown) = place.signed_in("ada", &[]).await;
    assert_eq!((shown.status, place.provider.discoveries()), (200, 2));
    let (_, shown) = place.signed_in("ada", &[]).await;
    assert_eq!((shown.status, place.provider.discoveries()), (200, 2));
    place.key = SigningKey::ec("never published");
    let (browser, shown) = place.signed_in("ada", &[]).await;
    is_refused(&browser, &shown, "a key of nobody's");
    assert_eq!(place.provider.discoveries(), 3);
}

async fn a_provider_that_does_not_answer_is_said_to(store: Kind) {
    let place = Place::on(store).await;
    let elsewhere =
        "HTTP/1.1 302 -\r\nlocation: /keys\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let endless = format!(
        "HTTP/1.1 200 -\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}",
        " ".repeat(300 * 1024)
    );
    let nonsense = "HTTP/1.1 200 -\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".to_owned();
    let mut browser = place.world.browser();
    let mut is_said = async |what: &str| {
        let shown = browser.open("/sign-in/provider?next=%2Faccount").await;
        assert_eq!(shown.status, 503, "{what}: {}", shown.html);
        shown.says("the identity provider 127.0.0.1 cannot be reached now");
        shown.says("next=%2Faccount");
        shown.says("Service key");
        assert_eq!(shown.headers["retry-after"], "1");
        assert_eq!(browser.cookie(FLOW), None);
        place.world.clock.advance(Duration::from_secs(1));
    };
    place.provider.set_down(true);
    is_said("down").await;
    place.provider.set_down(false);
    for answer in [elsewhere.to_owned(), endless, nonsense] {
        place.provider.answers_instead(Some(answer.clone()));
        is_said(&answer[..40]).await;
    }
    place.provider.answers_instead(None);
    // And while somebody is there.
    let mut browser = place.world.browser();
    let there = go(&mut browser, "/sign-in/provider").await;
    place.provider.set_down(true);
    let shown = back(&mut browser, &there, "code=c0de").await;
    assert_eq!(shown.status, 503);
    assert_eq!(browser.cookie(COOKIE), None);
    assert_eq!(browser.cookie(FLOW), None);
}

async fn no_more_than_a_few_codes_are_brought_to_the_provider_at_once(store: Kind) {
    let place = Place::on(store).await;
    place.provider.hold();
    let mut coming = Vec::new();
    for number in 0..20 {
        let mut browser = place.world.browser();
        let there = go(&mut browser, "/sign-in/provider").await;
        coming.push(tokio::spawn(async move {
            back(&mut browser, &there, &format!("code=made-up-{number}"))
                .await
                .status
        }));
        if number < 16 {
            // One after the other, so that it is known who is turned away.
            eventually(async || (place.provider.codes() == number + 1).then_some(())).await;
        }
    }
    let turned_away = coming.split_off(16);
    for status in turned_away {
        assert_eq!(status.await.unwrap(), 503);
    }
    assert_eq!(place.provider.codes(), 16);
    place.provider.release();
    for status in coming {
        assert_eq!(status.await.unwrap(), 403);
    }
}

async fn what_the_provider_says_of_itself_is_kept_for_a_while_and_shared(store: Kind) {
    let place = Place::on(store).await;
    let mut browsers: Vec<_> = (0..8).map(|_| place.world.browser()).collect();
    let all = browsers.iter_mut().map(|one| go(one, "/sign-in/provider"));
    futures::future::join_all(all).await;
    assert_eq!(place.provider.discoveries(), 1);
    place.world.clock.advance(Duration::from_secs(599));
    go(&mut browsers[0], "/sign-in/provider").await;
    assert_eq!(place.provider.discoveries(), 1);
    place.world.clock.advance(Duration::from_secs(1));
    go(&mut browsers[0], "/sign-in/provider").await;
    assert_eq!(place.provider.discoveries(), 2);
    // One that is down is not asked by everybody who tries.
    place.world.clock.advance(Duration::from_mins(10));
    place.provider.set_down(true);
    for _ in 0..3 {
        assert_eq!(browsers[0].open("/sign-in/provider").await.status, 503);
    }
    assert_eq!(place.provider.discoveries(), 3);
}

async fn nobody_signs_in_by_a_provider_where_there_is_none(store: Kind) {
    let world = World::on(store).await;
    let mut browser = world.browser();
    browser.open("/sign-in").await.does_not_say("Sign in with");
    for path in ["/sign-in/provider", "/sign-in/callback?code=c&state=s"] {
        assert_eq!(browser.open(path).await.status, 404);
    }
}
