//! `/sign-in`: a service key, shown once, is exchanged for a session. The browser keeps the session and not the key. For
//! users, there is the way to their identity provider ([`super::by_provider`]).

use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_core::digest::Digest;
use keywright_core::identifier::time_ordered_id;
use keywright_core::keyspace::Operation;
use keywright_store::console::{Session, SignedIn};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::flow::keep_in_browser;
use super::page::{Frame, page};
use super::posted::OwnForm;
use super::refusal::refused_page;
use super::theme::{Theme, is_own_path};
use super::visitor::{LIFETIME, session_cookie};
use crate::attribution::Provenance;
use crate::authority::credential;
use crate::oidc::Provider;
use crate::problem::Problem;
use crate::source::is_secure;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignIn<'a> {
    frame: Frame,
    /// What the identity provider is called, where there is one.
    provider: Option<&'a str>,
    /// How to get to it.
    by_provider: String,
    /// Where to go then.
    next: &'a str,
    /// What is wrong with the key that was given.
    error: Option<&'a str>,
    /// What came of a sign-in with the identity provider.
    trouble: Option<&'a str>,
}

impl<'a> SignIn<'a> {
    fn new(next: &'a str, headers: &HeaderMap, state: &'a AppState) -> Self {
        let next = own_path(next);
        let mut by_provider = "/sign-in/provider".to_owned();
        if !next.is_empty() {
            // infallible: a pair of texts is written as a query
            let query = serde_urlencoded::to_string([("next", next)]);
            let query = query.expect("a pair of texts is written as a query");
            by_provider = format!("{by_provider}?{query}");
        }
        Self {
            frame: Frame::public("Sign in", Theme::chosen(headers)),
            provider: state.provider.as_ref().map(Provider::name),
            by_provider,
            next,
            error: None,
            trouble: None,
        }
    }
}

/// Where somebody came from.
#[derive(Deserialize)]
pub(super) struct CameFrom {
    #[serde(default)]
    pub(super) next: String,
}

/// `GET /sign-in`
pub(super) async fn show(
    State(state): State<AppState>,
    Query(from): Query<CameFrom>,
    headers: HeaderMap,
) -> Response {
    page(&SignIn::new(&from.next, &headers, &state))
}

/// The page again, after a sign-in with the identity provider that came to nothing.
pub(super) fn trouble(problem: &Problem, next: &str, parts: &Parts, state: &AppState) -> Response {
    let template = SignIn {
        trouble: Some(problem.detail()),
        ..SignIn::new(next, &parts.headers, state)
    };
    refused_page(problem, &template)
}

/// `POST /sign-in`
pub(super) async fn sign_in(
    State(state): State<AppState>,
    provenance: Provenance,
    parts: Parts,
    OwnForm(fields): OwnForm,
) -> Result<Response, Problem> {
    let next = own_path(fields.one("next"));
    let text = SecretString::from(fields.one("key").trim());
    // Whatever else it may do, who may not read keys has nothing to do here.
    let key = credential::service_key(text.expose_secret(), Operation::KeysRead, &state).await;
    let key = match key {
        Ok(key) => key,
        Err(problem) if problem.status().is_client_error() => {
            let problem = credential::count_failure(problem, &parts, &state);
            let template = SignIn {
                error: Some(problem.detail()),
                ..SignIn::new(next, &parts.headers, &state)
            };
            return Ok(refused_page(&problem, &template));
        }
        Err(problem) => return Err(problem),
    };
    let cookie = begin(SignedIn::ServiceKey(key.id), provenance, &parts, &state).await?;
    let to = if next.is_empty() { "/keys" } else { next };
    Ok(([(SET_COOKIE, cookie)], Redirect::to(to)).into_response())
}

/// The path, where it leads to a page of this server; else nothing.
pub(super) fn own_path(path: &str) -> &str {
    if is_own_path(path) { path } else { "" }
}

/// Begins a session: always a new one, whatever the browser brought.
pub(super) async fn begin(
    who: SignedIn,
    provenance: Provenance,
    parts: &Parts,
    state: &AppState,
) -> Result<HeaderValue, Problem> {
    let mut random = [0; 32];
    state.entropy.fill(&mut random)?;
    let token = SecretString::from(URL_SAFE_NO_PAD.encode(random));
    let now = state.clock.now();
    let (ip, user_agent) = provenance.place();
    let session = Session {
        id: time_ordered_id(&*state.clock, &*state.entropy)?,
        who,
        began_at: now,
        seen_at: now,
        ends_at: now.saturating_add(LIFETIME),
        ip: Some(ip),
        user_agent,
    };
    let digest = Digest::of(token.expose_secret());
    let console = state.store.clone().console();
    console.begin_session(session, digest).await?;
    Ok(set_cookie(token.expose_secret(), is_secure(parts, state)))
}

/// Keeps the session in the browser; ends it there where the token is empty.
pub(super) fn set_cookie(token: &str, secure: bool) -> HeaderValue {
    let age = if token.is_empty() {
        Duration::ZERO
    } else {
        LIFETIME
    };
    keep_in_browser(session_cookie(secure), token, age, secure)
}
