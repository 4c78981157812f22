//! The console's lists: finding keys, several of them at once, how they were used, and the overview.

use std::time::Duration;

use keywright_core::decision::Code;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::timestamp::Timestamp;
use keywright_store::{Store, UseCount, Uses};
use serde_json::json;

use crate::console::{operator, signed_in};
use crate::support::{Browser, CreatedKey, Kind, Shown, World, eventually, on_both_stores};

on_both_stores![
    a_key_is_found_by_its_name_its_id_and_the_ends_of_its_text,
    what_is_found_by_name_comes_in_pages,
    a_key_that_is_pasted_to_be_found_is_in_no_address_and_on_no_page,
    a_key_that_is_pasted_into_any_field_is_in_no_address,
    an_id_is_found_only_where_the_key_is_one_of_those_asked_for,
    what_is_common_to_all_keys_of_a_keyspace_finds_none,
    a_list_that_was_narrowed_stays_so_on_the_next_page,
    several_keys_are_suspended_at_once,
    several_keys_are_revoked_at_once_by_whoever_types_how_many,
    who_selects_nothing_is_told_so_and_led_nowhere_else,
    what_cannot_be_changed_is_told_beside_what_was,
    who_may_only_read_is_offered_no_change,
    the_uses_of_a_key_are_told_over_a_day_a_week_and_a_month,
    a_list_tells_what_the_last_day_of_each_key_was_like,
    the_overview_tells_what_is_going_on,
    the_live_part_keeps_no_session_and_leads_nowhere,
    who_may_not_read_the_audit_log_sees_no_overview,
];

async fn key(world: &World, user: &str, name: &str) -> CreatedKey {
    world.user(user).create_key(name, &["READ_GRAPH"]).await
}

fn ends(key: &CreatedKey) -> (&str, &str) {
    (&key.text[..8], &key.text[key.text.len() - 8..])
}

async fn search(browser: &mut Browser, typed: &str) -> Shown {
    let shown = browser.submit("/keys/search", &[("q", typed)]).await;
    assert_eq!(shown.status, 200, "{typed}: {}", shown.html);
    shown
}

/// The names in a list.
fn names(shown: &Shown) -> Vec<String> {
    let rows = shown.html.split("role=\"rowheader\"><a href=\"").skip(1);
    rows.map(|row| {
        let (_, rest) = row.split_once('>').expect("a link");
        rest.split('<').next().unwrap_or_default().to_owned()
    })
    .collect()
}

async fn a_key_is_found_by_its_name_its_id_and_the_ends_of_its_text(store: Kind) {
    let world = World::on(store).await;
    let export = key(&world, "ada", "Nightly export").await;
    key(&world, "bob", "nightly backup").await;
    let other = key(&world, "bob", "shop").await;
    let mut browser = operator(&world).await;
    let found = names(&search(&mut browser, "night").await);
    assert_eq!(found, ["nightly backup", "Nightly export"]);
    assert_eq!(
        search(&mut browser, "nightly e").await.path,
        "/keys?q=nightly+e"
    );
    let (prefix, postfix) = ends(&export);
    for typed in [
        export.id.as_str(),
        prefix,
        postfix,
        &format!("{prefix}…{postfix}"),
        &format!("{prefix}...{postfix}"),
        &format!("…{postfix}"),
        "NIGHTLY EXPORT",
    ] {
        assert_eq!(
            names(&search(&mut browser, typed).await),
            ["Nightly export"],
            "{typed}"
        );
    }
    let nothing = search(&mut browser, &format!("{prefix}…{}", ends(&other).1)).await;
    nothing.says("No key is like that");
    for typed in [
        "01a20296-0000-7000-8000-000000000000",
        "%",
        "night_",
        "'; --",
    ] {
        search(&mut browser, typed)
            .await
            .says("No key is like that");
    }
}

async fn what_is_found_by_name_comes_in_pages(store: Kind) {
    let world = World::on(store).await;
    for number in 0..60 {
        key(&world, "ada", &format!("build {number:02}")).await;
    }
    key(&world, "ada", "other").await;
    let mut browser = operator(&world).await;
    let mut shown = search(&mut browser, "build").await;
    let mut found = names(&shown);
    while shown.html.contains("More keys") {
        let next = shown.between("<a class=\"button\" href=\"/keys?q=build&#38;cursor=", "\"");
        let next = format!("/keys?q=build&cursor={next}");
        shown = browser.open(&next).await;
        found.extend(names(&shown));
    }
    let expected: Vec<_> = (0..60).map(|number| format!("build {number:02}")).collect();
    assert_eq!(found, expected);
}

