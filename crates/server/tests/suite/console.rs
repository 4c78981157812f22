//! The console, as somebody without scripts uses it, and as somebody attacks it.

use std::time::Duration;

use keywright_server::PublicUrl;
use serde_json::{Value, json};

use crate::support::{Browser, CreatedKey, Kind, World, on_both_stores};

on_both_stores![
    a_service_key_is_exchanged_for_a_session_that_the_browser_keeps_instead,
    who_is_not_signed_in_signs_in_and_comes_back,
    a_key_that_is_not_good_signs_nobody_in,
    a_key_is_made_and_shown_once,
    a_form_that_is_sent_twice_makes_one_key,
    what_was_typed_is_kept_and_what_is_wrong_stands_beside_it,
    another_keyspace_is_chosen_and_nothing_that_was_typed_is_lost,
    who_is_signed_in_with_a_key_is_warned_before_ending_it,
    a_key_is_suspended_reactivated_and_revoked,
    a_key_is_changed,
    a_form_that_was_made_for_another_state_of_the_key_undoes_nothing,
    what_was_typed_about_a_key_is_kept_where_it_is_refused,
    nothing_is_said_to_be_done_that_does_not_hold,
    a_key_of_any_name_can_be_revoked_and_none_by_typing_nothing,
    pages_are_compressed_and_the_one_with_a_secret_is_not,
    the_form_of_each_page_holds_another_token,
    keys_are_listed_in_pages_and_by_filters,
    whoever_does_something_stands_in_the_audit_log,
    a_form_of_another_origin_or_session_does_nothing,
    a_cookie_is_good_for_nothing_after_the_session_has_ended,
    a_session_ends_by_itself,
    a_session_is_worth_what_its_key_is_worth_now,
    nothing_that_somebody_wrote_is_markup,
    nobody_is_led_elsewhere,
    the_public_url_says_where_forms_come_from_and_whether_cookies_are_secure,
    every_page_has_the_headers_that_protect_it,
    a_refusal_is_a_page_for_people_and_says_how_long_to_wait,
    a_theme_is_chosen,
    assets_are_kept_for_good_and_named_by_their_content,
];

const COOKIE: &str = "keywright_session";

/// Somebody who signed in with a service key that holds these operations; its id.
pub(crate) async fn signed_in(world: &World, operations: &[&str]) -> (Browser, String) {
    let (id, text) = world.service_key(operations).await;
    let mut browser = world.browser();
    let shown = browser.send("/sign-in", &[("key", &text)]).await;
    assert_eq!((shown.status, shown.path.as_str()), (200, "/keys"));
    (browser, id)
}

pub(crate) async fn operator(world: &World) -> Browser {
    let operations = ["keys:read", "keys:write", "audit:read"];
    signed_in(world, &operations).await.0
}

/// A key of `ada`, made over the API.
async fn key(world: &World, name: &str) -> CreatedKey {
    world.user("ada").create_key(name, &["READ_GRAPH"]).await
}

async fn code_of(world: &World, key: &str) -> String {
    world.service(&["keys:verify"]).await.code_of(key).await
}

