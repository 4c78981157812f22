//! Users, as an administrator sees them (CONTRACT §4.4).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Kind, World, on_both_stores};

on_both_stores![
    users_are_listed_newest_first_with_the_number_of_their_keys,
    following_the_links_gives_every_user_once,
    a_users_keys_are_listed_with_filters_and_pages,
    an_id_is_percent_encoded_in_the_path,
    a_deleted_user_takes_the_keys_along,
    a_user_who_comes_back_is_new_and_has_no_keys,
    a_user_who_is_not_there_is_not_found,
    a_deletion_takes_nobody_elses_keys,
    a_key_that_is_made_while_its_user_is_deleted_is_whole_or_gone,
];

async fn users_are_listed_newest_first_with_the_number_of_their_keys(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    assert_eq!(admin.get("/api/users").await.ok(), json!([]));
    let ada = world.user("ada");
    for _ in 0..2 {
        ada.create_key("a", &[]).await;
    }
    let revoked = ada.create_key("a", &[]).await;
    ada.delete(&revoked.path()).await.ok();
    world.clock.advance(Duration::from_secs(1));
    admin.acting_for("bob").create_key("a", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    world.user("cyd").get("/api/keyspaces").await.ok();
    assert_eq!(
        admin.get("/api/users").await.ok(),
        json!([
            {"id": "cyd", "created_at": "2026-11-22T09:00:02.000000Z", "api_keys": 0},
            {"id": "bob", "created_at": "2026-11-22T09:00:01.000000Z", "api_keys": 1},
            {"id": "ada", "created_at": "2026-11-22T09:00:00.000000Z", "api_keys": 3},
        ])
    );
}

async fn following_the_links_gives_every_user_once(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let mut made = Vec::new();
    for ids in [&["ä/ö", "a", "b|c"][..], &["z"], &["A", "ab", "a b"]] {
        for id in ids {
            world.user(id).get("/api/keyspaces").await.ok();
            made.push((world.clock.text(), *id));
        }
        world.clock.advance(Duration::from_micros(1));
    }
    for limit in 1..=8 {
        let listed = admin.whole_list(&format!("/api/users?limit={limit}")).await;
        let times: Vec<_> = listed
            .iter()
            .map(|user| user["created_at"].as_str().unwrap())
            .collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
        let mut found: Vec<_> = listed
            .iter()
            .map(|user| {
                (
                    user["created_at"].as_str().unwrap().to_owned(),
                    user["id"].as_str().unwrap(),
                )
            })
            .collect();
        found.sort_unstable();
        let mut expected = made.clone();
        expected.sort_unstable();
        assert_eq!(found, expected, "limit {limit}");
    }
    admin
        .get("/api/users?limit=0")
        .await
        .refused(422, "validation_failed");
    admin
        .get("/api/users?cursor=AAAA")
        .await
        .refused(422, "validation_failed");
    admin
        .get("/api/users?name=a")
        .await
        .refused(422, "validation_failed");
}

async fn a_users_keys_are_listed_with_filters_and_pages(store: Kind) {
    let world = World::on(store).await;
    let admin = world.service(&["users:read"]).await;
    let ada = world.user("ada");
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.insert(0, ada.create_key(name, &[]).await.key);
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(admin.get("/api/users/ada/api-keys").await.ok(), json!(made));
    assert_eq!(
        admin.whole_list("/api/users/ada/api-keys?limit=1").await,
        made
    );
    assert_eq!(
        admin
            .whole_list("/api/users/ada/api-keys?status=REVOKED")
            .await,
        Vec::<Value>::new()
    );
    admin
        .get("/api/users/ada/api-keys?staus=REVOKED")
        .await
        .refused(422, "validation_failed");
}

async fn an_id_is_percent_encoded_in_the_path(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for (id, encoded) in [
        ("ä/ö ?#%", "%C3%A4%2F%C3%B6%20%3F%23%25"),
        ("auth0|a", "auth0%7Ca"),
        ("a b", "a%20b"),
    ] {
        let first = world.user(id).create_key("a", &[]).await;
        world.clock.advance(Duration::from_secs(1));
        let second = world.user(id).create_key("b", &[]).await;
        let path = format!("/api/users/{encoded}");
        assert_eq!(admin.get(&path).await.ok()["id"], id);
        let listed = admin.whole_list(&format!("{path}/api-keys?limit=1")).await;
        assert_eq!(listed, [second.key, first.key]);
        assert_eq!(admin.delete(&path).await.status, 204);
    }
}

async fn a_deleted_user_takes_the_keys_along(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let ada = world.user("ada");
    let active = ada.create_key("a", &[]).await;
    let revoked = ada.create_key("b", &[]).await;
    ada.delete(&revoked.path()).await.ok();
    let answer = admin.delete("/api/users/ada").await;
    assert_eq!((answer.status, &*answer.body), (204, ""));
    for key in [&active, &revoked] {
        assert_eq!(
            admin.verify(json!({"key": key.text})).await,
            json!({"valid": false, "code": "NOT_FOUND"})
        );
        admin.get(&key.path()).await.refused(404, "not_found");
        admin
            .act(&format!("{}/suspend", key.path()))
            .await
            .refused(404, "not_found");
    }
    admin.get("/api/users/ada").await.refused(404, "not_found");
    admin
        .get("/api/users/ada/api-keys")
        .await
        .refused(404, "not_found");
    admin
        .delete("/api/users/ada")
        .await
        .refused(404, "not_found");
}

async fn a_user_who_comes_back_is_new_and_has_no_keys(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let ada = world.user("ada");
    ada.create_key("a", &[]).await;
    admin.delete("/api/users/ada").await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ada.get("/api/api-keys").await.ok(), json!([]));
    let expected = json!({"id": "ada", "created_at": "2026-11-22T09:00:01.000000Z", "api_keys": 0});
    assert_eq!(admin.get("/api/users/ada").await.ok(), expected);
    let again = ada.create_key("b", &[]).await;
    assert_eq!(admin.code_of(&again.text).await, "VALID");
}

