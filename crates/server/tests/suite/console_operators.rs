//! The console's pages for operators: users, keyspaces, service keys, the audit log, the cluster.

use std::time::Duration;

use serde_json::Value;

use crate::console::signed_in;
use crate::support::{ALL_OPERATIONS, Browser, Kind, Shown, World, on_both_stores};

on_both_stores![
    an_operator_sees_in_the_navigation_what_they_may_see_and_is_refused_the_rest,
    users_are_listed_in_pages_and_found_by_the_start_of_their_ids,
    a_user_of_any_id_has_a_page,
    a_user_is_deleted_by_whoever_types_their_id,
    who_may_not_delete_users_deletes_none,
    nothing_that_somebody_wrote_is_markup_for_operators,
];

const MARKUP: &str = "\"'><script>alert(1)</script>&amp;";

/// The pages of operators, what each needs, and what stands on it.
const PAGES: [(&str, &str); 1] = [("/users", "users:read")];

async fn operator(world: &World) -> Browser {
    signed_in(world, &ALL_OPERATIONS).await.0
}

/// An address with what is asked of it.
fn with(path: &str, asked: &[(&str, &str)]) -> String {
    format!("{path}?{}", serde_urlencoded::to_string(asked).unwrap())
}

/// Where the page leads to by a link with these words.
#[track_caller]
fn link(shown: &Shown, words: &str) -> String {
    let found = shown.html.split("<a ").find_map(|rest| {
        let (tag, rest) = rest.split_once('>')?;
        let (text, _) = rest.split_once("</a>")?;
        (text == words).then(|| tag.split("href=\"").nth(1)?.split('"').next())?
    });
    let found = found.unwrap_or_else(|| panic!("no link {words} in {}", shown.html));
    found.replace("&#38;", "&")
}

async fn code_of(world: &World, key: &str) -> String {
    world.service(&["keys:verify"]).await.code_of(key).await
}

async fn an_operator_sees_in_the_navigation_what_they_may_see_and_is_refused_the_rest(store: Kind) {
    let world = World::on(store).await;
    let (mut all, _) = signed_in(&world, &ALL_OPERATIONS).await;
    let everything = all.open("/account").await;
    for (path, needs) in PAGES {
        everything.says(&format!("<a href=\"{path}\""));
        let (mut one, _) = signed_in(&world, &["keys:read", needs]).await;
        let shown = one.open(path).await;
        assert_eq!(shown.status, 200, "{path}");
        shown.says(&format!("<a href=\"{path}\" aria-current=\"page\""));
        let others: Vec<_> = ALL_OPERATIONS
            .into_iter()
            .filter(|other| *other != needs)
            .collect();
        if needs != "keys:read" {
            let (mut other, _) = signed_in(&world, &others).await;
            let shown = other.open(path).await;
            assert_eq!(shown.status, 403, "{path}");
            shown.says(needs);
            other
                .open("/account")
                .await
                .does_not_say(&format!("<a href=\"{path}\""));
        }
        assert!(
            world
                .browser()
                .open(path)
                .await
                .path
                .starts_with("/sign-in")
        );
    }
}

async fn users_are_listed_in_pages_and_found_by_the_start_of_their_ids(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    browser.open("/users").await.says("No users yet");
    let ids: Vec<String> = (0..60)
        .map(|number| format!("{}-{number:02}.", ["ada", "bob"][number % 2]))
        .collect();
    for id in &ids {
        world.clock.advance(Duration::from_secs(1));
        world.user(id).create_key("a key", &[]).await;
    }
    for (start, pages) in [("", 3), ("ada-", 2), ("bob-1", 1)] {
        let mut expected: Vec<_> = ids.iter().filter(|id| id.starts_with(start)).collect();
        if start.is_empty() {
            expected.reverse();
        }
        let mut shown = browser.open(&with("/users", &[("start", start)])).await;
        let mut seen = Vec::new();
        for page in 1..=pages {
            let rows = shown.html.split("<th scope=\"row\">").skip(1);
            seen.extend(rows.map(|row| row.split(['>', '<']).nth(2).unwrap().to_owned()));
            if page < pages {
                let next = link(
                    &shown,
                    if start.is_empty() {
                        "Older users"
                    } else {
                        "More users"
                    },
                );
                shown = browser.open(&next).await;
                link(&shown, "First page");
            }
        }
        shown.does_not_say("rel=\"next\"");
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{start}");
    }
    browser
        .open("/users?start=ADA")
        .await
        .says("No user's id begins so");
    browser
        .open("/users?start=+bob-11.")
        .await
        .says(">bob-11.</a>");
    assert_eq!(browser.open("/users?start=a%00").await.status, 200);
    assert_eq!(browser.open("/users?cursor=x").await.status, 422);
}

