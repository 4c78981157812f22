//! `/sign-in/provider` and `/sign-in/callback`: users sign in with the identity provider. Somebody goes there with an
//! attempt that only this browser keeps, comes back with a code, and is whom the provider then names.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use keywright_store::console::SignedIn;
use serde::Deserialize;

use super::flow::{self, Flow};
use super::sign_in::{self, CameFrom, begin};
use crate::attribution::Provenance;
use crate::authority::credential;
use crate::oidc::{Identity, Provider, SignInError};
use crate::problem::Problem;
use crate::source::is_secure;
use crate::state::AppState;

/// What a redirect of a sign-in is made of: nobody keeps it.
const NOT_KEPT: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// `GET /sign-in/provider`
pub(super) async fn go(
    State(state): State<AppState>,
    Query(from): Query<CameFrom>,
    parts: Parts,
) -> Result<Response, Problem> {
    let provider = provider(&state)?;
    let (url, attempt) = match provider.begin(&*state.entropy).await {
        Ok(begun) => begun,
        Err(error) => {
            let problem = told(error, provider);
            return Ok(sign_in::trouble(&problem, &from.next, &parts, &state));
        }
    };
    let flow = Flow::new(attempt, &from.next);
    let cookie = flow.keep(is_secure(&parts, &state));
    let headers = AppendHeaders([(SET_COOKIE, cookie), NOT_KEPT]);
    Ok((headers, Redirect::to(url.as_str())).into_response())
}

/// What the browser comes back with (OpenID Connect Core 1.0 §3.1.2.5 and §3.1.2.6; RFC 9207).
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Answer {
    state: String,
    code: String,
    error: String,
    iss: Option<String>,
}

/// `GET /sign-in/callback`: whatever comes of it, the attempt is over.
pub(super) async fn come_back(
    State(state): State<AppState>,
    answer: Result<Query<Answer>, QueryRejection>,
    provenance: Provenance,
    parts: Parts,
) -> Result<Response, Problem> {
    let provider = provider(&state)?;
    let secure = is_secure(&parts, &state);
    let flow = Flow::of(&parts.headers, secure);
    let next = flow.as_ref().map_or("", |flow| &flow.next).to_owned();
    // What cannot be read holds no state, and belongs to no attempt.
    let Query(answer) = answer.unwrap_or_default();
    let response = match identity(answer, flow, provider).await {
        Ok(Identity { id, operator }) => {
            let who = SignedIn::User { id, operator };
            match begin(who, provenance, &parts, &state).await {
                Ok(cookie) => {
                    let to = if next.is_empty() { "/keys" } else { &next };
                    let headers = AppendHeaders([(SET_COOKIE, cookie), NOT_KEPT]);
                    (headers, Redirect::to(to)).into_response()
                }
                Err(problem) => problem.into_response(),
            }
        }
        Err(error) => {
            let problem = credential::count_failure(told(error, provider), &parts, &state);
            sign_in::trouble(&problem, &next, &parts, &state)
        }
    };
    Ok((
        AppendHeaders([(SET_COOKIE, flow::forget(secure))]),
        response,
    )
        .into_response())
}

fn provider(state: &AppState) -> Result<&Provider, Problem> {
    let provider = state.provider.as_ref();
    provider.ok_or_else(|| Problem::not_found("there is no page at this address"))
}

async fn identity(
    answer: Answer,
    flow: Option<Flow>,
    provider: &Provider,
) -> Result<Identity, SignInError> {
    const NOT_BEGUN: SignInError = SignInError::Refused(
        "this sign-in was not begun in this browser, or was ended or begun anew meanwhile: begin it again",
    );
    let Flow { attempt, .. } = flow.ok_or(NOT_BEGUN)?;
    if !attempt.is_of(&answer.state) {
        return Err(NOT_BEGUN);
    }
    if answer
        .iss
        .is_some_and(|issuer| !provider.is_called(&issuer))
    {
        return Err(SignInError::Refused(
            "this answer is of another identity provider than the one that was asked",
        ));
    }
    if !answer.error.is_empty() {
        return Err(SignInError::Refused(meaning(&answer.error)));
    }
    if answer.code.is_empty() {
        return Err(SignInError::Refused(
            "the identity provider did not answer as it should",
        ));
    }
    provider.finish(answer.code, &attempt).await
}

/// What an error of the provider means. Nothing that it wrote is shown: anybody can write a link that holds an error.
fn meaning(error: &str) -> &'static str {
    match error {
        "access_denied" => "access was denied at the identity provider, or the sign-in cancelled",
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => {
            "the identity provider wants something of you first: begin again, and answer what it asks"
        }
        "temporarily_unavailable" | "server_error" => {
            "the identity provider has trouble of its own now: try again later"
        }
        _ => {
            "the identity provider refused the sign-in: whoever runs this server can see why there"
        }
    }
}

/// Why nobody is signed in, for whoever tried.
fn told(error: SignInError, provider: &Provider) -> Problem {
    match error {
        SignInError::Refused(why) => Problem::invalid_token(why),
        SignInError::Busy => {
            Problem::unavailable("too many people sign in at this moment; begin again in a while")
        }
        SignInError::NoEntropy(error) => error.into(),
        SignInError::NoAnswer => Problem::unavailable(format!(
            "the identity provider {} cannot be reached now, or does not answer as it should; try again (the log of \
             this server has more)",
            provider.name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_provider_is_told_in_our_own_words() {
        assert!(meaning("access_denied").contains("denied"));
        assert!(meaning("server_error").contains("try again later"));
        assert!(!meaning("<script>").contains('<'));
    }
}
