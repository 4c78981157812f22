//! `/account`: the sessions of whoever is signed in, and their ends.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use uuid::Uuid;

use super::moment::Moment;
use super::page::{Frame, Section, page};
use super::posted::Posted;
use super::sign_in::set_cookie;
use super::visitor::{IDLE, Visitor};
use crate::problem::Problem;
use crate::source::is_secure;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "console/account.html")]
struct Account {
    frame: Frame,
    sessions: Vec<Line>,
}

struct Line {
    id: Uuid,
    is_this: bool,
    ip: String,
    user_agent: String,
    began: Moment,
    seen: Moment,
}

/// `GET /account`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
) -> Result<Response, Problem> {
    let now = state.clock.now();
    let console = state.store.clone().console();
    let sessions = console
        .list_sessions(&visitor.session.who, now, now.saturating_sub(IDLE))
        .await?;
    let line = |session: keywright_store::console::Session| Line {
        id: session.id,
        is_this: session.id == visitor.session.id,
        ip: session.ip.unwrap_or_default(),
        user_agent: session.user_agent.unwrap_or_default(),
        began: Moment::new(session.began_at, now),
        seen: Moment::new(session.seen_at, now),
    };
    Ok(page(&Account {
        frame: Frame::of(&visitor, "Account", Section::Account),
        sessions: sessions.into_iter().map(line).collect(),
    }))
}

/// `POST /sign-out`
pub(super) async fn sign_out(
    State(state): State<AppState>,
    parts: Parts,
    Posted { visitor, .. }: Posted,
) -> Result<Response, Problem> {
    let console = state.store.clone().console();
    console
        .end_session(&visitor.session.who, visitor.session.id)
        .await?;
    Ok(signed_out(&parts, &state))
}

/// `POST /account/sign-out-everywhere`
pub(super) async fn sign_out_everywhere(
    State(state): State<AppState>,
    parts: Parts,
    Posted { visitor, .. }: Posted,
) -> Result<Response, Problem> {
    let console = state.store.clone().console();
    console.end_sessions(&visitor.session.who).await?;
    Ok(signed_out(&parts, &state))
}

/// `POST /account/sessions/{id}/end`
pub(super) async fn end_session(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { visitor, .. }: Posted,
) -> Result<Response, Problem> {
    let console = state.store.clone().console();
    console.end_session(&visitor.session.who, id).await?;
    Ok(Redirect::to("/account").into_response())
}

fn signed_out(parts: &Parts, state: &AppState) -> Response {
    let cookie = set_cookie("", is_secure(parts, state));
    ([(SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response()
}
