//! Lists of keys: order, filters and pages (CONTRACT §4.1).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Kind, World, on_both_stores, pointers};

on_both_stores![
    keys_are_listed_newest_first_and_then_by_id,
    every_status_is_listed,
    keys_can_be_filtered_by_status_and_keyspace,
    following_the_links_gives_the_whole_list,
    a_list_that_fits_has_no_link,
    a_link_keeps_the_filters,
    a_page_goes_on_where_the_last_one_ended_whatever_was_made_meanwhile,
    five_hundred_keys_are_listed_when_no_limit_is_given,
    a_limit_must_be_a_whole_number_from_1_to_500,
    parameters_that_cannot_be_are_refused_all_at_once,
    a_misspelt_filter_is_refused,
    a_cursor_reaches_no_key_of_another_user,
];

fn ids(list: &[Value]) -> Vec<&str> {
    list.iter().map(|key| key["id"].as_str().unwrap()).collect()
}

/// Keys made at three moments, several at each; their ids, newest first and then by id.
async fn many_keys(world: &World) -> Vec<String> {
    let ada = world.user("ada");
    let mut made = Vec::new();
    for count in [4, 1, 3] {
        for _ in 0..count {
            made.push((world.clock.text(), ada.create_key("a", &[]).await.id));
        }
        world.clock.advance(Duration::from_micros(1));
    }
    made.sort();
    made.into_iter().rev().map(|(_, id)| id).collect()
}

async fn keys_are_listed_newest_first_and_then_by_id(store: Kind) {
    let world = World::on(store).await;
    let made = many_keys(&world).await;
    let listed = world.user("ada").get("/api/api-keys").await.ok();
    assert_eq!(ids(listed.as_array().unwrap()), made);
}

async fn every_status_is_listed(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let active = ada.create_key("active", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    let suspended = ada.create_key("suspended", &["READ_BLOCK"]).await;
    let suspended = ada.act(&format!("{}/suspend", suspended.path())).await.ok();
    world.clock.advance(Duration::from_secs(1));
    let revoked = ada.create_key("revoked", &[]).await;
    let revoked = ada.delete(&revoked.path()).await.ok();
    let listed = ada.get("/api/api-keys").await.ok();
    assert_eq!(listed, json!([revoked, suspended, active.key]));
}

async fn keys_can_be_filtered_by_status_and_keyspace(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    admin
        .post(
            "/api/keyspaces",
            json!({"name": "live", "prefix": "sk_live_", "self_service": true}),
        )
        .await
        .ok();
    let ada = world.user("ada");
    let live = ada
        .create(json!({"name": "live", "permissions": [], "keyspace": "live"}))
        .await;
    world.clock.advance(Duration::from_secs(1));
    let old = ada
        .create(json!({"name": "old", "permissions": [], "keyspace": "live"}))
        .await;
    let old = ada.delete(&old.path()).await.ok();
    world.clock.advance(Duration::from_secs(1));
    let other = ada.create_key("other", &[]).await;

    let list = async |query: &str| ada.get(&format!("/api/api-keys?{query}")).await.ok();
    assert_eq!(list("status=ACTIVE").await, json!([other.key, live.key]));
    assert_eq!(list("status=REVOKED").await, json!([old]));
    assert_eq!(list("status=SUSPENDED").await, json!([]));
    assert_eq!(list("keyspace=live").await, json!([old, live.key]));
    assert_eq!(list("keyspace=live&status=ACTIVE").await, json!([live.key]));
    assert_eq!(list("keyspace=default").await, json!([other.key]));
    assert_eq!(list("keyspace=nowhere").await, json!([]));
    ada.get("/api/api-keys?keyspace=keywright")
        .await
        .refused(403, "service_key_required");
}

async fn following_the_links_gives_the_whole_list(store: Kind) {
    let world = World::on(store).await;
    let made = many_keys(&world).await;
    for limit in 1..=9 {
        let pages = world
            .user("ada")
            .pages(&format!("/api/api-keys?limit={limit}"))
            .await;
        assert_eq!(ids(&pages.concat()), made, "limit {limit}");
        let sizes: Vec<_> = pages.iter().map(Vec::len).collect();
        let expected: Vec<_> = made.chunks(limit).map(<[String]>::len).collect();
        assert_eq!(sizes, expected);
    }
}

async fn a_list_that_fits_has_no_link(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    assert_eq!(ada.get("/api/api-keys").await.next_page(), None);
    ada.create_key("a", &[]).await;
    assert_eq!(ada.get("/api/api-keys?limit=1").await.next_page(), None);
}

async fn a_link_keeps_the_filters(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    for name in ["a", "b", "c", "d"] {
        ada.create_key(name, &[]).await;
        let revoked = ada.create_key(name, &[]).await;
        ada.delete(&revoked.path()).await.ok();
    }
    let first = ada
        .get("/api/api-keys?status=REVOKED&limit=1&keyspace=default")
        .await;
    let next = first.next_page().unwrap();
    assert!(
        next.starts_with("/api/api-keys?status=REVOKED&keyspace=default&limit=1&cursor="),
        "{next}"
    );
    let listed = ada.whole_list("/api/api-keys?status=REVOKED&limit=1").await;
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|key| key["status"] == "REVOKED"));
}