async fn a_key_that_is_pasted_to_be_found_is_in_no_address_and_on_no_page(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "ada", "pasted").await;
    let mut browser = operator(&world).await;
    let header = format!("curl -H 'X-API-Key: {}'", key.text);
    for typed in [key.text.as_str(), &header] {
        let shown = search(&mut browser, typed).await;
        assert_eq!(names(&shown), ["pasted"]);
        assert!(!shown.path.contains(&key.text[8..40]), "{}", shown.path);
        shown.does_not_say(&key.text[8..40]);
    }
    // By hand, in spite of the form: then it is in an address already, and goes no further.
    let shown = browser.open(&format!("/keys?q={}", key.text)).await;
    assert_eq!(names(&shown), ["pasted"]);
    shown.does_not_say(&key.text[8..40]);
}

async fn a_key_that_is_pasted_into_any_field_is_in_no_address(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "ada", "pasted").await;
    let operations = ["keys:read", "users:read", "audit:read"];
    let (mut browser, _) = signed_in(&world, &operations).await;
    for (path, fields) in [
        ("/keys/search", &["q", "user", "status", "keyspace"][..]),
        ("/users/search", &["start"]),
        (
            "/audit/search",
            &["action", "actor", "user", "key", "from", "to"],
        ),
    ] {
        for field in fields {
            let shown = browser.submit(path, &[(field, &key.text)]).await;
            let secret = &key.text[8..40];
            assert!(
                !shown.path.contains(secret),
                "{path} {field}: {}",
                shown.path
            );
            shown.does_not_say(secret);
        }
    }
    // What looks like a key, and is an id, is an id.
    let id = "Xk3vQ9aPz7LmW2eRt5yUb8NcJd4F";
    let shown = browser.submit("/keys/search", &[("user", id)]).await;
    assert_eq!(shown.path, format!("/keys?user={id}"));
}

async fn an_id_is_found_only_where_the_key_is_one_of_those_asked_for(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "ada", "found").await;
    let service = world.service_key(&["keys:read"]).await.0;
    let mut browser = operator(&world).await;
    for (path, is_found) in [
        (format!("/keys?q={}", key.id), true),
        (
            format!("/keys?q={}&user=ada&status=ACTIVE&keyspace=default", key.id),
            true,
        ),
        (format!("/keys?q={}&user=bob", key.id), false),
        (format!("/keys?q={}&status=REVOKED", key.id), false),
        (format!("/keys?q={}&keyspace=other", key.id), false),
        (format!("/keys?q={service}"), false),
    ] {
        let found = names(&browser.open(&path).await);
        assert_eq!(found.len(), usize::from(is_found), "{path}");
    }
}

async fn what_is_common_to_all_keys_of_a_keyspace_finds_none(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let wanted = json!({"name": "live", "prefix": "sk_live_", "self_service": true});
    admin.post("/api/keyspaces", wanted).await.ok();
    let wanted = json!({"name": "payments", "permissions": [], "keyspace": "live"});
    world.user("ada").post("/api/api-keys", wanted).await.ok();
    let mut browser = operator(&world).await;
    search(&mut browser, "sk_live_")
        .await
        .says("No key is like that");
    assert_eq!(names(&search(&mut browser, "pay").await), ["payments"]);
}

async fn a_list_that_was_narrowed_stays_so_on_the_next_page(store: Kind) {
    let world = World::on(store).await;
    for number in 0..27 {
        world.clock.advance(Duration::from_secs(1));
        let made = key(&world, "ada", &format!("a{number:02}")).await;
        world
            .user("ada")
            .act(&format!("{}/suspend", made.path()))
            .await
            .ok();
        key(&world, "ada", &format!("b{number:02}")).await;
    }
    let mut browser = operator(&world).await;
    let fields = [
        ("q", ""),
        ("status", "SUSPENDED"),
        ("user", "ada"),
        ("keyspace", "default"),
    ];
    let first = browser.submit("/keys/search", &fields).await;
    assert_eq!(
        first.path,
        "/keys?status=SUSPENDED&keyspace=default&user=ada"
    );
    let next = first.between("rel=\"next\"", ">").len();
    assert_eq!(next, 0);
    let to = first
        .between("<a class=\"button\" href=\"/keys?status", "\"")
        .replace("&#38;", "&");
    let second = browser.open(&format!("/keys?status{to}")).await;
    let all: Vec<_> = names(&first).into_iter().chain(names(&second)).collect();
    let expected: Vec<_> = (0..27)
        .rev()
        .map(|number| format!("a{number:02}"))
        .collect();
    assert_eq!(all, expected);
}

