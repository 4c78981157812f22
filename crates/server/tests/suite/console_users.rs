//! The console for users who are no operators: own keys, and no way to anybody else's.

use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::digest::Digest;
use keywright_core::identifier::UserId;
use keywright_store::Store;
use keywright_store::console::{Session, SignedIn};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Browser, Kind, World, on_both_stores, with_provider};

on_both_stores![
    a_user_makes_changes_and_revokes_own_keys,
    a_user_sees_nothing_of_others_keys,
    a_user_makes_keys_for_nobody_else_and_only_where_users_may,
    a_timeline_names_nobody_to_a_user_but_themselves,
    a_user_who_is_deleted_is_signed_out,
    without_the_provider_or_its_group_nobody_is_what_it_made_them,
];

/// A browser in which this user is signed in.
async fn signed_in_as(world: &World, id: &str) -> Browser {
    signed_in_by(world, id, false).await
}

/// Somebody whom the identity provider named; the browser keeps their session.
pub(crate) async fn signed_in_by(world: &World, id: &str, operator: bool) -> Browser {
    let now = world.clock.now();
    let session = Session {
        id: Uuid::from_u128(u128::from_be_bytes(
            Digest::of(id).as_bytes()[..16].try_into().unwrap(),
        )),
        who: SignedIn::User {
            id: UserId::new(id).unwrap(),
            operator,
        },
        began_at: now,
        seen_at: now,
        ends_at: now.saturating_add(Duration::from_hours(1)),
        ip: None,
        user_agent: None,
    };
    let token = format!("session of {id}");
    let console = world.store.clone().console();
    let began = console.begin_session(session, Digest::of(&token)).await;
    began.unwrap();
    world.browser().with_cookie("keywright_session", &token)
}

async fn a_user_makes_changes_and_revokes_own_keys(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut ada = signed_in_as(&world, "ada").await;
    ada.open("/keys").await.says("No keys yet");
    let form = ada.open("/keys/new").await;
    form.does_not_say("name=\"user\"");
    let once = form.field("once");
    let fields = [
        ("once", once.as_str()),
        ("keyspace", "default"),
        ("name", "build server"),
        ("permission", "READ_GRAPH"),
        ("expiry", "never"),
    ];
    let shown = ada.submit("/keys", &fields).await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    let text = shown.between("<code id=\"text\">", "</code>").to_owned();
    let service = world.service(&["keys:verify"]).await;
    assert_eq!(service.code_of(&text).await, "VALID");
    ada.open("/keys").await.says("build server");
    let made = world.user("ada").whole_list("/api/api-keys").await;
    let page = format!("/keys/{}", made[0]["id"].as_str().unwrap());
    for (path, fields, code) in [
        ("", &[("name", "builder"), ("expiry", "30")][..], "VALID"),
        ("/permissions", &[("permission", "READ_BLOCK")], "VALID"),
        ("/suspend", &[], "SUSPENDED"),
        ("/reactivate", &[], "VALID"),
        ("/revoke", &[("confirm", "builder")], "REVOKED"),
    ] {
        let shown = ada.submit(&format!("{page}{path}"), fields).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.html);
        assert_eq!(service.code_of(&text).await, code, "{path}");
    }
    assert_eq!(ada.open("/account").await.status, 200);
}

async fn a_user_sees_nothing_of_others_keys(store: Kind) {
    let world = World::with(store, with_provider).await;
    let bobs = world.user("bob").create_key("bob's own", &[]).await;
    let (service_key, _) = world.service_key(&["keys:read"]).await;
    let mut ada = signed_in_as(&world, "ada").await;
    for path in [
        "/keys",
        "/keys?user=bob",
        "/keys?keyspace=keywright",
        "/keys?keyspace=keywright&user=",
        "/keys?q=bob",
        &format!("/keys?q={}", bobs.id),
        &format!("/keys?q={}", &bobs.text[..8]),
        &format!("/keys?q={}", &bobs.text[bobs.text.len() - 8..]),
        &format!("/keys?q={service_key}"),
    ] {
        let shown = ada.open(path).await;
        assert_eq!(shown.status, 200, "{path}");
        shown.does_not_say("bob&#39;s own");
        shown.does_not_say("bob's own");
        shown.does_not_say("/keys/0");
    }
    for id in [bobs.id.as_str(), service_key.as_str()] {
        let page = format!("/keys/{id}");
        let absent = ada.open("/keys/01a20296-0000-7000-8000-000000000000").await;
        let shown = ada.open(&page).await;
        assert_eq!(shown.status, 404);
        assert_eq!(
            shown.between("role=\"alert\">", "</p>"),
            absent.between("role=\"alert\">", "</p>"),
            "nothing tells that it exists"
        );
        for (path, fields) in [
            ("", &[("name", "taken"), ("expiry", "never")][..]),
            ("/permissions", &[]),
            ("/suspend", &[]),
            ("/reactivate", &[]),
            ("/revoke", &[("confirm", "bob's own")]),
        ] {
            let shown = ada.submit(&format!("{page}{path}"), fields).await;
            assert_eq!(shown.status, 404, "{path}");
        }
        for (path, fields) in [
            ("/keys/selected", [("key", id), ("action", "suspend")]),
            ("/keys/selected", [("key", id), ("action", "revoke")]),
            (
                "/keys/selected/revoke",
                [("key", id), ("confirm", "revoke 1")],
            ),
        ] {
            let shown = ada.submit(path, &fields).await;
            // It is as if it had gone meanwhile.
            assert_eq!(shown.path, "/keys?done=none", "{path}");
        }
    }
    for path in ["/overview", "/overview/live"] {
        assert_eq!(ada.open(path).await.status, 403, "{path}");
    }
    ada.open("/keys").await.does_not_say("/overview");
    let service = world.service(&["keys:verify"]).await;
    assert_eq!(service.code_of(&bobs.text).await, "VALID");
}

