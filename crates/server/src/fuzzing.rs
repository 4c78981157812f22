//! What the fuzz targets reach of this crate: not part of its interface.

use std::sync::Arc;
use std::time::Duration;

use keywright_api::{
    CreateKey, CreateKeyspace, PatchKey, PatchKeyspace, ReplacePermissions, VerifyBatch, VerifyKey,
};
use keywright_core::ambient::Clock;
use keywright_core::timestamp::Timestamp;
use keywright_store::{Position, UserPosition};

use crate::extract::parse_json;
use crate::jwt::JwtVerifier;
use crate::paging::Cursor;
use crate::problem::Problem;
use crate::settings::JwtSettings;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_795_338_000_000_000)
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

/// Whether a server with a secret that nobody knows takes this token.
pub fn takes_jwt(token: &str) -> bool {
    let secret = Some(
        "a secret of this test that no input holds"
            .to_owned()
            .into(),
    );
    let verifier = JwtVerifier::new(
        &JwtSettings {
            secret,
            ..JwtSettings::default()
        },
        Duration::ZERO,
        Arc::new(Standing),
    );
    futures::executor::block_on(verifier.verify(token)).is_ok()
}

/// The text as a cursor of each list, encoded again.
pub fn cursors(text: &str) -> [Option<String>; 2] {
    [
        Position::decode(text).map(|place| place.encode()),
        UserPosition::decode(text).map(|place| place.encode()),
    ]
}

/// With which status, and in which words, each body refuses these bytes.
pub fn bodies(data: &[u8]) -> [Option<(u16, String)>; 7] {
    let answer = |refused: Option<Problem>| {
        refused.map(|problem| (problem.status().as_u16(), format!("{problem:?}")))
    };
    [
        answer(parse_json::<CreateKey>(data).err()),
        answer(parse_json::<PatchKey>(data).err()),
        answer(parse_json::<ReplacePermissions>(data).err()),
        answer(parse_json::<VerifyKey>(data).err()),
        answer(parse_json::<VerifyBatch>(data).err()),
        answer(parse_json::<CreateKeyspace>(data).err()),
        answer(parse_json::<PatchKeyspace>(data).err()),
    ]
}