/// The fields of the form for a new key, filled in.
async fn new_key_form(browser: &mut Browser) -> Vec<(String, String)> {
    let form = browser.open("/keys/new").await;
    [
        ("csrf", form.field("csrf")),
        ("once", form.field("once")),
        ("keyspace", "default".to_owned()),
        ("name", "build server".to_owned()),
        ("user", "ada".to_owned()),
        ("permission", "READ_GRAPH".to_owned()),
        ("permission", "EXECUTE_GRAPH".to_owned()),
        ("expiry", "30".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

async fn keys_of(world: &World, user: &str) -> Vec<Value> {
    world.user(user).whole_list("/api/api-keys").await
}

async fn a_service_key_is_exchanged_for_a_session_that_the_browser_keeps_instead(store: Kind) {
    let world = World::on(store).await;
    let (_, text) = world.service_key(&["keys:read"]).await;
    let mut browser = world.browser();
    browser.open("/sign-in").await.says("Service key");
    let shown = browser
        .send("/sign-in", &[("key", &format!(" {text} "))])
        .await;
    assert_eq!(shown.status, 200);
    shown.says("No keys yet");
    shown.does_not_say(&text);
    let first = browser.cookie(COOKIE).expect("a session").to_owned();
    assert_eq!(first.len(), 43);
    // Whoever brought a session of their own choice is given another.
    let mut fixed = browser.with_cookie(COOKIE, &"A".repeat(43));
    fixed.send("/sign-in", &[("key", &text)]).await;
    let second = fixed.cookie(COOKIE).expect("a session");
    assert!(second != first && second != "A".repeat(43));
}

async fn who_is_not_signed_in_signs_in_and_comes_back(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let path = format!("/keys/{}?done=updated", key.id);
    let mut browser = world.browser();
    let asked = browser.open(&path).await;
    assert!(
        asked.path.starts_with("/sign-in?next=%2Fkeys%2F"),
        "{}",
        asked.path
    );
    let (_, text) = world.service_key(&["keys:read"]).await;
    let next = asked.field("next");
    let shown = browser
        .send("/sign-in", &[("key", &text), ("next", &next)])
        .await;
    assert_eq!((shown.status, shown.path), (200, path));
    // What a form asks for is not done later.
    let mut nobody = world.browser();
    let sent = nobody.send(&format!("/keys/{}/suspend", key.id), &[]).await;
    assert_eq!(sent.path, "/sign-in");
    assert_eq!(code_of(&world, &key.text).await, "VALID");
}

async fn a_key_that_is_not_good_signs_nobody_in(store: Kind) {
    let world = World::on(store).await;
    let users = key(&world, "a user's").await;
    let (_, weak) = world.service_key(&["keys:verify"]).await;
    let mut browser = world.browser();
    for (text, why) in [
        (users.text.as_str(), "not a service key"),
        (weak.as_str(), "keys:read"),
        ("", "not a service key"),
        ("kw_nonsense", "not a service key"),
    ] {
        let shown = browser.send("/sign-in", &[("key", text)]).await;
        assert_eq!(shown.status, 403, "{text}");
        shown.says(why);
        if !text.is_empty() {
            shown.does_not_say(text);
        }
        assert_eq!(browser.cookie(COOKIE), None);
    }
    for _ in 0..100 {
        browser.send("/sign-in", &[("key", "kw_nonsense")]).await;
    }
    let shown = browser.send("/sign-in", &[("key", "kw_nonsense")]).await;
    assert_eq!(shown.status, 429);
    shown.says("too many failed authentications");
}

async fn a_key_is_made_and_shown_once(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    let fields = new_key_form(&mut browser).await;
    let shown = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    assert_eq!(shown.headers["cache-control"], "no-store");
    let text = shown.between("<code id=\"text\">", "</code>").to_owned();
    assert_eq!(code_of(&world, &text).await, "VALID");
    let made = keys_of(&world, "ada").await;
    assert_eq!(made.len(), 1);
    assert_eq!(
        made[0]["permissions"],
        json!(["EXECUTE_GRAPH", "READ_GRAPH"])
    );
    assert_eq!(made[0]["expires_at"], "2026-12-22T09:00:00.000000Z");
    let page = format!("/keys/{}", made[0]["id"].as_str().unwrap());
    shown.says(&format!("href=\"{page}\""));
    for path in ["/keys", page.as_str(), "/account"] {
        let later = browser.open(path).await;
        assert_eq!(later.status, 200);
        later.does_not_say(&text);
        if path != "/account" {
            later.says(&format!("{}…{}", &text[..8], &text[text.len() - 8..]));
        }
    }
}

async fn a_form_that_is_sent_twice_makes_one_key(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    let fields = new_key_form(&mut browser).await;
    let first = browser.send("/keys", &pairs(&fields)).await;
    let text = first.between("<code id=\"text\">", "</code>").to_owned();
    let again = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(again.status, 400);
    again.says("was sent before");
    again.does_not_say(&text);
    assert_eq!(keys_of(&world, "ada").await.len(), 1);
}

async fn what_was_typed_is_kept_and_what_is_wrong_stands_beside_it(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    let mut fields = new_key_form(&mut browser).await;
    for (name, value) in &mut fields {
        match name.as_str() {
            "name" => *value = "n".repeat(101),
            "expiry" => "date".clone_into(value),
            _ => {}
        }
    }
    fields.push(("expires_on".to_owned(), "2020-01-01".to_owned()));
    fields.push(("description".to_owned(), "what it is for".to_owned()));
    let shown = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 422);
    shown.says("must have 1 to 100 characters, and has 101");
    shown.says("must lie in the future");
    shown.says("what it is for");
    shown.says(&"n".repeat(101));
    shown.says("value=\"READ_GRAPH\" checked");
    assert_eq!(keys_of(&world, "ada").await.len(), 0);
    // The form is not used up.
    assert_eq!(shown.field("once"), fields[1].1);
    "build server".clone_into(&mut fields[3].1);
    "never".clone_into(&mut fields[7].1);
    // A day that was picked and not chosen is not passed over.
    let shown = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 422);
    shown.says("2020-01-01 was picked and something else chosen");
    fields.retain(|(name, _)| name != "expires_on");
    for unknown in ["", "7d", "bogus"] {
        unknown.clone_into(&mut fields[7].1);
        let shown = browser.send("/keys", &pairs(&fields)).await;
        assert_eq!(shown.status, 422, "{unknown}");
        shown.says("choose how long the key lives");
    }
    "never".clone_into(&mut fields[7].1);
    fields.push(("metadata".to_owned(), "[1]".to_owned()));
    let shown = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 422);
    shown.says("must be a JSON object");
    r#"{"team": "search"}"#.clone_into(&mut fields.last_mut().unwrap().1);
    let shown = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    let made = keys_of(&world, "ada").await;
    assert_eq!(made[0]["metadata"], json!({"team": "search"}));
    assert_eq!(made[0]["expires_at"], Value::Null);
}

