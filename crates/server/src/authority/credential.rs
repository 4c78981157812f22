//! What a request presents, and what becomes of it when it is not good.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use keywright_api::ErrorCode;
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::keyspace::{Operation, SERVICE};
use keywright_core::permission::Grants;
use keywright_core::{decision, decision::Question};
use keywright_engine::{Decision, Found};

use crate::exchange::Exchange;
use crate::jwt::JwtError;
use crate::problem::Problem;
use crate::state::AppState;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const USER: HeaderName = HeaderName::from_static("keywright-user");

/// The one credential of a request.
pub(crate) struct Credential<'a> {
    pub(crate) text: &'a str,
    /// Whether it may be a JWT: it stood in `Authorization` and has the three parts of one.
    pub(crate) is_jwt: bool,
}

/// A service key that was found good.
#[derive(Debug, Clone)]
pub(crate) struct ServiceKey {
    pub(crate) id: KeyId,
    pub(crate) grants: Grants,
}

/// Reads the one credential of a request (CONTRACT §4.1).
///
/// # Errors
/// 400 for two of them, a JWT and a user to act for among those; 401 for none, and for a scheme other than `Bearer`.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Credential<'_>, Problem> {
    let mut bearers = headers.get_all(AUTHORIZATION).iter();
    let mut keys = headers.get_all(API_KEY).iter();
    let (value, from_bearer) = match (bearers.next(), bearers.next(), keys.next(), keys.next()) {
        (Some(value), None, None, None) => (value, true),
        (None, None, Some(value), None) => (value, false),
        (None, None, None, None) => {
            return Err(missing());
        }
        _ => {
            return Err(Problem::new(
                ErrorCode::ConflictingCredentials,
                "send one credential, in one header: Authorization or X-API-Key",
            ));
        }
    };
    let malformed = || {
        Problem::invalid_token("the credential must be Authorization: Bearer …, or X-API-Key: …")
    };
    let text = value.to_str().map_err(|_| malformed())?;
    if !from_bearer {
        return Ok(Credential {
            text: text.trim(),
            is_jwt: false,
        });
    }
    let (scheme, token) = text.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        // RFC 6750 §3.1: no credential of ours was sent, so none is called wrong.
        return Err(missing());
    }
    let text = token.trim();
    let is_jwt = text.bytes().filter(|&byte| byte == b'.').count() == 2;
    if is_jwt && headers.contains_key(USER) {
        return Err(Problem::new(
            ErrorCode::ConflictingCredentials,
            "a JWT acts for its own user: leave out Keywright-User",
        ));
    }
    Ok(Credential { text, is_jwt })
}

fn missing() -> Problem {
    Problem::missing_credentials("send a credential: Authorization: Bearer …, or X-API-Key: …")
}

/// The user that a service key acts for, if it names one.
///
/// # Errors
/// 400 where it names several, 422 where the id is not well-formed.
pub(crate) fn acting_for(headers: &HeaderMap) -> Result<Option<UserId>, Problem> {
    let mut values = headers.get_all(USER).iter();
    let (Some(value), more) = (values.next(), values.next()) else {
        return Ok(None);
    };
    if more.is_some() {
        return Err(Problem::new(
            ErrorCode::ConflictingCredentials,
            "name one user in Keywright-User",
        ));
    }
    let refused = |detail: String| Problem::invalid_field("Keywright-User", detail);
    let id = str::from_utf8(value.as_bytes()).map_err(|_| refused("must be UTF-8".to_owned()))?;
    UserId::new(id)
        .map(Some)
        .map_err(|error| refused(error.to_string()))
}

/// Finds a service key good for `operation`.
///
/// # Errors
/// 401 where it is not good, 403 where it lacks the operation, 503 where the store cannot tell.
pub(crate) async fn service_key(
    text: &str,
    operation: Operation,
    state: &AppState,
) -> Result<ServiceKey, Problem> {
    let question = Question {
        permissions: &[operation.name()],
        keyspace: Some(SERVICE),
    };
    let admit = |decision: Decision<'_>| admitted(decision, operation);
    state.verifier.verify(text, &question, admit).await?
}

/// [`service_key`] as far as memory knows; `None` where it does not.
pub(crate) fn service_key_from_memory(
    text: &str,
    operation: Operation,
    state: &AppState,
) -> Option<Result<ServiceKey, Problem>> {
    let question = Question {
        permissions: &[operation.name()],
        keyspace: Some(SERVICE),
    };
    let admit = |decision: Decision<'_>| admitted(decision, operation);
    state.verifier.decide_from_memory(text, &question, admit)
}

/// The service key, if it is good for what was asked.
fn admitted(decision: Decision<'_>, operation: Operation) -> Result<ServiceKey, Problem> {
    let Some(Found { key, .. }) = decision.found else {
        return Err(Problem::invalid_token(
            "this is not a service key of this server",
        ));
    };
    match decision.code {
        decision::Code::Valid => Ok(ServiceKey {
            id: key.id(),
            grants: key.grants(),
        }),
        decision::Code::InsufficientPermissions => {
            Err(Problem::insufficient_scope(&[operation.name()]))
        }
        code => Err(not_good(code)),
    }
}

/// Tells the holder of a key why it is not good.
pub(crate) fn not_good(code: decision::Code) -> Problem {
    Problem::invalid_token(match code {
        decision::Code::Revoked => "this key is revoked, for good: ask for a new one",
        decision::Code::Suspended => "this key is suspended: it works again once it is reactivated",
        decision::Code::Expired => "this key is expired: ask for a new one, or for a later expiry",
        decision::Code::NotFound
        | decision::Code::InsufficientPermissions
        | decision::Code::Valid => "this is not a key of this server",
    })
}

/// Recognises a user by a JWT.
///
/// # Errors
/// 401 where it is not good, 503 where the identity provider's keys cannot be had.
pub(crate) async fn user(text: &str, state: &AppState) -> Result<UserId, Problem> {
    match state.jwt.verify(text).await {
        Ok(user) => {
            state.store.ensure_user(&user, state.clock.now()).await?;
            Ok(user)
        }
        Err(JwtError::Invalid(why)) => Err(Problem::invalid_token(format!(
            "the JWT is not good: {why}"
        ))),
        Err(JwtError::NoKeys) => Err(Problem::unavailable(
            "the identity provider's public keys cannot be had now; try again",
        )),
    }
}

/// Counts a credential that was not good against its source, and answers 429 where there were too many.
pub(crate) fn count_failure(problem: Problem, parts: &Parts, state: &AppState) -> Problem {
    if problem.code() != ErrorCode::InvalidToken {
        return problem;
    }
    metrics::counter!("keywright_failed_authentications_total").increment(1);
    let Some(exchange) = parts.extensions.get::<Exchange>() else {
        return problem;
    };
    match state.failures.count(exchange.source, state.clock.uptime()) {
        Ok(()) => problem,
        Err(wait) => Problem::too_many_failures(wait),
    }
}
