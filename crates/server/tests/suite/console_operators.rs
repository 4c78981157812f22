//! The console's pages for operators: users, keyspaces, service keys, the audit log, the cluster.

use std::time::Duration;

use keywright_core::timestamp::Timestamp;
use keywright_store::Store as _;
use keywright_store::cluster::{NodeCard, NodeFigures, NodeId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::long_history;
use crate::cluster::joined;
use crate::console::signed_in;
use crate::console_users::signed_in_by;
use crate::support::{
    ALL_OPERATIONS, Browser, Fault, Kind, Shown, World, on_both_stores, with_provider,
};

on_both_stores![
    an_operator_sees_in_the_navigation_what_they_may_see_and_is_refused_the_rest,
    users_are_listed_in_pages_and_found_by_the_start_of_their_ids,
    a_user_of_any_id_has_a_page,
    a_user_is_deleted_by_whoever_types_their_id,
    an_operator_who_deletes_themselves_is_warned_and_signed_out,
    no_form_of_operators_is_a_users,
    who_may_not_delete_users_deletes_none,
    keyspaces_are_listed_and_shown,
    a_keyspace_is_made_and_nothing_typed_is_lost,
    a_keyspace_is_changed,
    who_may_not_change_keyspaces_changes_none,
    service_keys_are_listed_in_pages,
    a_service_key_is_made_and_shown_once,
    nobody_gives_a_service_key_what_they_lack,
    what_may_not_be_done_to_a_service_key_is_told,
    the_audit_log_is_shown_and_filtered,
    the_audit_log_is_read_in_pages,
    the_audit_log_is_exported_whole,
    what_is_exported_for_spreadsheets_is_no_formula,
    an_export_that_breaks_off_has_no_end,
    the_nodes_are_shown,
    a_node_without_a_lease_says_why,
    nothing_that_somebody_wrote_is_markup_for_operators,
];

const MARKUP: &str = "\"'><script>alert(1)</script>&amp;";

/// The pages of operators, what each needs, and what stands on it.
const PAGES: [(&str, &str); 5] = [
    ("/users", "users:read"),
    ("/keyspaces", "keyspaces:read"),
    ("/service-keys", "keys:read"),
    ("/audit", "audit:read"),
    ("/cluster", "cluster:read"),
];

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
    let world = World::with(store, with_provider).await;
    let (mut all, _) = signed_in(&world, &ALL_OPERATIONS).await;
    let everything = all.open("/account").await;
    let mut user = signed_in_by(&world, "ada", false).await;
    let mut root = signed_in_by(&world, "grace", true).await;
    for (path, needs) in PAGES {
        everything.says(&format!("<a href=\"{path}\""));
        let both: &[&str] = match needs {
            "keys:read" => &[needs],
            _ => &["keys:read", needs],
        };
        let (mut one, _) = signed_in(&world, both).await;
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
        let shown = user.open(path).await;
        assert_eq!(shown.status, 403, "{path}");
        shown.says("this page is for operators");
        user.open("/account")
            .await
            .does_not_say(&format!("<a href=\"{path}\""));
        let shown = root.open(path).await;
        assert_eq!(shown.status, 200, "{path}");
        shown.says(&format!("<a href=\"{path}\" aria-current=\"page\""));
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
    let world = World::with(store, with_provider).await;
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
    let world = World::with(store, with_provider).await;
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
    let world = World::with(store, with_provider).await;
    let key = world.user("ada").create_key("a key", &["READ_GRAPH"]).await;
    let bobs = world.user("bob").create_key("a key", &["READ_GRAPH"]).await;
    let (mut browser, id) = signed_in(&world, &ALL_OPERATIONS).await;
    let page = browser.open("/user?id=ada").await;
    page.says("Their one key goes");
    page.says("<p class=\"muted\">None.</p>");
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

async fn an_operator_who_deletes_themselves_is_warned_and_signed_out(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = signed_in_by(&world, "grace", true).await;
    world.user("ada").create_key("a key", &[]).await;
    browser
        .open("/user?id=ada")
        .await
        .does_not_say("This is you");
    browser.open("/user?id=grace").await.says("This is you");
    let fields = [("id", "grace"), ("confirm", "grace")];
    let shown = browser.submit("/user/delete", &fields).await;
    assert!(shown.path.starts_with("/sign-in"), "{}", shown.path);
    let mut operator = operator(&world).await;
    assert_eq!(operator.open("/user?id=grace").await.status, 404);
}

async fn no_form_of_operators_is_a_users(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut user = signed_in_by(&world, "ada", false).await;
    for path in [
        "/user/delete",
        "/keyspaces",
        "/keyspaces/default",
        "/keyspaces/default/descriptions",
        "/keyspaces/default/permissions",
        "/service-keys",
    ] {
        let fields = [
            ("id", "ada"),
            ("confirm", "ada"),
            ("name", "mine"),
            ("prefix", "mine_"),
            ("permission", "READ_GRAPH"),
            ("description", "mine"),
            ("permissions", "MINE"),
            ("once", "1"),
        ];
        let refused = user.submit(path, &fields).await;
        assert_eq!(refused.status, 403, "{path}");
    }
    assert_eq!(user.open("/audit/export?format=csv").await.status, 403);
    assert_eq!(user.open("/user?id=ada").await.status, 403);
    assert_eq!(user.open("/keyspaces/default").await.status, 403);
    let default = keyspace(&world, "default").await;
    assert_eq!(default["description"], "Keys of users");
    assert_eq!(default["permissions"].as_array().unwrap().len(), 4);
}

async fn who_may_not_delete_users_deletes_none(store: Kind) {
    let world = World::with(store, with_provider).await;
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

async fn keyspace(world: &World, name: &str) -> Value {
    world
        .admin()
        .await
        .get(&format!("/api/keyspaces/{name}"))
        .await
        .ok()
}

async fn keyspaces_are_listed_and_shown(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    let list = browser.open("/keyspaces").await;
    for said in [
        "href=\"/keyspaces/default\"",
        "<code>agpt_</code>",
        "Keys of users",
        "built in",
        "<code>kw_</code>",
    ] {
        list.says(said);
    }
    let shown = browser.open("/keyspaces/default").await;
    assert_eq!(shown.status, 200);
    for said in [
        "<h1>default</h1>",
        "READ_GRAPH",
        "users and operators",
        "Verifications in the last 24 hours",
        "<p class=\"muted\">None.</p>",
    ] {
        shown.says(said);
    }
    browser
        .open(&link(&shown, "New key in it"))
        .await
        .says("name=\"keyspace\" value=\"default\"");
    let built_in = browser.open("/keyspaces/keywright").await;
    built_in.says("It cannot be");
    built_in.says("keys:verify");
    for hidden in ["action=\"/keyspaces", "<textarea"] {
        built_in.does_not_say(hidden);
    }
    for (path, fields) in [
        ("/keyspaces/keywright", [("description", "mine")]),
        (
            "/keyspaces/keywright/permissions",
            [("permissions", "keys:all")],
        ),
    ] {
        let refused = browser.submit(path, &fields).await;
        assert_eq!(refused.status, 409, "{path}");
        refused.says("built-in keyspace");
    }
    assert_eq!(browser.open("/keyspaces/nothing").await.status, 404);
    assert_eq!(browser.open("/keyspaces/%00").await.status, 404);
}

async fn a_keyspace_is_made_and_nothing_typed_is_lost(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    link(&browser.open("/keyspaces").await, "New keyspace");
    browser.open("/new-keyspace").await.says("One a line");
    let typed = |name, prefix, permissions| {
        [
            ("name", name),
            ("prefix", prefix),
            ("description", "What is sold"),
            ("self_service", "yes"),
            ("permissions", permissions),
        ]
    };
    for (name, prefix, permissions, status, says) in [
        ("New!", "new_", "", 422, "must match ^[a-z]"),
        ("new", "new", "", 422, "must match ^[a-z]"),
        (
            "new",
            "new_",
            "read\r\n9write it",
            422,
            "Line 2: 9write must match",
        ),
        (
            "new",
            "new_",
            "read\r\n\r\nread",
            422,
            "Line 3: read stands twice",
        ),
        (
            "default",
            "new_",
            "",
            409,
            "there is a keyspace of this name",
        ),
        (
            "new",
            "agpt_x_",
            "",
            409,
            "the prefix begins with that of the keyspace default",
        ),
    ] {
        let shown = browser
            .submit("/keyspaces", &typed(name, prefix, permissions))
            .await;
        assert_eq!(shown.status, status, "{name} {prefix} {permissions}");
        shown.says(says);
        shown.says(&format!("name=\"name\" value=\"{name}\""));
        shown.says(&format!("name=\"prefix\" value=\"{prefix}\""));
        shown.says(&format!("{permissions}</textarea>"));
        shown.says("What is sold</textarea>");
        shown.says("aria-describedby=\"self-service-hint\" checked");
    }
    // A keyspace may be called as the form is.
    let permissions = "read See invoices\r\n\r\n  write\r\nrefund\tGive money back";
    let shown = browser
        .submit("/keyspaces", &typed("new", "new_", permissions))
        .await;
    assert_eq!(
        (shown.status, shown.path.as_str()),
        (200, "/keyspaces/new?done=created")
    );
    shown.says("The keyspace is made.");
    let made = keyspace(&world, "new").await;
    assert_eq!(made["prefix"], "new_");
    assert_eq!(made["description"], "What is sold");
    assert_eq!(made["self_service"], true);
    assert_eq!(
        made["permissions"],
        json!([
            {"name": "read", "description": "See invoices"},
            {"name": "write", "description": null},
            {"name": "refund", "description": "Give money back"},
        ])
    );
    let bare = [("name", "bare"), ("prefix", "bare_")];
    assert_eq!(browser.send("/keyspaces", &bare).await.status, 400);
    browser
        .submit("/keyspaces", &bare)
        .await
        .says("It has none yet");
    assert_eq!(keyspace(&world, "bare").await["self_service"], false);
    browser.open("/keyspaces").await.says("What is sold");
}

async fn a_keyspace_is_changed(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    let fields = [("description", "")];
    let shown = browser.submit("/keyspaces/default", &fields).await;
    shown.says("The keyspace was changed.");
    let now = keyspace(&world, "default").await;
    assert_eq!(
        (&now["description"], &now["self_service"]),
        (&Value::Null, &json!(false))
    );
    let fields = [("description", "ours"), ("self_service", "yes")];
    browser.submit("/keyspaces/default", &fields).await;
    let now = keyspace(&world, "default").await;
    assert_eq!(
        (&now["description"], &now["self_service"]),
        (&json!("ours"), &json!(true))
    );
    let long = "d".repeat(501);
    let shown = browser
        .submit("/keyspaces/default", &[("description", long.as_str())])
        .await;
    assert_eq!(shown.status, 422);
    shown.says("must have 0 to 500 characters, and has 501");
    shown.says(&long);
    // (The check box is as it was sent, and the fact above it as it is.)
    shown.says("users and operators");
    shown.does_not_say("hint\" checked");

    let described = |last| {
        [
            ("permission", "EXECUTE_GRAPH"),
            ("description", "Run a graph"),
            ("permission", "READ_GRAPH"),
            ("description", last),
        ]
    };
    let page = "/keyspaces/default/descriptions";
    let shown = browser.submit(page, &described(&long)).await;
    assert_eq!(shown.status, 422);
    shown.says("id=\"permission-2-error\"");
    shown.says("value=\"Run a graph\"");
    assert_eq!(
        keyspace(&world, "default").await["permissions"][0]["description"],
        Value::Null
    );
    let shown = browser.submit(page, &described("See a graph")).await;
    shown.says("The permissions are described so now.");
    let shown = browser.submit(page, &described("")).await;
    shown.says("value=\"Run a graph\"");
    let now = keyspace(&world, "default").await;
    assert_eq!(now["permissions"][0]["description"], "Run a graph");
    assert_eq!(now["permissions"][1]["description"], Value::Null);

    let page = "/keyspaces/default/permissions";
    let many: Vec<_> = (0..61).map(|number| format!("P{number}")).collect();
    for (typed, says) in [
        ("", "must name a permission at least"),
        ("SHARE_GRAPH It is shared\r\n$", "Line 2: $ must match"),
        (&many.join("\r\n"), "a keyspace has at most 64 permissions"),
    ] {
        let shown = browser.submit(page, &[("permissions", typed)]).await;
        assert_eq!(shown.status, 422, "{typed}");
        shown.says(says);
        shown.says(typed.trim_end());
    }
    assert_eq!(
        keyspace(&world, "default").await["permissions"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let shown = browser
        .submit(
            page,
            &[("permissions", "SHARE_GRAPH It is shared\nEXECUTE_GRAPH")],
        )
        .await;
    shown.says("The permissions are in the catalogue");
    let now = keyspace(&world, "default").await;
    assert_eq!(
        now["permissions"][4],
        json!({"name": "SHARE_GRAPH", "description": "It is shared"})
    );
    assert_eq!(now["permissions"][0]["description"], "Run a graph");
    let fields = [("csrf", "forged"), ("permissions", "X")];
    assert_eq!(browser.send(page, &fields).await.status, 400);
    assert_eq!(browser.submit("/keyspaces/nothing", &[]).await.status, 404);
}

async fn who_may_not_change_keyspaces_changes_none(store: Kind) {
    let world = World::with(store, with_provider).await;
    let (mut reader, _) = signed_in(&world, &["keys:read", "keyspaces:read"]).await;
    reader
        .open("/keyspaces")
        .await
        .does_not_say("/new-keyspace");
    let shown = reader.open("/keyspaces/default").await;
    shown.says("READ_GRAPH");
    for hidden in ["<textarea", "Used in the last day", "New key in it"] {
        shown.does_not_say(hidden);
    }
    assert_eq!(reader.open("/new-keyspace").await.status, 403);
    for path in [
        "/keyspaces",
        "/keyspaces/default",
        "/keyspaces/default/descriptions",
        "/keyspaces/default/permissions",
    ] {
        let fields = [("name", "new"), ("prefix", "new_"), ("permissions", "X")];
        let refused = reader.submit(path, &fields).await;
        assert_eq!(refused.status, 403, "{path}");
        refused.says("keyspaces:write");
    }
    assert_eq!(
        keyspace(&world, "default").await["description"],
        "Keys of users"
    );
}

async fn service_keys(world: &World) -> Vec<Value> {
    let admin = world.admin().await;
    let all = admin.get("/api/api-keys?keyspace=keywright").await.ok();
    all.as_array().unwrap().clone()
}

/// The fields of the form for a new service key, filled in.
async fn new_service_key(
    browser: &mut Browser,
    name: &str,
    permissions: &[&str],
) -> Vec<(&'static str, String)> {
    let form = browser.open("/service-keys/new").await;
    assert_eq!(form.status, 200);
    form.does_not_say("name=\"user\"");
    let fields = [
        ("csrf", form.field("csrf")),
        ("once", form.field("once")),
        ("name", name.to_owned()),
        ("expiry", "30".to_owned()),
    ];
    let permissions = permissions
        .iter()
        .map(|name| ("permission", (*name).to_owned()));
    fields.into_iter().chain(permissions).collect()
}

fn pairs<'f>(fields: &'f [(&'static str, String)]) -> Vec<(&'static str, &'f str)> {
    fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

async fn service_keys_are_listed_in_pages(store: Kind) {
    let world = World::with(store, with_provider).await;
    world.user("ada").create_key("of a user", &[]).await;
    let (mut browser, id) = signed_in(&world, &ALL_OPERATIONS).await;
    let shown = browser.open("/service-keys").await;
    shown.says(&format!("href=\"/keys/{id}\""));
    shown.says("You are signed in with it");
    shown.says("<code>kw_");
    shown.does_not_say("of a user");
    shown.does_not_say("rel=\"next\"");
    let mut ids = Vec::new();
    for _ in 0..30 {
        world.clock.advance(Duration::from_secs(1));
        ids.push(world.service_key(&["keys:verify"]).await.0);
    }
    let first = browser.open("/service-keys").await;
    let second = browser.open(&link(&first, "Older service keys")).await;
    for (number, id) in ids.iter().enumerate() {
        let (on, off) = if number >= 5 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        on.says(id);
        off.does_not_say(id);
    }
    second.says("First page");
    assert_eq!(browser.open("/service-keys?cursor=x").await.status, 422);
}

async fn a_service_key_is_made_and_shown_once(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    let form = browser.open("/service-keys/new").await;
    form.says("Ask whether a key is good");
    form.says("value=\"cluster:read\"");
    form.does_not_say("<select");
    let mut fields = new_service_key(&mut browser, "", &["keys:verify", "keys:read"]).await;
    let before = service_keys(&world).await.len();
    let shown = browser.send("/service-keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 422);
    shown.says("must have 1 to 100 characters");
    shown.says("value=\"keys:verify\" checked");
    shown.says("action=\"/service-keys\"");
    assert_eq!(service_keys(&world).await.len(), before);
    "gateway".clone_into(&mut fields[2].1);
    let shown = browser.send("/service-keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    assert_eq!(shown.headers["cache-control"], "no-store");
    let text = shown.between("<code id=\"text\">", "</code>").to_owned();
    assert!(text.starts_with("kw_"), "{text}");
    shown.says(&format!("export KEYWRIGHT_SERVICE_KEY='{text}'"));
    shown.says(&format!("curl http://{}/api/verify -H", world.address));
    let made = service_keys(&world).await;
    let made = made.iter().find(|key| key["name"] == "gateway").unwrap();
    assert_eq!(made["permissions"], json!(["keys:verify", "keys:read"]));
    assert_eq!(made["expires_at"], "2026-12-22T09:00:00.000000Z");
    let asked = world.anonymous().bearer(&text);
    assert_eq!(asked.code_of("the text of a key").await, "NOT_FOUND");

    let again = browser.send("/service-keys", &pairs(&fields)).await;
    assert_eq!(again.status, 400);
    again.says("was sent before");
    assert_eq!(service_keys(&world).await.len(), before + 1);
    let page = format!("/keys/{}", made["id"].as_str().unwrap());
    for path in ["/service-keys", page.as_str()] {
        let later = browser.open(path).await;
        later.says("gateway");
        later.does_not_say(&text);
    }
    let fields = new_service_key(&mut browser, "auditor", &["audit:read"]).await;
    let shown = browser.send("/service-keys", &pairs(&fields)).await;
    shown.says("/api/whoami -H \"Authorization: Bearer $KEYWRIGHT_SERVICE_KEY\"");
    shown.does_not_say("/api/verify");
    // A form for a user's key makes none, whatever is written into it.
    let form = browser.open("/keys/new").await;
    let fields = [
        ("once", form.field("once")),
        ("keyspace", "keywright".to_owned()),
        ("name", "mine".to_owned()),
    ];
    let fields: Vec<_> = pairs(&fields)
        .into_iter()
        .chain([("user", "ada"), ("permission", "keys:read")])
        .collect();
    assert_eq!(browser.submit("/keys", &fields).await.status, 422);
    assert_eq!(service_keys(&world).await.len(), before + 2);
}

async fn nobody_gives_a_service_key_what_they_lack(store: Kind) {
    let world = World::with(store, with_provider).await;
    let (mut weak, _) = signed_in(&world, &["keys:read", "keys:write"]).await;
    let before = service_keys(&world).await.len();
    let fields = new_service_key(&mut weak, "stronger", &["keys:read", "users:write"]).await;
    let shown = weak.send("/service-keys", &pairs(&fields)).await;
    assert_eq!(shown.status, 403);
    shown.says("nobody can give what they do not hold");
    shown.says("lacks users:write");
    shown.says("value=\"stronger\"");
    shown.says("value=\"users:write\" checked");
    assert_eq!(service_keys(&world).await.len(), before);
    let fields: Vec<_> = fields
        .into_iter()
        .filter(|(_, value)| value != "users:write")
        .collect();
    assert_eq!(
        weak.send("/service-keys", &pairs(&fields)).await.status,
        200
    );
    assert_eq!(service_keys(&world).await.len(), before + 1);

    let (mut reader, _) = signed_in(&world, &["keys:read"]).await;
    let before = service_keys(&world).await.len();
    reader
        .open("/service-keys")
        .await
        .does_not_say("/service-keys/new");
    assert_eq!(reader.open("/service-keys/new").await.status, 403);
    let refused = reader
        .submit("/service-keys", &[("name", "mine"), ("once", "1")])
        .await;
    assert_eq!(refused.status, 403);
    refused.says("keys:write");
    assert_eq!(service_keys(&world).await.len(), before);
}

async fn what_may_not_be_done_to_a_service_key_is_told(store: Kind) {
    let world = World::with(store, with_provider).await;
    let (mut browser, id) = signed_in(&world, &["keys:read", "keys:write"]).await;
    let page = format!("/keys/{id}");
    let shown = browser.open(&page).await;
    assert_eq!(shown.status, 200);
    shown.says("<a href=\"/service-keys\">Service keys</a>");
    shown.says("Ask whether a key is good");
    shown.does_not_say("<dt>User</dt>");
    for (form, fields) in [
        ("suspend", [("", "")]),
        ("revoke", [("confirm", "service")]),
    ] {
        let refused = browser.submit(&format!("{page}/{form}"), &fields).await;
        assert_eq!(refused.status, 409, "{form}");
        refused.says("make another one first");
    }
    let fields = [
        ("permission", "keys:read"),
        ("permission", "keys:write"),
        ("permission", "audit:read"),
    ];
    let refused = browser
        .submit(&format!("{page}/permissions"), &fields)
        .await;
    assert_eq!(refused.status, 403);
    refused.says("lacks audit:read");
    browser.open(&page).await.says("Active");
}

/// How many entries a page shows.
fn entries(shown: &Shown) -> usize {
    shown.html.matches("<details>").count()
}

async fn the_audit_log_is_shown_and_filtered(store: Kind) {
    let world = World::with(store, with_provider).await;
    let (id, _) = world.service_key(&["keys:verify"]).await;
    world.clock.advance(Duration::from_hours(48));
    let mut browser = operator(&world).await;
    let key = world.user("ada").create_key("a key", &["READ_GRAPH"]).await;
    world.clock.advance(Duration::from_mins(5));
    world
        .user("ada")
        .act(&format!("{}/suspend", key.path()))
        .await
        .ok();
    let shown = browser.open("/audit").await;
    assert_eq!(entries(&shown), 4);
    for said in [
        "<code>api_key.suspended</code>",
        "just now",
        "5 minutes ago",
        &format!("href=\"/keys/{}\"", key.id),
        "href=\"/user?id=ada\"",
        "href=\"/keyspaces/default\"",
        "command line",
        "&#34;status&#34;: &#34;SUSPENDED&#34;",
        "by keywright-suite/1",
    ] {
        shown.says(said);
    }
    let of_ada = browser.open(&link(&shown, "ada")).await;
    assert_eq!(entries(&of_ada), 2);
    of_ada.says("name=\"actor\" value=\"user:ada\"");
    for (asked, count) in [
        (&[("action", "api_key.suspended")][..], 1),
        (&[("action", "user.deleted")], 0),
        (&[("actor", "user")], 2),
        (&[("actor", "command_line")], 2),
        (&[("actor", "nobody")], 0),
        (&[("user", " ada ")], 2),
        (&[("key", key.id.as_str())], 2),
        (&[("key", id.as_str())], 1),
        (&[("from", "2026-11-23")], 3),
        (&[("from", "2026-11-25")], 0),
        (&[("to", "2026-11-22")], 1),
        (&[("to", "2026-11-24")], 4),
        (&[("from", "2026-11-24T09:01:00Z")], 1),
        (&[("to", "2026-11-24T10:01:00+01:00")], 3),
        (
            &[
                ("from", "2026-11-24"),
                ("to", "2026-11-24"),
                ("user", "ada"),
            ],
            2,
        ),
        (&[("to", "9999-12-31")], 4),
    ] {
        let shown = browser.open(&with("/audit", asked)).await;
        assert_eq!((shown.status, entries(&shown)), (200, count), "{asked:?}");
        if count == 0 {
            shown.says("No entry is like that");
        }
    }
    let wrong = [
        ("action", "nothing"),
        ("user", "\u{1}"),
        ("key", "1"),
        ("from", "yesterday"),
        ("to", "2026-13-01"),
    ];
    let shown = browser.open(&with("/audit", &wrong)).await;
    assert_eq!(shown.status, 422);
    for (name, value) in wrong {
        shown.says(&format!("id=\"{name}-error\""));
        if name != "action" {
            shown.says(&format!("name=\"{name}\" value=\"{value}\""));
        }
    }
    let shown = browser.open("/audit?cursor=x").await;
    assert_eq!(shown.status, 422);
    // To pages that somebody may not see, nothing leads.
    let (mut auditor, _) = signed_in(&world, &["keys:read", "audit:read"]).await;
    let shown = auditor.open("/audit").await;
    shown.says("href=\"/keys/");
    shown.does_not_say("href=\"/user?");
    shown.does_not_say("href=\"/keyspaces");
}

async fn the_audit_log_is_read_in_pages(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    let mut ids = Vec::new();
    for _ in 0..60 {
        world.clock.advance(Duration::from_secs(1));
        ids.push(world.user("ada").create_key("a key", &[]).await.id);
    }
    ids.reverse();
    let mut shown = browser.open("/audit?user=ada").await;
    for page in 0..3 {
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(
                shown.html.contains(id),
                number / 25 == page,
                "{number} on {page}"
            );
        }
        if page < 2 {
            shown = browser.open(&link(&shown, "Older entries")).await;
            link(&shown, "First page");
        }
    }
    shown.does_not_say("rel=\"next\"");
}

async fn the_audit_log_is_exported_whole(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    long_history(&world).await;
    world.user("bob").create_key("a key", &[]).await;
    let page = browser
        .open("/audit?user=ada&action=api_key.created&from=2026-11-22")
        .await;
    let admin = world.admin().await;
    let expected = admin
        .whole_list("/api/audit?user_id=ada&action=api_key.created")
        .await;
    assert!(expected.len() > 500);

    let lines = browser.open(&link(&page, "JSON lines")).await;
    assert_eq!(lines.status, 200);
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    assert_eq!(
        lines.headers["content-disposition"],
        "attachment; filename=\"keywright-audit.ndjson\""
    );
    assert_eq!(lines.headers["cache-control"], "no-store");
    let read: Vec<Value> = lines
        .html
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, expected);

    let table = browser.open(&link(&page, "CSV")).await;
    assert_eq!(table.status, 200);
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(
        table.headers["content-disposition"],
        "attachment; filename=\"keywright-audit.csv\""
    );
    let rows: Vec<_> = table.html.split_terminator("\r\n").collect();
    assert!(rows[0].starts_with("\"id\",\"at\",\"actor_kind\",\"actor_id\",\"action\""));
    assert_eq!(rows.len(), expected.len() + 1);
    for (row, entry) in rows[1..].iter().zip(&expected) {
        let id = entry["id"].as_str().unwrap();
        let at = entry["at"].as_str().unwrap();
        assert!(
            row.starts_with(&format!(
                "\"{id}\",\"{at}\",\"user\",\"ada\",\"api_key.created\""
            )),
            "{row}"
        );
    }
    for wrong in [
        "/audit/export",
        "/audit/export?format=xml",
        "/audit/export?format=csv&from=x",
    ] {
        assert_eq!(browser.open(wrong).await.status, 422, "{wrong}");
    }
    let (mut other, _) = signed_in(&world, &["keys:read"]).await;
    assert_eq!(other.open("/audit/export?format=csv").await.status, 403);
    let nobody = world.browser().open("/audit/export?format=csv").await;
    assert!(nobody.path.starts_with("/sign-in"));
}

async fn what_is_exported_for_spreadsheets_is_no_formula(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    let who = "=HYPERLINK(\"https://evil.example\",\"ada\")";
    world.user(who).create_key("a, \"b\"", &[]).await;
    let table = browser
        .open(&with("/audit/export", &[("format", "csv"), ("user", who)]))
        .await;
    let quoted = "\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"ada\"\")\"";
    assert_eq!(table.html.matches(quoted).count(), 2, "{}", table.html);
    table.does_not_say("\"=");
    table.says("a, \\\"\"b\\\"\"");
}

async fn an_export_that_breaks_off_has_no_end(store: Kind) {
    let world = World::with(store, with_provider).await;
    let browser = operator(&world).await;
    let session = browser.cookie("keywright_session").unwrap();
    long_history(&world).await;
    world.store.go_down_after_pages(1);
    let mut connection = world.connect().await;
    connection
        .write(format!(
            "GET /audit/export?format=csv HTTP/1.1\r\nhost: a\r\ncookie: keywright_session={session}\r\n\r\n"
        ))
        .await;
    let answer = String::from_utf8(connection.until_closed().await).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        &answer[..100]
    );
    assert_eq!(answer.matches("\"api_key.created\"").count(), 500);
    assert!(
        !answer.ends_with("0\r\n\r\n"),
        "a chunked body ends with an empty chunk"
    );
}

async fn the_nodes_are_shown(store: Kind) {
    let world = joined(store, |_| ()).await;
    let key = world.user("ada").create_key("a key", &[]).await;
    world
        .user("ada")
        .act(&format!("{}/suspend", key.path()))
        .await
        .ok();
    let mut browser = operator(&world).await;
    let seen = world.admin().await.get("/api/cluster").await.ok();
    let shown = browser.open("/cluster").await;
    assert_eq!(shown.status, 200);
    for said in [
        "keys-1",
        "this one",
        "127.0.0.1:1",
        env!("CARGO_PKG_VERSION"),
        "number 1",
        "every change",
        "just now",
        seen["this_node"]["id"].as_str().unwrap(),
    ] {
        shown.says(said);
    }
    shown.does_not_say("has no lease");
    match store {
        Kind::Sqlite => {
            shown.says("This is the only node.");
            shown.does_not_say("Lease");
        }
        Kind::Postgres => {
            shown.does_not_say("This is the only node.");
            for said in ["2.00 s", "100 ms", "1.90 s", "Lease left"] {
                shown.says(said);
            }
        }
    }
    // Another one, which calls itself what it likes and has followed nothing yet.
    let Some(cluster) = world.store.clone().cluster() else {
        return;
    };
    let card = NodeCard {
        id: NodeId(Uuid::from_u128(7)),
        name: MARKUP.to_owned(),
        version: "9.9.9".to_owned(),
        address: "10.0.0.2:7878".to_owned(),
        since: Timestamp::from_micros(0),
    };
    let mut session = cluster.session();
    session.join(&card, 1, Some(0), None).await.unwrap();
    let figures = NodeFigures {
        keys: 7,
        hits: 2,
        misses: 1,
    };
    session.renew(card.id, 1, figures).await.unwrap();
    let shown = browser.open("/cluster").await;
    assert_eq!(shown.html.matches("<th scope=\"row\">").count(), 2);
    for said in [
        "&#60;script&#62;",
        "10.0.0.2:7878",
        "9.9.9",
        "up to 0, 1 behind",
        "66.67 %",
        "57 years ago",
    ] {
        shown.says(said);
    }
    shown.does_not_say("<script>alert");
}

async fn a_node_without_a_lease_says_why(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut browser = operator(&world).await;
    let shown = browser.open("/cluster").await;
    assert_eq!(shown.status, 200);
    match store {
        // One process has it to itself, and needs none.
        Kind::Sqlite => shown.does_not_say("has no lease"),
        Kind::Postgres => {
            shown.says("it takes no part in the cluster");
            shown.says("No node has joined");
        }
    }
    world.database_suffers(Fault::Down);
    assert_eq!(browser.open("/cluster").await.status, 503);
}

async fn nothing_that_somebody_wrote_is_markup_for_operators(store: Kind) {
    let world = World::with(store, with_provider).await;
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
    let permissions = format!("read {MARKUP}");
    let fields = [
        ("name", "marked"),
        ("prefix", "marked_"),
        ("description", MARKUP),
        ("permissions", &permissions),
    ];
    shown.push(browser.submit("/keyspaces", &fields).await);
    shown.push(browser.open("/keyspaces").await);
    let fields = [
        ("name", MARKUP),
        ("prefix", MARKUP),
        ("description", MARKUP),
        ("permissions", MARKUP),
    ];
    shown.push(browser.submit("/keyspaces", &fields).await);
    shown.push(
        browser
            .submit("/keyspaces/marked/permissions", &fields)
            .await,
    );
    let mut fields = new_service_key(&mut browser, MARKUP, &[MARKUP]).await;
    shown.push(browser.send("/service-keys", &pairs(&fields)).await);
    fields.pop();
    shown.push(browser.send("/service-keys", &pairs(&fields)).await);
    shown.push(browser.open("/service-keys").await);
    shown.push(browser.open("/audit").await);
    let asked =
        ["action", "actor", "user", "key", "from", "to", "cursor"].map(|name| (name, MARKUP));
    shown.push(browser.open(&with("/audit", &asked)).await);
    shown.push(browser.open(&with("/audit", &[("actor", MARKUP)])).await);
    let (mut reader, _) = signed_in(&world, &["keys:read", "keyspaces:read"]).await;
    shown.push(reader.open("/keyspaces/marked").await);
    for page in shown {
        page.does_not_say("<script>alert");
        page.does_not_say("\"'>");
        page.does_not_say("style=");
    }
}