async fn another_keyspace_is_chosen_and_nothing_that_was_typed_is_lost(store: Kind) {
    let world = World::on(store).await;
    let wanted = json!({
        "name": "shop",
        "prefix": "shop_",
        "permissions": [
            {"name": "orders:read", "description": "See orders"},
            "orders:write",
            "prices.read",
        ],
    });
    world
        .admin()
        .await
        .post("/api/keyspaces", wanted)
        .await
        .ok();
    let mut browser = operator(&world).await;
    let mut fields = new_key_form(&mut browser).await;
    "shop".clone_into(&mut fields[2].1);
    fields.push(("choose".to_owned(), "keyspace".to_owned()));
    fields.push(("metadata".to_owned(), "not finished".to_owned()));
    let shown = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 200);
    for words in [
        "value=\"build server\"",
        "value=\"ada\"",
        "not finished",
        "<option selected>shop</option>",
        "<p class=\"group\">orders</p>",
        "<p class=\"group\">prices</p>",
        "See orders",
    ] {
        shown.says(words);
    }
    shown.does_not_say("READ_GRAPH");
    assert_eq!(keys_of(&world, "ada").await.len(), 0);
    let once = shown.field("once");
    assert_eq!(once, fields[1].1);
    let fields = [
        ("once", once.as_str()),
        ("keyspace", "shop"),
        ("name", "build server"),
        ("user", "ada"),
        ("permission", "orders:read"),
        ("expiry", "7"),
    ];
    let made = browser.submit("/keys", &fields).await;
    assert_eq!(made.status, 200, "{}", made.html);
    assert_eq!(
        keys_of(&world, "ada").await[0]["permissions"],
        json!(["orders:read"])
    );
}

async fn who_is_signed_in_with_a_key_is_warned_before_ending_it(store: Kind) {
    let world = World::on(store).await;
    let other = world.service_key(&["keys:read"]).await.0;
    let (mut browser, own) = signed_in(&world, &["keys:read", "keys:write"]).await;
    let warning = "You are signed in with this key";
    browser.open(&format!("/keys/{own}")).await.says(warning);
    browser
        .open(&format!("/keys/{other}"))
        .await
        .does_not_say(warning);
}

async fn a_key_is_suspended_reactivated_and_revoked(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let mut browser = operator(&world).await;
    let page = format!("/keys/{}", key.id);
    for (what, says, code) in [
        ("suspend", "The key is suspended", "SUSPENDED"),
        ("reactivate", "The key is active again", "VALID"),
    ] {
        let shown = browser.submit(&format!("{page}/{what}"), &[]).await;
        assert_eq!(shown.status, 200);
        shown.says(says);
        assert_eq!(code_of(&world, &key.text).await, code);
    }
    let revoke = format!("{page}/revoke");
    for wrong in ["", "another key"] {
        let shown = browser.submit(&revoke, &[("confirm", wrong)]).await;
        assert_eq!(shown.status, 422);
        shown.says("must be what stands above");
        assert_eq!(code_of(&world, &key.text).await, "VALID");
    }
    let shown = browser.submit(&revoke, &[("confirm", "a key")]).await;
    assert_eq!(shown.status, 200);
    shown.says("revoked, for good");
    shown.does_not_say("Suspend");
    assert_eq!(code_of(&world, &key.text).await, "REVOKED");
    let shown = browser.submit(&format!("{page}/reactivate"), &[]).await;
    assert_eq!(shown.status, 409);
    shown.says("this key is revoked");
}

