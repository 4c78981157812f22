//! What strangers can send, taken apart: each function takes any bytes and panics only for a defect.
//!
//! `tests/smoke.rs` gives each of them random and nearly right input with every test run; `scripts/fuzz NAME`
//! searches for days, guided by coverage.

use keywright_core::identifier::{KeyPrefix, KeyspaceName, PermissionName, UserId};
use keywright_core::key_text::{TagKeys, WellFormed};
use keywright_core::permission::{Catalogue, Permission};
use keywright_core::timestamp::Timestamp;
use keywright_server::fuzzing;

/// The text of a key: what parses has a well-formed prefix, and a tag never panics.
pub fn key_text(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Some(parsed) = WellFormed::parse(text) else {
        return;
    };
    assert!(KeyPrefix::new(parsed.prefix()).is_ok());
    assert!(text.starts_with(parsed.prefix()));
    let tag_keys = TagKeys::from_bytes(&[7; 32]).expect("32 bytes are one tag key");
    assert!(!tag_keys.made(&parsed) || text.len() > 49);
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

/// A body: it is taken or refused with 400 or 422, and what it holds is not echoed whole.
pub fn json_bodies(data: &[u8]) {
    for status in fuzzing::bodies(data).into_iter().flatten() {
        assert!(status == 400 || status == 422, "answered {status}");
    }
}
