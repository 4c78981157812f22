//! `/user`: one user, and the end of one.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use keywright_core::identifier::UserId;
use keywright_core::keyspace::Operation;
use keywright_store::console::SignedIn;
use keywright_store::{KeyQuery, UsageOf};
use serde::Deserialize;

use super::chart::{Chart, last_day_for};
use super::form::Refused;
use super::link::link;
use super::moment::Moment;
use super::page::{Frame, Section, page, page_with};
use super::posted::Posted;
use super::shown::Shown;
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::{UsersRead, UsersWrite};
use crate::extract::{UserIdPath, no_such_user};
use crate::problem::Problem;
use crate::routes::users::delete::delete_user;
use crate::state::AppState;

/// How many of the newest keys are shown.
const NEWEST: u32 = 5;

#[derive(Template)]
#[template(path = "console/user.html")]
struct UserPage {
    frame: Frame,
    id: String,
    created: Moment,
    /// How many keys they have in all.
    count: u64,
    newest: Vec<Shown>,
    all_keys: String,
    /// Where a key is made for them, by whoever may.
    new_key: Option<String>,
    /// What was verified in the last day, for whoever may see it.
    chart: Option<Chart>,
    may_delete: bool,
    /// Whether it is whoever is signed in.
    is_own: bool,
    /// What was typed to confirm the deletion.
    confirm: String,
    refused: Refused,
}

/// Whose page.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Which {
    id: String,
}

/// `GET /user?id=…`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    Ok(page(&user_page(&visitor, &named(which.id)?, &state).await?))
}

fn named(id: impl Into<String>) -> Result<UserId, Problem> {
    UserId::new(id).map_err(|_| no_such_user())
}

async fn user_page(visitor: &Visitor, id: &UserId, state: &AppState) -> Result<UserPage, Problem> {
    visitor.operates::<UsersRead>()?;
    let found = state.store.find_user(id).await?.ok_or_else(no_such_user)?;
    let now = state.clock.now();
    let query = KeyQuery {
        user_id: Some(id.clone()),
        status: None,
        keyspace: None,
        after: None,
        limit: NEWEST,
    };
    let newest = state.store.list_keys(&query).await?.entries;
    let of = UsageOf::User(id.clone());
    let chart = last_day_for(visitor, of, now, state).await?;
    let name = id.as_str();
    Ok(UserPage {
        frame: Frame::of(visitor, name, Section::Users),
        id: name.to_owned(),
        created: Moment::new(found.created_at, now),
        count: found.api_keys,
        newest: newest.iter().map(|key| Shown::of(key, now)).collect(),
        all_keys: link("/keys", &[("user", name)]),
        new_key: visitor
            .holds(Operation::KeysWrite)
            .then(|| link("/keys/new", &[("user", name)])),
        chart,
        may_delete: visitor.holds(Operation::UsersWrite),
        is_own: matches!(&visitor.session.who, SignedIn::User { id: own, .. } if own == id),
        confirm: String::new(),
        refused: Refused::default(),
    })
}

/// `POST /user/delete`: of whoever typed the id of the user.
pub(super) async fn delete(
    State(state): State<AppState>,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let authority = visitor.operates::<UsersWrite>()?;
    let id = named(fields.one("id"))?;
    let confirm = fields.one("confirm");
    if confirm.trim() != id.as_str() {
        let wrong =
            Problem::invalid_field("/confirm", "must be the id of the user, as it stands above");
        let template = UserPage {
            confirm: confirm.to_owned(),
            refused: Refused(wrong.errors().to_vec()),
            ..user_page(&visitor, &id, &state).await?
        };
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    delete_user(authority, State(state), UserIdPath(id), provenance).await?;
    Ok(Redirect::to("/users?done=deleted").into_response())
}