async fn a_key_is_changed(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let mut browser = operator(&world).await;
    let page = format!("/keys/{}", key.id);
    let fields = [
        ("name", "another name"),
        ("description", "why"),
        ("metadata", r#"{"a": 1}"#),
        ("expiry", "7"),
    ];
    let shown = browser.submit(&page, &fields).await;
    assert_eq!(shown.status, 200);
    shown.says("another name");
    let fields = [
        ("permission", "EXECUTE_BLOCK"),
        ("permission", "READ_BLOCK"),
    ];
    browser
        .submit(&format!("{page}/permissions"), &fields)
        .await;
    let now = world.user("ada").get(&key.path()).await.ok();
    assert_eq!(now["name"], "another name");
    assert_eq!(now["description"], "why");
    assert_eq!(now["metadata"], json!({"a": 1}));
    assert_eq!(now["expires_at"], "2026-11-29T09:00:00.000000Z");
    assert_eq!(now["permissions"], json!(["EXECUTE_BLOCK", "READ_BLOCK"]));
    let fields = [
        ("name", "another name"),
        ("metadata", ""),
        ("expiry", "keep"),
    ];
    browser.submit(&page, &fields).await;
    let now = world.user("ada").get(&key.path()).await.ok();
    assert_eq!(now["description"], Value::Null);
    assert_eq!(now["metadata"], json!({}));
    assert_eq!(now["expires_at"], "2026-11-29T09:00:00.000000Z");
    let shown = browser
        .submit(&page, &[("name", ""), ("expiry", "keep")])
        .await;
    assert_eq!(shown.status, 422);
    shown.says("must have 1 to 100 characters");
}

async fn a_form_that_was_made_for_another_state_of_the_key_undoes_nothing(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "old").await;
    let page = format!("/keys/{}", key.id);
    let mut browser = operator(&world).await;
    let made_for = browser.open(&page).await.field("made_for");
    world.clock.advance(Duration::from_secs(1));
    let changed = json!({"name": "new", "metadata": {"plan": "pro"}});
    world.user("ada").patch(&key.path(), changed).await.ok();
    for (path, fields) in [
        (
            "",
            &[
                ("name", "old"),
                ("description", "typed"),
                ("metadata", ""),
                ("expiry", "keep"),
            ][..],
        ),
        ("/permissions", &[("permission", "EXECUTE_BLOCK")]),
    ] {
        let fields = [&[("made_for", made_for.as_str())], fields].concat();
        let refused = browser.submit(&format!("{page}{path}"), &fields).await;
        assert_eq!(refused.status, 422, "{path}");
        refused.says("the key was changed meanwhile");
        assert_ne!(refused.field("made_for"), made_for);
    }
    let now = world.user("ada").get(&key.path()).await.ok();
    assert_eq!(now["name"], "new");
    assert_eq!(now["metadata"], json!({"plan": "pro"}));
    assert_eq!(now["permissions"], json!(["READ_GRAPH"]));
}

async fn what_was_typed_about_a_key_is_kept_where_it_is_refused(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let page = format!("/keys/{}", key.id);
    let mut browser = operator(&world).await;
    let fields = [
        ("name", "renamed"),
        ("description", "what it is for"),
        ("metadata", "{not finished"),
        ("expiry", "date"),
        ("expires_on", "2026-02-31"),
    ];
    let refused = browser.submit(&page, &fields).await;
    assert_eq!(refused.status, 422);
    for words in [
        "value=\"renamed\"",
        "what it is for",
        "{not finished",
        "<option value=\"date\" selected>",
        "value=\"2026-02-31\"",
        "must be a JSON object",
    ] {
        refused.says(words);
    }
    let fields = [
        ("name", "renamed"),
        ("expiry", "date"),
        ("expires_on", "2026-02-31"),
    ];
    let refused = browser.submit(&page, &fields).await;
    refused.says("must be a day, such as 2027-01-31");
    let fields = [
        ("permission", "EXECUTE_BLOCK"),
        ("permission", "NOTHING_LIKE_IT"),
    ];
    let refused = browser
        .submit(&format!("{page}/permissions"), &fields)
        .await;
    assert_eq!(refused.status, 422);
    refused.says("value=\"EXECUTE_BLOCK\" checked");
    refused.does_not_say("value=\"READ_GRAPH\" checked");
    let now = world.user("ada").get(&key.path()).await.ok();
    assert_eq!(now["name"], "a key");
}

