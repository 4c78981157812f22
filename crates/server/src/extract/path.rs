//! What stands in a path. A thing that cannot exist is answered as one that does not.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use uuid::Uuid;

use crate::problem::Problem;
use crate::state::AppState;

/// `{key_id}`.
pub(crate) struct KeyIdPath(pub(crate) KeyId);

/// `{name}` of a keyspace.
pub(crate) struct NamePath(pub(crate) KeyspaceName);

/// `{id}` of a user.
pub(crate) struct UserIdPath(pub(crate) UserId);

/// The one parameter of a path, percent-decoded; `None` where it is no UTF-8.
async fn parameter(parts: &mut Parts, state: &AppState) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().next().map(|(_, value)| value.to_owned())
}

pub(crate) fn no_such_key() -> Problem {
    Problem::not_found("there is no such key")
}

pub(crate) fn no_such_keyspace() -> Problem {
    Problem::not_found("there is no such keyspace; GET /api/keyspaces lists them")
}

pub(crate) fn no_such_user() -> Problem {
    Problem::not_found("there is no such user; a user appears at first use")
}

impl FromRequestParts<AppState> for KeyIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let text = parameter(parts, state).await.unwrap_or_default();
        // The one form that answers show; other spellings of a UUID would be other URLs of the same key.
        let id = Uuid::try_parse(&text)
            .ok()
            .filter(|_| text.len() == 36)
            .ok_or_else(no_such_key)?;
        Ok(Self(KeyId(id)))
    }
}

impl FromRequestParts<AppState> for NamePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let text = parameter(parts, state).await.unwrap_or_default();
        KeyspaceName::new(text)
            .map(Self)
            .map_err(|_| no_such_keyspace())
    }
}

impl FromRequestParts<AppState> for UserIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let text = parameter(parts, state).await.unwrap_or_default();
        UserId::new(text).map(Self).map_err(|_| no_such_user())
    }
}