async fn status_of(world: &World, key: &CreatedKey) -> String {
    let shown = world.admin().await.get(&key.path()).await.ok();
    shown["status"].as_str().expect("a status").to_owned()
}

async fn several_keys_are_suspended_at_once(store: Kind) {
    let world = World::on(store).await;
    let (one, two, left) = (
        key(&world, "ada", "one").await,
        key(&world, "bob", "two").await,
        key(&world, "ada", "left").await,
    );
    let mut browser = operator(&world).await;
    let fields = [
        ("key", one.id.as_str()),
        ("key", &two.id),
        ("key", &two.id),
        ("action", "suspend"),
        ("back", "/keys?status=ACTIVE"),
    ];
    let shown = browser.submit("/keys/selected", &fields).await;
    let done = "/keys?status=ACTIVE&done=suspended-2.";
    assert!(shown.path.starts_with(done), "{}", shown.path);
    shown.says("2 keys are suspended");
    assert_eq!(names(&shown), ["left"]);
    for (key, status) in [(&one, "SUSPENDED"), (&two, "SUSPENDED"), (&left, "ACTIVE")] {
        assert_eq!(status_of(&world, key).await, status);
    }
    // Nobody but the server says so, and nobody to somebody else.
    let (_, signed) = shown
        .path
        .split_once("&done=")
        .expect("it says what was done");
    let again = browser.open(&format!("/keys?done={signed}")).await;
    again.says("2 keys are suspended");
    let other = operator(&world)
        .await
        .open(&format!("/keys?done={signed}"))
        .await;
    other.does_not_say("refused from now on");
    for made_up in [
        "suspended-500",
        "suspended-500.",
        "suspended-500.AAAAAAAAAAAAAAAA",
    ] {
        let shown = browser.open(&format!("/keys?done={made_up}")).await;
        shown.does_not_say("refused from now on");
    }
}

async fn several_keys_are_revoked_at_once_by_whoever_types_how_many(store: Kind) {
    let world = World::on(store).await;
    let (one, two) = (
        key(&world, "ada", "first of two").await,
        key(&world, "bob", "second of two").await,
    );
    let mut browser = operator(&world).await;
    let both = [
        ("key", one.id.as_str()),
        ("key", two.id.as_str()),
        ("back", "/keys?user=ada"),
    ];
    let fields = [&both[..], &[("action", "revoke")]].concat();
    let asked = browser.submit("/keys/selected", &fields).await;
    assert_eq!(asked.status, 200);
    for words in [
        "first of two",
        "second of two",
        "revoke 2",
        "Nobody used any of them",
    ] {
        asked.says(words);
    }
    for typed in ["", "revoke", "revoke 3", "2"] {
        let fields = [&both[..], &[("confirm", typed)]].concat();
        let refused = browser.submit("/keys/selected/revoke", &fields).await;
        assert_eq!(refused.status, 422, "{typed}");
        refused.says("must be exactly what stands above");
    }
    assert_eq!(status_of(&world, &one).await, "ACTIVE");
    let fields = [&both[..], &[("confirm", "revoke 2")]].concat();
    let revoked = browser.submit("/keys/selected/revoke", &fields).await;
    revoked.says("2 keys are revoked");
    let done = "/keys?user=ada&done=revoked-2.";
    assert!(revoked.path.starts_with(done), "{}", revoked.path);
    for key in [&one, &two] {
        assert_eq!(status_of(&world, key).await, "REVOKED");
    }
}

