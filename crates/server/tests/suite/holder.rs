//! What the holder of a key can do with it (CONTRACT §4.3).

use std::time::Duration;

use serde_json::json;

use crate::support::{Kind, World, on_both_stores};

on_both_stores![
    a_key_tells_its_holder_what_it_is,
    a_service_key_tells_its_holder_what_it_is,
    a_holder_is_told_why_a_key_is_not_good,
    a_jwt_is_no_key,
    a_holder_revokes_the_key_and_may_repeat_it,
    a_holder_revokes_a_suspended_or_expired_key,
    a_service_key_revokes_itself,
    a_key_of_a_deleted_user_is_nobodys,
];

async fn a_key_tells_its_holder_what_it_is(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &["READ_GRAPH"]).await;
    assert_eq!(
        world.holder(&key.text).get("/api/whoami").await.ok(),
        key.key
    );
    assert_eq!(
        world
            .anonymous()
            .bearer(&key.text)
            .get("/api/whoami")
            .await
            .ok(),
        key.key
    );
    let lower = world
        .anonymous()
        .with("authorization", &format!("bearer {}", key.text));
    assert_eq!(lower.get("/api/whoami").await.ok(), key.key);
}

async fn a_service_key_tells_its_holder_what_it_is(store: Kind) {
    let world = World::on(store).await;
    let (id, text) = world.service_key(&["keys:verify", "audit:read"]).await;
    let key = world.holder(&text).get("/api/whoami").await.ok();
    assert_eq!(
        (&key["id"], &key["keyspace"]),
        (&json!(id), &json!("keywright"))
    );
    assert_eq!(key["permissions"], json!(["keys:verify", "audit:read"]));
}

async fn a_holder_is_told_why_a_key_is_not_good(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let expires_at = world.clock.later(Duration::from_secs(1));
    let key = ada
        .create(json!({"name": "a", "permissions": [], "expires_at": expires_at}))
        .await;
    let holder = world.holder(&key.text);
    let told = async || {
        let answer = holder.get("/api/whoami").await;
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer error=\"invalid_token\"")
        );
        answer.refused(401, "invalid_token")["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        told().await,
        "this key is expired: ask for a new one, or for a later expiry"
    );
    ada.act(&format!("{}/suspend", key.path())).await.ok();
    assert_eq!(
        told().await,
        "this key is suspended: it works again once it is reactivated"
    );
    ada.delete(&key.path()).await.ok();
    assert_eq!(
        told().await,
        "this key is revoked, for good: ask for a new one"
    );
    let junk = world
        .holder("junk")
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
    assert_eq!(junk["detail"], "this is not a key of this server");
}

async fn a_jwt_is_no_key(store: Kind) {
    let world = World::on(store).await;
    world
        .user("ada")
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
    world
        .user("ada")
        .delete("/api/whoami")
        .await
        .refused(401, "invalid_token");
    // And it was not used: there is no such user yet.
    world
        .admin()
        .await
        .get("/api/users/ada")
        .await
        .refused(404, "not_found");
}

async fn a_holder_revokes_the_key_and_may_repeat_it(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    let holder = world.holder(&key.text);
    world.clock.advance(Duration::from_secs(1));
    let revoked = holder.delete("/api/whoami").await.ok();
    let mut expected = key.key.clone();
    expected["status"] = "REVOKED".into();
    expected["revoked_at"] = world.clock.text().into();
    expected["updated_at"] = world.clock.text().into();
    assert_eq!(revoked, expected);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(holder.delete("/api/whoami").await.ok(), expected);
    assert_eq!(world.admin().await.code_of(&key.text).await, "REVOKED");
    holder
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
}

async fn a_holder_revokes_a_suspended_or_expired_key(store: Kind) {
    let world = World::on(store).await;
    let ada = world.user("ada");
    let suspended = ada.create_key("a", &[]).await;
    ada.act(&format!("{}/suspend", suspended.path())).await.ok();
    let expires_at = world.clock.later(Duration::from_secs(1));
    let expired = ada
        .create(json!({"name": "a", "permissions": [], "expires_at": expires_at}))
        .await;
    world.clock.advance(Duration::from_secs(1));
    for key in [suspended, expired] {
        let revoked = world.holder(&key.text).delete("/api/whoami").await.ok();
        assert_eq!(revoked["status"], "REVOKED");
    }
}

async fn a_service_key_revokes_itself(store: Kind) {
    let world = World::on(store).await;
    let (_, text) = world.service_key(&["keys:verify"]).await;
    let holder = world.anonymous().bearer(&text);
    let revoked = holder.delete("/api/whoami").await.ok();
    assert_eq!(
        (&revoked["status"], &revoked["keyspace"]),
        (&json!("REVOKED"), &json!("keywright"))
    );
    let problem = holder
        .post("/api/verify", json!({"key": "a"}))
        .await
        .refused(401, "invalid_token");
    assert_eq!(
        problem["detail"],
        "this key is revoked, for good: ask for a new one"
    );
    assert_eq!(holder.delete("/api/whoami").await.ok(), revoked);
}

async fn a_key_of_a_deleted_user_is_nobodys(store: Kind) {
    let world = World::on(store).await;
    let key = world.user("ada").create_key("a", &[]).await;
    assert_eq!(
        world.admin().await.delete("/api/users/ada").await.status,
        204
    );
    world
        .holder(&key.text)
        .get("/api/whoami")
        .await
        .refused(401, "invalid_token");
    world
        .holder(&key.text)
        .delete("/api/whoami")
        .await
        .refused(401, "invalid_token");
}
