//! What time and restarts change, and what they do not.

use std::time::Duration;

use keywright_core::timestamp::Timestamp;
use serde_json::json;

use crate::support::{World, assert_whole, eventually, now, on_both_stores};

on_both_stores! {
    an_expiring_key_is_good_until_its_moment_and_not_after
    a_restart_keeps_everything
    the_last_use_of_a_key_is_written_soon
}

fn an_expiring_key_is_good_until_its_moment_and_not_after(world: &World) {
    // It must still be to come when the key is made, on a machine that stalls.
    let moment = now() + Duration::from_secs(5);
    let micros = i64::try_from(moment.as_micros()).unwrap();
    let moment = Duration::from_micros(moment.as_micros().try_into().unwrap());
    let expires_at = Timestamp::from_micros(micros).to_string();
    let ada = world.user("ada");
    let key =
        ada.create(&json!({"name": "for a moment", "permissions": [], "expires_at": expires_at}));
    assert_eq!(key.shown["expires_at"], expires_at);

    eventually("the key expires", || {
        let asked = now();
        let code = world.admin().verify(&key);
        let answered = now();
        match code.as_str() {
            "VALID" => assert!(asked < moment, "{key:?} was good after its end"),
            "EXPIRED" => assert!(answered >= moment, "{key:?} was expired before its end"),
            code => panic!("{code}"),
        }
        (code == "EXPIRED").then_some(())
    });
    assert_eq!(ada.get(&key.path()).ok()["status"], "ACTIVE");
    assert!(
        world
            .holder(&key.text)
            .get("/api/whoami")
            .problem(401, "invalid_token")
            .contains("expired")
    );

    // A later end makes it good again: expiry is no state.
    ada.patch(&key.path(), &json!({"expires_at": "2999-01-01T00:00:00Z"}))
        .ok();
    assert_eq!(world.admin().verify(&key), "VALID");
    let past = json!({"expires_at": "2001-01-01T00:00:00Z"});
    ada.patch(&key.path(), &past)
        .problem(422, "validation_failed");
}

fn a_restart_keeps_everything(world: &World) {
    let ada = world.user("ada");
    let keys = ["active", "suspended", "revoked"].map(|name| ada.key(name));
    ada.suspend(&keys[1]);
    ada.revoke(&keys[2]);
    world.admin().post(
        "/api/keyspaces",
        &json!({"name": "live", "prefix": "sk_live_"}),
    );
    let all = [
        "/api/users",
        "/api/keyspaces",
        "/api/audit",
        "/api/users/ada/api-keys",
    ];
    let before = all.map(|path| world.admin().get(path).ok());

    world.restart();
    assert_eq!(all.map(|path| world.admin().get(path).ok()), before);
    // The JWT of before is good: the secret was kept.
    assert_eq!(ada.get("/api/api-keys").ok(), before[3]);
    for (key, code) in keys.iter().zip(["VALID", "SUSPENDED", "REVOKED"]) {
        assert_eq!(world.admin().verify(key), code);
    }
    assert!(
        !world.node.printed().contains("service key"),
        "{}",
        world.node.printed()
    );
    assert_whole(&world.database);
}

fn the_last_use_of_a_key_is_written_soon(world: &World) {
    let ada = world.user("ada");
    let (used, unused) = (ada.key("used"), ada.key("unused"));
    assert_eq!(used.shown["last_used_at"], json!(null));
    let asked = now();
    assert_eq!(world.admin().verify(&used), "VALID");
    let written = eventually("the use is written", || {
        ada.get(&used.path()).ok()["last_used_at"]
            .as_str()
            .map(str::to_owned)
    });
    let written = Timestamp::parse(&written).unwrap().as_micros();
    assert!(i128::from(written) >= i128::try_from(asked.as_micros()).unwrap());
    assert_eq!(ada.get(&unused.path()).ok()["last_used_at"], json!(null));
}