async fn nothing_is_said_to_be_done_that_does_not_hold(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let page = format!("/keys/{}", key.id);
    let mut browser = operator(&world).await;
    for done in ["revoked", "suspended"] {
        let shown = browser.open(&format!("{page}?done={done}")).await;
        shown.says("<p role=\"status\" class=\"done\"></p>");
    }
    let shown = browser.submit(&format!("{page}/suspend"), &[]).await;
    shown.says("The key is suspended");
    let shown = browser.open(&format!("{page}?done=reactivated")).await;
    shown.does_not_say("The key is active again");
}

async fn a_key_of_any_name_can_be_revoked_and_none_by_typing_nothing(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    for (name, typed) in [
        ("line one\nline two", Some("line one line two")),
        ("a  b", Some("a b")),
        ("   ", None),
        ("\u{200b}", None),
    ] {
        let key = key(&world, name).await;
        let page = format!("/keys/{}", key.id);
        let shown = browser.open(&page).await;
        if typed.is_none() {
            shown.says("<h1>(no visible name)</h1>");
        }
        for wrong in ["", " ", "\u{200b}"] {
            let refused = browser
                .submit(&format!("{page}/revoke"), &[("confirm", wrong)])
                .await;
            assert_eq!(refused.status, 422, "{name:?} by {wrong:?}");
        }
        // Saved as browsers send it, the name stays.
        let as_sent = name.replace('\n', "");
        let fields = [
            ("name", as_sent.as_str()),
            ("expiry", "keep"),
            ("description", "x"),
        ];
        assert_eq!(browser.submit(&page, &fields).await.status, 200, "{name:?}");
        let now = world.user("ada").get(&key.path()).await.ok();
        assert_eq!(now["name"], name);
        let typed = typed.unwrap_or(&key.id);
        shown.says(&format!("<strong>{typed}</strong>"));
        let revoked = browser
            .submit(&format!("{page}/revoke"), &[("confirm", typed)])
            .await;
        revoked.says("The key is revoked");
    }
}

async fn pages_are_compressed_and_the_one_with_a_secret_is_not(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    let fields = new_key_form(&mut browser).await;
    let style = browser.open("/keys").await;
    let style = style.between("rel=\"stylesheet\" href=\"", "\"").to_owned();
    let mut browser = browser.that_takes("gzip");
    for path in ["/keys", "/keys/new", "/account", &style] {
        let shown = browser.open(path).await;
        assert_eq!(shown.headers["content-encoding"], "gzip", "{path}");
    }
    let made = browser.send("/keys", &pairs(&fields)).await;
    assert_eq!(made.status, 200);
    assert_eq!(made.headers.get("content-encoding"), None);
    made.says("This is the only time the key is shown");
}

async fn the_form_of_each_page_holds_another_token(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    let first = browser.open("/account").await.field("csrf");
    let second = browser.open("/account").await.field("csrf");
    assert_ne!(first, second);
    // Each of them is good, and nothing like them.
    for (csrf, status) in [
        (first.clone(), 200),
        (second, 200),
        (first.to_uppercase(), 400),
        (first[..43].to_owned(), 400),
        (String::new(), 400),
        ("A".repeat(86), 400),
    ] {
        let shown = browser
            .send("/keys/search", &[("csrf", &csrf), ("q", "x")])
            .await;
        assert_eq!(shown.status, status, "{csrf}");
    }
}