async fn a_user_of_any_id_has_a_page(store: Kind) {
    let world = World::on(store).await;
    let mut browser = operator(&world).await;
    for id in [
        "a/b?c#d%20é<script>",
        ".",
        "..",
        "a+b&c=d",
        "ada lovelace",
        "\u{10ffff}",
    ] {
        let key = world.user(id).create_key("a key of theirs", &[]).await;
        let escaped = id
            .replace('&', "&#38;")
            .replace('<', "&#60;")
            .replace('>', "&#62;");
        let list = browser.open("/users").await;
        let page = link(&list, &escaped);
        let shown = browser.open(&page).await;
        assert_eq!(
            (shown.status, shown.path.as_str()),
            (200, page.as_str()),
            "{id}"
        );
        shown.says(&format!("<h1>{escaped}</h1>"));
        shown.says(&format!("href=\"/keys/{}\"", key.id));
        let keys = link(&shown, "All their keys");
        browser.open(&keys).await.says("a key of theirs");
        let form = browser.open(&link(&shown, "New key for them")).await;
        form.says(&format!("name=\"user\" value=\"{escaped}\""));
        let fields = [("id", id), ("confirm", id)];
        let deleted = browser.submit("/user/delete", &fields).await;
        assert_eq!(
            (deleted.status, deleted.path.as_str()),
            (200, "/users?done=deleted"),
            "{id}"
        );
        deleted.says("No users yet");
        assert_eq!(browser.open(&page).await.status, 404);
    }
    for nobody in [
        "/user",
        "/user?id=",
        "/user?id=nobody",
        "/user?id=%00",
        "/user?id=+ada",
    ] {
        assert_eq!(browser.open(nobody).await.status, 404, "{nobody}");
    }
}

async fn a_user_is_deleted_by_whoever_types_their_id(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a key", &["READ_GRAPH"]).await;
    let bobs = world.user("bob").create_key("a key", &["READ_GRAPH"]).await;
    let (mut browser, id) = signed_in(&world, &ALL_OPERATIONS).await;
    let page = browser.open("/user?id=ada").await;
    page.says("Their one key goes");
    page.says("Not at all.");
    world.user("ada").create_key("another", &[]).await;
    browser.open("/user?id=ada").await.says("Their 2 keys go");
    for wrong in ["", "bob", "Ada", "ada lovelace"] {
        let shown = browser
            .submit("/user/delete", &[("id", "ada"), ("confirm", wrong)])
            .await;
        assert_eq!(shown.status, 422, "{wrong}");
        shown.says("must be the id of the user");
        shown.says(&format!("name=\"confirm\" value=\"{wrong}\""));
        assert_eq!(code_of(&world, &key.text).await, "VALID");
    }
    let fields = [("id", "ada"), ("confirm", "ada")];
    let forged = browser.send("/user/delete", &fields).await;
    assert_eq!(forged.status, 400);
    assert_eq!(code_of(&world, &key.text).await, "VALID");
    let shown = browser.submit("/user/delete", &fields).await;
    assert_eq!(shown.status, 200);
    shown.says("The user is deleted, with all keys");
    assert_eq!(code_of(&world, &key.text).await, "NOT_FOUND");
    assert_eq!(code_of(&world, &bobs.text).await, "VALID");
    assert_eq!(browser.submit("/user/delete", &fields).await.status, 404);
    let admin = world.admin().await;
    let entries: Value = admin.get("/api/audit?action=user.deleted").await.ok();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["actor"]["kind"], "console");
    assert_eq!(entries[0]["actor"]["id"], id.as_str());
}

async fn who_may_not_delete_users_deletes_none(store: Kind) {
    let world = World::on(store).await;
    world.user("ada").create_key("a key", &[]).await;
    let (mut reader, _) = signed_in(&world, &["keys:read", "users:read"]).await;
    let page = reader.open("/user?id=ada").await;
    page.says("a key");
    for hidden in ["/user/delete", "Used in the last day", "New key for them"] {
        page.does_not_say(hidden);
    }
    let refused = reader
        .submit("/user/delete", &[("id", "ada"), ("confirm", "ada")])
        .await;
    assert_eq!(refused.status, 403);
    refused.says("users:write");
    assert_eq!(reader.open("/user?id=ada").await.status, 200);
}

async fn nothing_that_somebody_wrote_is_markup_for_operators(store: Kind) {
    let world = World::on(store).await;
    world.user(MARKUP).create_key(MARKUP, &[]).await;
    let mut browser = operator(&world).await;
    let user = with("/user", &[("id", MARKUP)]);
    let mut shown = Vec::new();
    for path in [
        "/users",
        user.as_str(),
        &with("/users", &[("start", MARKUP)]),
    ] {
        shown.push(browser.open(path).await);
    }
    let fields = [("id", MARKUP), ("confirm", "\"'><script>alert(2)")];
    shown.push(browser.submit("/user/delete", &fields).await);
    for page in shown {
        page.does_not_say("<script>alert");
        page.does_not_say("\"'>");
        page.does_not_say("style=");
    }
}