async fn who_selects_nothing_is_told_so_and_led_nowhere_else(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "ada", "a key").await;
    let mut browser = operator(&world).await;
    for back in [
        "",
        "https://evil.example",
        "//evil.example",
        "/account",
        "/keysx",
    ] {
        let fields = [("action", "suspend"), ("back", back), ("key", "nonsense")];
        let shown = browser.submit("/keys/selected", &fields).await;
        assert_eq!(shown.path, "/keys?done=none", "{back}");
        shown.says("No key was selected");
    }
    // Without the token of the session nothing is done.
    let fields = [("action", "suspend"), ("key", key.id.as_str())];
    assert_eq!(browser.send("/keys/selected", &fields).await.status, 400);
    let fields = [("confirm", "revoke 1"), ("key", key.id.as_str())];
    assert_eq!(
        browser.send("/keys/selected/revoke", &fields).await.status,
        400
    );
    assert_eq!(status_of(&world, &key).await, "ACTIVE");
    let many = ["01a20296-0000-7000-8000-000000000000"; 101];
    let ids: Vec<String> = many
        .iter()
        .enumerate()
        .map(|(number, id)| format!("{}{number:012}", &id[..24]))
        .collect();
    let fields: Vec<_> = ids.iter().map(|id| ("key", id.as_str())).collect();
    assert_eq!(browser.submit("/keys/selected", &fields).await.status, 422);
}

async fn what_cannot_be_changed_is_told_beside_what_was(store: Kind) {
    let world = World::on(store).await;
    let (good, gone) = (
        key(&world, "ada", "good one").await,
        key(&world, "ada", "gone one").await,
    );
    world.user("ada").delete(&gone.path()).await.ok();
    let mut browser = operator(&world).await;
    let fields = [
        ("key", good.id.as_str()),
        ("key", &gone.id),
        ("action", "suspend"),
    ];
    let shown = browser.submit("/keys/selected", &fields).await;
    assert_eq!(shown.status, 409);
    for words in [
        "1 key is suspended",
        "gone one",
        "this key is revoked, which is final",
    ] {
        shown.says(words);
    }
    shown.does_not_say("good one");
    assert_eq!(status_of(&world, &good).await, "SUSPENDED");
}

async fn who_may_only_read_is_offered_no_change(store: Kind) {
    let world = World::on(store).await;
    let key = key(&world, "ada", "a key").await;
    let (mut browser, _) = signed_in(&world, &["keys:read"]).await;
    let list = browser.open("/keys").await;
    assert_eq!(names(&list), ["a key"]);
    for offer in ["/keys/selected", "/keys/new", "type=\"checkbox\""] {
        list.does_not_say(offer);
    }
    let page = browser.open(&format!("/keys/{}", key.id)).await;
    page.says("a key");
    page.does_not_say("Revoke");
    for (path, extra) in [
        ("/keys/selected", "suspend"),
        ("/keys/selected/revoke", "revoke"),
    ] {
        let fields = [
            ("key", key.id.as_str()),
            ("action", extra),
            ("confirm", "revoke 1"),
        ];
        let refused = browser.submit(path, &fields).await;
        assert_eq!(refused.status, 403, "{path}");
        refused.says("lacks keys:write");
    }
    assert_eq!(status_of(&world, &key).await, "ACTIVE");
}

async fn note(world: &World, key: &CreatedKey, hour: &str, code: Code, count: u64) {
    let id = KeyId(key.id.parse().expect("a UUID"));
    let counts = vec![UseCount {
        hour: Timestamp::parse(hour).expect("a time"),
        keyspace: Some(KeyspaceName::new("default").expect("a name")),
        key: Some((id, UserId::new("ada").expect("an id"))),
        code,
        count,
    }];
    let uses = Uses {
        counts,
        ..Uses::default()
    };
    world.store.record_use(uses).await.expect("it is noted");
}

async fn the_uses_of_a_key_are_told_over_a_day_a_week_and_a_month(store: Kind) {
    // It is 2026-11-22T09:00:00Z.
    let world = World::on(store).await;
    let key = key(&world, "ada", "used").await;
    note(&world, &key, "2026-11-22T08:00:00Z", Code::Valid, 1234).await;
    note(&world, &key, "2026-11-21T12:00:00Z", Code::Suspended, 7).await;
    note(&world, &key, "2026-11-18T12:00:00Z", Code::Valid, 5000).await;
    note(&world, &key, "2026-10-30T12:00:00Z", Code::Expired, 90_000).await;
    let mut browser = operator(&world).await;
    let page = format!("/keys/{}", key.id);
    let day = browser.open(&page).await;
    day.says("Accepted <strong>1,234</strong>");
    day.says("Suspended <strong>7</strong>");
    day.does_not_say("Expired <strong>");
    day.says("<th scope=\"row\">2026-11-22 08:00</th><td>1234</td><td>0</td>");
    day.says("presented 1,241 times in the last day");
    assert_eq!(day.html.matches("<tr data-at").count(), 24);
    let week = browser.open(&format!("{page}?over=7d")).await;
    week.says("Accepted <strong>6,234</strong>");
    week.says("presented 1,241 times in the last day");
    week.says("<th scope=\"row\">2026-11-18</th><td>5000</td><td>0</td>");
    assert_eq!(week.html.matches("<tr data-at").count(), 7);
    let month = browser.open(&format!("{page}?over=30d")).await;
    month.says("Expired <strong>90,000</strong>");
    assert_eq!(month.html.matches("<tr data-at").count(), 30);
    let other = browser.open(&format!("{page}?over=century")).await;
    assert_eq!(other.html.matches("<tr data-at").count(), 24);
    let unused = self::key(&world, "ada", "unused").await;
    let page = browser.open(&format!("/keys/{}", unused.id)).await;
    page.says("<p class=\"muted\">None.</p>");
}