async fn keys_are_listed_in_pages_and_by_filters(store: Kind) {
    let world = World::on(store).await;
    let mut names = Vec::new();
    for number in 0..30 {
        world.clock.advance(Duration::from_secs(1));
        let user = world.user(if number % 2 == 0 { "ada" } else { "bob" });
        let name = format!("key {number:02}.");
        user.create_key(&name, &[]).await;
        names.push(name);
    }
    let mut browser = operator(&world).await;
    let first = browser.open("/keys").await;
    let next = first.between("href=\"/keys?cursor=", "\"").to_owned();
    let second = browser.open(&format!("/keys?cursor={next}")).await;
    for (number, name) in names.iter().enumerate() {
        let (on, off) = if number >= 5 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        on.says(name);
        off.does_not_say(name);
    }
    second.does_not_say("Older keys");
    let ada = browser
        .open("/keys?user=ada&status=ACTIVE&keyspace=default")
        .await;
    ada.says("key 28.");
    ada.does_not_say("key 29.");
    let none = browser.open("/keys?status=REVOKED").await;
    none.says("No key is like that");
    let wrong = browser.open("/keys?status=GONE&cursor=x").await;
    assert_eq!(wrong.status, 422);
}

async fn whoever_does_something_stands_in_the_audit_log(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let operations = ["keys:read", "keys:write", "audit:read"];
    let (mut browser, id) = signed_in(&world, &operations).await;
    let page = format!("/keys/{}", key.id);
    world.clock.advance(Duration::from_secs(1));
    browser.submit(&format!("{page}/suspend"), &[]).await;
    let admin = world.admin().await;
    let entries = admin
        .get(&format!("/api/audit?key_id={}", key.id))
        .await
        .ok();
    assert_eq!(entries[0]["action"], "api_key.suspended");
    assert_eq!(entries[0]["actor"], json!({"kind": "console", "id": id}));
    let shown = browser.open(&page).await;
    shown.says("api_key.suspended");
    shown.says(&format!("{id} in the console"));
    // Who may not read the audit log reads none of it here, and who may not write writes nothing.
    let (mut reader, _) = signed_in(&world, &["keys:read"]).await;
    reader.open(&page).await.does_not_say("api_key.suspended");
    let refused = reader.submit(&format!("{page}/reactivate"), &[]).await;
    assert_eq!(refused.status, 403);
    refused.says("keys:write");
    assert_eq!(code_of(&world, &key.text).await, "SUSPENDED");
    assert_eq!(reader.open("/keys/new").await.status, 403);
}

async fn a_form_of_another_origin_or_session_does_nothing(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let mut browser = operator(&world).await;
    let mut other = operator(&world).await;
    let csrf = browser.open("/account").await.field("csrf");
    let others = other.open("/account").await.field("csrf");
    assert_ne!(csrf, others);
    let suspend = format!("/keys/{}/suspend", key.id);
    for fields in [
        &[][..],
        &[("csrf", "")],
        &[("csrf", others.as_str())],
        &[("csrf", &csrf[1..])],
    ] {
        let refused = browser.send(&suspend, fields).await;
        assert_eq!(refused.status, 400);
        refused.says("does not come from a page of this session");
    }
    for origin in ["https://evil.example", "null", "http://localhost"] {
        let refused = browser
            .send_from(origin, &suspend, &[("csrf", &csrf)])
            .await;
        assert_eq!(refused.status, 400, "{origin}");
        let (_, text) = world.service_key(&["keys:read"]).await;
        let refused = browser
            .send_from(origin, "/sign-in", &[("key", &text)])
            .await;
        assert_eq!(refused.status, 400, "{origin}");
    }
    assert_eq!(code_of(&world, &key.text).await, "VALID");
    browser.send(&suspend, &[("csrf", &csrf)]).await;
    assert_eq!(code_of(&world, &key.text).await, "SUSPENDED");
}

async fn a_cookie_is_good_for_nothing_after_the_session_has_ended(store: Kind) {
    let world = World::on(store).await;
    let (_, text) = world.service_key(&["keys:read"]).await;
    let sign_in = async || {
        let mut browser = world.browser();
        browser.send("/sign-in", &[("key", &text)]).await;
        browser
    };
    let (mut one, mut two, mut three) = (sign_in().await, sign_in().await, sign_in().await);
    let stolen = one.cookie(COOKIE).expect("a session").to_owned();
    let shown = one.submit("/sign-out", &[]).await;
    assert_eq!(shown.path, "/sign-in");
    assert_eq!(one.cookie(COOKIE), None);
    let mut thief = world.browser().with_cookie(COOKIE, &stolen);
    assert_eq!(thief.open("/keys").await.path, "/sign-in");
    // One session of several, then all.
    let account = two.open("/account").await;
    let end = account
        .between("action=\"/account/sessions/", "\"")
        .to_owned();
    two.submit(&format!("/account/sessions/{end}"), &[]).await;
    assert_eq!(three.open("/keys").await.path, "/sign-in");
    let mut four = sign_in().await;
    four.submit("/account/sign-out-everywhere", &[]).await;
    assert_eq!(two.open("/keys").await.path, "/sign-in");
    assert_eq!(four.open("/keys").await.path, "/sign-in");
}

