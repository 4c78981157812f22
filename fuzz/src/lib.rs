//! What strangers can send, taken apart: each function takes any bytes and panics only for a defect.
//!
//! `tests/smoke.rs` gives each of them random and nearly right input with every test run; `scripts/fuzz NAME`
//! searches for days, guided by coverage.

use keywright_core::identifier::{KeyPrefix, KeyspaceName, PermissionName, UserId};
use keywright_core::key_text::{TagKeys, WellFormed, is_within};
use keywright_core::permission::{Catalogue, Permission};
use keywright_core::timestamp::Timestamp;
use keywright_server::fuzzing;

/// The text of a key: what parses has a well-formed prefix, and none that somebody else made has a tag of ours.
pub fn key_text(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Some(parsed) = WellFormed::parse(text) else {
        return;
    };
    assert!(KeyPrefix::new(parsed.prefix()).is_ok());
    assert!(text.starts_with(parsed.prefix()));
    assert!(is_within(text), "a key was not recognised within itself");
    let tag_keys = TagKeys::from_bytes(&[7; 32]).expect("32 bytes are one tag key");
    assert!(!tag_keys.made(&parsed), "a made-up tag was taken");
}

/// A JWT: none that this made up is taken.
pub fn jwt(data: &[u8]) {
    let Ok(token) = str::from_utf8(data) else {
        return;
    };
    assert!(!fuzzing::takes_jwt(token), "a made-up token was taken");
}

/// A cursor of each list: what decodes encodes to what it was.
pub fn cursor(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    for encoded in fuzzing::cursors(text).into_iter().flatten() {
        assert_eq!(encoded, text);
    }
}

/// Names of permissions and all else that has a pattern: what is taken is within its bounds, and granted as asked.
pub fn permission_names(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let names: Vec<&str> = text.split('\n').collect();
    for name in &names {
        let _ = (
            KeyspaceName::new(*name),
            KeyPrefix::new(*name),
            UserId::new(*name),
            Timestamp::parse(name),
        );
    }
    let good = names
        .iter()
        .filter_map(|name| PermissionName::new(*name).ok());
    let Ok(catalogue) = Catalogue::new(good.map(|name| Permission {
        name,
        description: None,
    })) else {
        return;
    };
    if let Ok(grants) = catalogue.grant(&names) {
        assert!(catalogue.missing(grants, &names).is_empty());
        assert_eq!(catalogue.names(grants).count(), names.len());
    }
}

/// A body: it is taken, or refused with 400 or 422 in words that repeat nothing as long as a secret.
pub fn json_bodies(data: &[u8]) {
    let long = data
        .split(|byte| !byte.is_ascii_alphanumeric())
        .filter(|run| run.len() > 40)
        .map(|run| str::from_utf8(run).expect("letters and digits are UTF-8"));
    let long: Vec<&str> = long.collect();
    for (status, text) in fuzzing::bodies(data).into_iter().flatten() {
        assert!(status == 400 || status == 422, "answered {status}");
        assert!(
            !long.iter().any(|run| text.contains(run)),
            "echoed in {text}"
        );
    }
}