async fn a_list_tells_what_the_last_day_of_each_key_was_like(store: Kind) {
    let world = World::on(store).await;
    let used = key(&world, "ada", "used").await;
    key(&world, "ada", "unused").await;
    note(&world, &used, "2026-11-22T08:00:00Z", Code::Valid, 10).await;
    note(&world, &used, "2026-11-21T10:00:00Z", Code::Revoked, 5).await;
    let list = operator(&world).await.open("/keys").await;
    assert_eq!(list.html.matches("<svg class=\"spark\"").count(), 1);
    list.says("15 in the last day");
    list.says("<path d=\"M2 20V10M90 20V0\"");
}

async fn the_overview_tells_what_is_going_on(store: Kind) {
    let world = World::on(store).await;
    let busy = key(&world, "ada", "busy & <b>bold</b>").await;
    let quiet = key(&world, "bob", "quiet").await;
    world.user("bob").delete(&quiet.path()).await.ok();
    let service = world.service(&["keys:verify"]).await;
    for _ in 0..3 {
        assert_eq!(service.code_of(&busy.text).await, "VALID");
    }
    assert_eq!(service.code_of(&quiet.text).await, "REVOKED");
    assert_eq!(service.code_of("agpt_junk").await, "NOT_FOUND");
    world
        .holder("junk")
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
    let mut browser = operator(&world).await;
    let shown = browser.open("/overview").await;
    assert_eq!(shown.status, 200);
    for words in [
        "<dt>Active keys</dt><dd>1</dd>",
        "<dt>Revoked</dt><dd>1</dd>",
        "<dt>Refused as unknown</dt><dd>1 ",
        "<dt>Failed sign-ins</dt><dd>1 ",
        "Accepted <strong>",
        "Unknown <strong>1</strong>",
        "busy &#38; &#60;b&#62;bold&#60;/b&#62;",
        "<td>3</td>",
    ] {
        shown.says(words);
    }
    // The service key is presented each time, and is not among the busiest.
    shown.does_not_say("kw_");
    let live = browser.open("/overview/live").await;
    live.says("<section id=\"live\"");
    live.does_not_say("<html");
    // Keys are counted anew after a minute.
    key(&world, "ada", "one more").await;
    browser
        .open("/overview")
        .await
        .says("<dt>Active keys</dt><dd>1</dd>");
    world.clock.advance(Duration::from_secs(61));
    eventually(async || {
        let shown = browser.open("/overview").await;
        shown
            .html
            .contains("<dt>Active keys</dt><dd>2</dd>")
            .then_some(())
    })
    .await;
}

async fn the_live_part_keeps_no_session_and_leads_nowhere(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    for _ in 0..6 {
        browser.open("/overview/live").await.says("Busiest keys");
        world.clock.advance(Duration::from_mins(11));
    }
    // Nobody did anything for an hour.
    let ended = browser.open("/overview/live").await;
    assert_eq!((ended.status, ended.path.as_str()), (200, "/overview/live"));
    ended.says("The session has ended");
    ended.does_not_say("hx-get");
    assert_eq!(browser.open("/keys").await.path, "/sign-in");
}

async fn who_may_not_read_the_audit_log_sees_no_overview(store: Kind) {
    let world = World::on(store).await;
    let (mut browser, _) = signed_in(&world, &["keys:read", "keys:write"]).await;
    browser.open("/keys").await.does_not_say("Overview");
    for path in ["/overview", "/overview/live"] {
        let refused = browser.open(path).await;
        assert_eq!(refused.status, 403);
        refused.says("lacks audit:read");
    }
}