async fn a_session_ends_by_itself(store: Kind) {
    let world = World::on(store).await;
    let mut idle = operator(&world).await;
    let mut busy = operator(&world).await;
    for _ in 0..23 {
        world.clock.advance(Duration::from_mins(31));
        assert_eq!(busy.open("/keys").await.path, "/keys");
    }
    assert_eq!(idle.open("/keys").await.path, "/sign-in");
    world.clock.advance(Duration::from_mins(8));
    assert_eq!(
        busy.open("/keys").await.path,
        "/sign-in",
        "after twelve hours"
    );
}

async fn a_session_is_worth_what_its_key_is_worth_now(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let (mut browser, id) = signed_in(&world, &["keys:read", "keys:write"]).await;
    let admin = world.admin().await;
    let path = format!("/api/api-keys/{id}");
    let fewer = json!({"permissions": ["keys:read"]});
    admin.put(&format!("{path}/permissions"), fewer).await.ok();
    let refused = browser
        .submit(&format!("/keys/{}/suspend", key.id), &[])
        .await;
    assert_eq!(refused.status, 403);
    admin.act(&format!("{path}/suspend")).await.ok();
    assert_eq!(browser.open("/keys").await.path, "/sign-in");
    admin.act(&format!("{path}/reactivate")).await.ok();
    assert_eq!(browser.open("/keys").await.path, "/keys");
    let soon = json!({"expires_at": "2026-11-22T09:10:00Z"});
    admin.patch(&path, soon).await.ok();
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(browser.open("/keys").await.path, "/sign-in");
}

async fn nothing_that_somebody_wrote_is_markup(store: Kind) {
    const MARKUP: &str = "\"'><script>alert(1)</script>&amp;";
    let world = World::on(store).await;
    let key = world
        .user(MARKUP)
        .create(json!({
            "name": MARKUP,
            "description": MARKUP,
            "permissions": [],
            "metadata": {"a": MARKUP},
        }))
        .await;
    let mut browser = operator(&world).await;
    let page = format!("/keys/{}", key.id);
    let query = serde_urlencoded::to_string([("user", MARKUP)]).unwrap();
    let fields = [("name", MARKUP), ("expiry", MARKUP), ("metadata", MARKUP)];
    let mut shown = Vec::new();
    for path in [
        "/keys",
        page.as_str(),
        &format!("/keys?{query}"),
        &format!("/keys/new?{query}"),
    ] {
        shown.push(browser.open(path).await);
    }
    shown.push(browser.submit(&page, &fields).await);
    shown.push(browser.submit("/keys", &fields).await);
    let next = serde_urlencoded::to_string([("next", MARKUP)]).unwrap();
    shown.push(world.browser().open(&format!("/sign-in?{next}")).await);
    for page in shown {
        page.does_not_say("<script>alert");
        page.does_not_say("\"'>");
    }
}

async fn nobody_is_led_elsewhere(store: Kind) {
    let world = World::on(store).await;
    let (_, text) = world.service_key(&["keys:read"]).await;
    for elsewhere in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "javascript:alert(1)",
    ] {
        let query = serde_urlencoded::to_string([("next", elsewhere)]).unwrap();
        let mut browser = world.browser();
        let asked = browser.open(&format!("/sign-in?{query}")).await;
        assert_eq!(asked.field("next"), "", "{elsewhere}");
        let shown = browser
            .send("/sign-in", &[("key", &text), ("next", elsewhere)])
            .await;
        assert_eq!(shown.path, "/keys", "{elsewhere}");
        let fields = [("theme", "dark"), ("back", elsewhere)];
        assert_eq!(browser.send("/theme", &fields).await.path, "/keys");
    }
}