async fn a_user_who_is_not_there_is_not_found(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    for id in ["nobody", &"x".repeat(256), "%00", "%FF"] {
        let path = format!("/api/users/{id}");
        let problem = admin.get(&path).await.refused(404, "not_found");
        assert_eq!(
            problem["detail"],
            "there is no such user; a user appears at first use"
        );
        admin.delete(&path).await.refused(404, "not_found");
        admin
            .get(&format!("{path}/api-keys"))
            .await
            .refused(404, "not_found");
    }
}

async fn a_deletion_takes_nobody_elses_keys(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let key = world.user("Ada").create_key("a", &[]).await;
    world.user("ada").create_key("a", &[]).await;
    admin.delete("/api/users/ada").await;
    assert_eq!(admin.code_of(&key.text).await, "VALID");
    assert_eq!(admin.get("/api/users/Ada").await.ok()["api_keys"], 1);
}

async fn a_key_that_is_made_while_its_user_is_deleted_is_whole_or_gone(store: Kind) {
    let world = World::on(store).await;
    let admin = world.admin().await;
    let ada = admin.acting_for("ada");
    ada.create_key("a", &[]).await;
    for _ in 0..10 {
        let (key, deleted) = tokio::join!(ada.create_key("a", &[]), admin.delete("/api/users/ada"));
        assert!(matches!(deleted.status, 204 | 404), "{deleted:?}");
        let user = admin.get("/api/users/ada").await;
        let code = admin.code_of(&key.text).await;
        if user.status == 200 {
            assert_eq!((&user.json()["api_keys"], &*code), (&json!(1), "VALID"));
            admin.delete("/api/users/ada").await;
        } else {
            assert_eq!(code, "NOT_FOUND");
        }
    }
}
