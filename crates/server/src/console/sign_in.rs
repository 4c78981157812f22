//! `/sign-in`: a service key, shown once, is exchanged for a session. The browser keeps the session and not the key.

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

use super::page::{Frame, page};
use super::posted::OwnForm;
use super::refusal::refused_page;
use super::theme::{Theme, is_own_path};
use super::visitor::{LIFETIME, session_cookie};
use crate::attribution::Provenance;
use crate::authority::credential;
use crate::problem::Problem;
use crate::source::is_secure;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignIn<'a> {
    frame: Frame,
    /// Where to go then.
    next: &'a str,
    error: Option<&'a str>,
}

/// Where somebody came from.
#[derive(Deserialize)]
pub(super) struct CameFrom {
    #[serde(default)]
    next: String,
}

/// `GET /sign-in`
pub(super) async fn show(Query(from): Query<CameFrom>, headers: HeaderMap) -> Response {
    page(&SignIn {
        frame: Frame::public("Sign in", Theme::chosen(&headers)),
        next: own_path(&from.next),
        error: None,
    })
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
                frame: Frame::public("Sign in", Theme::chosen(&parts.headers)),
                next,
                error: Some(problem.detail()),
            };
            return Ok(refused_page(&problem, &template));
        }
        Err(problem) => return Err(problem),
    };
    let cookie = begin(SignedIn::ServiceKey(key.id), provenance, &parts, &state).await?;
    let to = if next.is_empty() { "/keys" } else { next };
    Ok(([(SET_COOKIE, cookie)], Redirect::to(to)).into_response())
}

fn own_path(path: &str) -> &str {
    if is_own_path(path) { path } else { "" }
}

/// Begins a session: always a new one, whatever the browser brought.
async fn begin(
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
    let name = session_cookie(secure);
    let secure = if secure { "; Secure" } else { "" };
    let age = if token.is_empty() {
        0
    } else {
        LIFETIME.as_secs()
    };
    let value = format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}");
    // infallible: it is ASCII
    let mut value = HeaderValue::try_from(value).expect("a cookie of ours is ASCII");
    value.set_sensitive(true);
    value
}