async fn the_public_url_says_where_forms_come_from_and_whether_cookies_are_secure(store: Kind) {
    const PUBLIC: &str = "https://keys.example.com";
    let world = World::with(store, |settings| {
        settings.public_url = Some(PublicUrl::parse(PUBLIC).unwrap());
    })
    .await;
    let (_, text) = world.service_key(&["keys:read", "keys:write"]).await;
    let mut browser = world.browser();
    // The proxy in front has changed Host, and the browser has not.
    let refused = browser.send("/sign-in", &[("key", &text)]).await;
    assert_eq!(refused.status, 400);
    refused.says("at https://keys.example.com only");
    let fields = [("key", text.as_str())];
    let shown = browser.send_from(PUBLIC, "/sign-in", &fields).await;
    assert_eq!(shown.path, "/keys");
    assert!(browser.cookie("__Host-keywright_session").is_some());
    assert_eq!(browser.cookie(COOKIE), None);
    let fields = new_key_form(&mut browser).await;
    let shown = browser.send_from(PUBLIC, "/keys", &pairs(&fields)).await;
    shown.says("curl https://keys.example.com/api/whoami");
}

async fn every_page_has_the_headers_that_protect_it(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "a key").await;
    let mut browser = operator(&world).await;
    let page = format!("/keys/{}", key.id);
    for (path, status) in [
        ("/keys", 200),
        ("/keys/new", 200),
        (page.as_str(), 200),
        ("/account", 200),
        ("/sign-in", 200),
        ("/keys/01a20296-0000-7000-8000-000000000000", 404),
        ("/keys/nonsense", 404),
    ] {
        let shown = browser.open(path).await;
        assert_eq!(shown.status, status, "{path}");
        let header = |name: &str| shown.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        shown.does_not_say("onclick");
        shown.does_not_say("style=");
    }
}

async fn a_refusal_is_a_page_for_people_and_says_how_long_to_wait(store: Kind) {
    let world = World::on(store).await;
    let mut browser = world.browser();
    let nothing = browser.open("/nothing").await;
    assert_eq!(nothing.status, 404);
    nothing.says("there is no page at this address");
    let nothing = world.anonymous().get("/nothing").await;
    nothing.refused(404, "not_found");
    let wrong = browser.send("/keys/new", &[]).await;
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.headers["allow"], "GET,HEAD");
    wrong.says("<main");
    for _ in 0..100 {
        let refused = browser.send("/sign-in", &[("key", "kw_nonsense")]).await;
        assert_eq!(refused.status, 403);
    }
    let refused = browser.send("/sign-in", &[("key", "kw_nonsense")]).await;
    assert_eq!(refused.status, 429);
    refused.says("too many failed authentications");
    assert_eq!(refused.headers["retry-after"], "60");
}

async fn a_theme_is_chosen(store: Kind) {
    let world = World::on(store).await;
    let mut browser = world.browser();
    browser.open("/sign-in").await.does_not_say("data-theme");
    let fields = [("theme", "dark"), ("back", "/sign-in?next=/account")];
    let shown = browser.send("/theme", &fields).await;
    assert_eq!(shown.path, "/sign-in?next=/account");
    shown.says("data-theme=\"dark\"");
    browser.send("/theme", &[("theme", "\"><b>")]).await;
    browser.open("/sign-in").await.does_not_say("data-theme");
}

async fn assets_are_kept_for_good_and_named_by_their_content(store: Kind) {
    let world = World::on(store).await;
    let mut browser = world.browser();
    let page = browser.open("/sign-in").await;
    for (before, kind) in [
        (
            "<link rel=\"stylesheet\" href=\"",
            "text/css; charset=utf-8",
        ),
        ("<script src=\"", "text/javascript; charset=utf-8"),
    ] {
        let path = page.between(before, "\"").to_owned();
        let asset = browser.open(&path).await;
        assert_eq!(asset.status, 200);
        assert_eq!(asset.headers["content-type"], kind);
        assert_eq!(
            asset.headers["cache-control"],
            "public, max-age=31536000, immutable"
        );
        let (folder, name) = path.rsplit_once('/').unwrap();
        let other = browser
            .open(&format!("{}0/{name}", &folder[..folder.len() - 1]))
            .await;
        assert!(other.status == 404 || folder.ends_with('0'));
    }
}