async fn a_page_goes_on_where_the_last_one_ended_whatever_was_made_meanwhile(store: Kind) {
    let world = World::on(store).await;
    let made = many_keys(&world).await;
    let ada = world.user("ada");
    let first = ada.get("/api/api-keys?limit=3").await;
    ada.create_key("newer", &[]).await;
    let rest = ada.whole_list(&first.next_page().unwrap()).await;
    assert_eq!(ids(&rest), made[3..]);
}

async fn five_hundred_keys_are_listed_when_no_limit_is_given(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    for _ in 0..51 {
        let some = [(); 10].map(|()| ada.create_key("a", &[]));
        futures::future::join_all(some).await;
    }
    let pages = ada.pages("/api/api-keys").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [500, 10]);
    let most = ada.pages("/api/api-keys?limit=500").await;
    assert_eq!(pages, most);
    let all = pages.concat();
    let mut all = ids(&all);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 510);
}

async fn a_limit_must_be_a_whole_number_from_1_to_500(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    for limit in [
        "0",
        "501",
        "-1",
        "1.5",
        "",
        "a",
        "%201",
        "99999999999999999999",
    ] {
        let answer = ada.get(&format!("/api/api-keys?limit={limit}")).await;
        let problem = answer.refused(422, "validation_failed");
        let detail = "must be a whole number from 1 to 500";
        assert_eq!(
            problem["errors"],
            json!([{"pointer": "?limit", "detail": detail}])
        );
    }
}

async fn parameters_that_cannot_be_are_refused_all_at_once(store: Kind) {
    let world = World::on(store).await;
    let answer = world
        .user("ada")
        .get("/api/api-keys?status=EXPIRED&keyspace=A&limit=0&cursor=x")
        .await;
    let problem = answer.refused(422, "validation_failed");
    assert_eq!(
        pointers(&problem),
        ["?status", "?keyspace", "?limit", "?cursor"]
    );
    assert_eq!(
        problem["errors"][0]["detail"],
        "must be ACTIVE, SUSPENDED or REVOKED"
    );
    let detail = "must be the cursor of an earlier answer's Link header, unchanged";
    assert_eq!(problem["errors"][3]["detail"], detail);
}

async fn a_misspelt_filter_is_refused(store: Kind) {
    let world = World::on(store).await;
    let answer = world.user("ada").get("/api/api-keys?staus=ACTIVE").await;
    let problem = answer.refused(422, "validation_failed");
    assert_eq!(pointers(&problem), ["?"]);
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("`status`, `keyspace`, `limit`, `cursor`"),
        "{detail}"
    );
    world
        .user("ada")
        .get("/api/api-keys?limit=1&limit=2")
        .await
        .refused(422, "validation_failed");
}

async fn a_cursor_reaches_no_key_of_another_user(store: Kind) {
    let world = World::on(store).await;
    many_keys(&world).await;
    let next = world
        .user("ada")
        .get("/api/api-keys?limit=1")
        .await
        .next_page()
        .unwrap();
    let eve = world.user("eve");
    assert_eq!(eve.get(&next).await.ok(), json!([]));
}