async fn a_user_makes_keys_for_nobody_else_and_only_where_users_may(store: Kind) {
    let world = World::with(store, with_provider).await;
    let admin = world.admin().await;
    let closed = json!({"name": "billing", "prefix": "bill_", "permissions": ["PAY"]});
    admin.post("/api/keyspaces", closed).await.ok();
    let mut ada = signed_in_as(&world, "ada").await;
    let form = ada.open("/keys/new?keyspace=billing&user=bob").await;
    form.does_not_say("PAY");
    form.does_not_say("bob");
    let once = form.field("once");
    let refused_in = [("keywright", "keys:read"), ("billing", "PAY")];
    for (keyspace, permission) in refused_in {
        let fields = [
            ("once", once.as_str()),
            ("keyspace", keyspace),
            ("name", "too much"),
            ("permission", permission),
            ("user", "bob"),
            ("expiry", "never"),
        ];
        let shown = ada.submit("/keys", &fields).await;
        assert!(matches!(shown.status, 403 | 404 | 422), "{}", shown.html);
        shown.does_not_say("id=\"text\"");
    }
    let fields = [
        ("once", once.as_str()),
        ("keyspace", "default"),
        ("name", "ada's, whatever the form says"),
        ("user", "bob"),
        ("expiry", "never"),
    ];
    assert_eq!(ada.submit("/keys", &fields).await.status, 200);
    assert_eq!(world.user("bob").whole_list("/api/api-keys").await.len(), 0);
    assert_eq!(world.user("ada").whole_list("/api/api-keys").await.len(), 1);
    // Of a key that a back end made in a closed keyspace, users may change the name, and not what it can do.
    let backend = admin.with("keywright-user", "ada");
    let wanted = json!({"name": "paid for", "keyspace": "billing", "permissions": []});
    let given = backend.create(wanted).await;
    let page = format!("/keys/{}", given.id);
    let shown = ada.open(&page).await;
    assert_eq!(shown.status, 200);
    shown.says("decided by whoever runs this API");
    for field in ["permission", "metadata", "expiry"] {
        shown.does_not_say(&format!("name=\"{field}\""));
    }
    let renamed = [("name", "renamed"), ("description", "")];
    let shown = ada.submit(&page, &renamed).await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    shown.says("<h1>renamed</h1>");
    let fields = [("permission", "PAY")];
    let shown = ada.submit(&format!("{page}/permissions"), &fields).await;
    assert_eq!(shown.status, 403, "{}", shown.html);
    let longer = [("name", "paid for"), ("expiry", "90")];
    assert_eq!(ada.submit(&page, &longer).await.status, 403);
}

async fn a_timeline_names_nobody_to_a_user_but_themselves(store: Kind) {
    let world = World::with(store, with_provider).await;
    let key = world.user("ada").create_key("a key", &[]).await;
    let page = format!("/keys/{}", key.id);
    let (id, text) = world.service_key(&["keys:read", "keys:write"]).await;
    let mut operator = world.browser();
    operator.send("/sign-in", &[("key", &text)]).await;
    let second = Duration::from_secs(1);
    world.clock.advance(second);
    operator.submit(&format!("{page}/suspend"), &[]).await;
    world.clock.advance(second);
    let program = world.anonymous().bearer(&text);
    let reactivate = format!("{}/reactivate", key.path());
    program.act(&reactivate).await.ok();
    world.clock.advance(second);
    let mut ada = signed_in_as(&world, "ada").await;
    ada.submit(&format!("{page}/suspend"), &[]).await;
    let shown = ada.open(&page).await;
    let timeline = shown.between("<ol class=\"timeline\">", "</ol>");
    let who: Vec<_> = timeline.split(" by ").skip(1).collect();
    let who: Vec<_> = who
        .iter()
        .map(|rest| rest.split_once(',').unwrap().0)
        .collect();
    assert_eq!(
        who,
        ["you in the console", "a service key", "an operator", "you"]
    );
    shown.does_not_say(&id);
    shown.does_not_say("127.0.0.1");
}

async fn a_user_who_is_deleted_is_signed_out(store: Kind) {
    let world = World::with(store, with_provider).await;
    let mut ada = signed_in_as(&world, "ada").await;
    assert_eq!(ada.open("/keys").await.path, "/keys");
    world.admin().await.delete("/api/users/ada").await;
    assert_eq!(ada.open("/keys").await.path, "/sign-in");
}

async fn without_the_provider_or_its_group_nobody_is_what_it_made_them(store: Kind) {
    // The provider was taken away.
    let world = World::on(store).await;
    let mut ada = signed_in_as(&world, "ada").await;
    assert!(ada.open("/keys").await.path.starts_with("/sign-in"));
    // Its group was.
    let world = World::with(store, |settings| {
        with_provider(settings);
        if let Some(oidc) = &mut settings.oidc {
            oidc.admin_group = None;
        }
    })
    .await;
    let mut grace = signed_in_by(&world, "grace", true).await;
    assert_eq!(grace.open("/keys").await.status, 200);
    assert_eq!(grace.open("/service-keys").await.status, 403);
}
