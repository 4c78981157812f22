//! `/users`: who owns keys.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use keywright_store::{User, UserPosition, UserQuery};
use serde::Deserialize;

use super::link::{link, to_user};
use super::moment::Moment;
use super::page::{Frame, Section, page};
use super::posted::Posted;
use super::search::masked_id;
use super::visitor::Visitor;
use crate::authority::UsersRead;
use crate::paging::Cursor as _;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

/// How many users a page has.
const PAGE: u32 = 25;

/// Which users, and what a page before this one did.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Filter {
    start: String,
    cursor: String,
    done: String,
}

#[derive(Template)]
#[template(path = "console/users.html")]
struct List {
    frame: Frame,
    /// How their ids begin.
    start: String,
    users: Vec<Line>,
    is_first_page: bool,
    first: String,
    next: Option<String>,
    done: &'static str,
}

struct Line {
    id: String,
    path: String,
    created: Moment,
    keys: u64,
}

/// `POST /users/search`: leads to the list of what was typed. A form and not an address, as for keys.
pub(super) async fn search(Posted { fields, .. }: Posted) -> Response {
    let start = masked_id(fields.one("start"));
    Redirect::to(&link("/users", &[("start", &start)])).into_response()
}

/// `GET /users`
pub(super) async fn list(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    visitor.operates::<UsersRead>()?;
    // No id begins with a space, and whoever pastes one may have brought some.
    let start = masked_id(&filter.start);
    let start = start.trim_start();
    let is_first_page = filter.cursor.is_empty();
    let mut validation = Validation::default();
    let after = validation.cursor((!is_first_page).then_some(filter.cursor.as_str()));
    validation.done()?;
    let query = UserQuery {
        id_start: (!start.is_empty()).then(|| start.to_owned()),
        after,
        limit: PAGE,
    };
    let found = state.store.list_users(&query).await?;
    let now = state.clock.now();
    let line = |user: &User| Line {
        id: user.id.to_string(),
        path: to_user(user.id.as_str()),
        created: Moment::new(user.created_at, now),
        keys: user.api_keys,
    };
    let next = found.entries.last().filter(|_| found.more).map(|last| {
        let place = UserPosition {
            at: last.created_at,
            id: last.id.clone(),
        };
        link("/users", &[("start", start), ("cursor", &place.encode())])
    });
    Ok(page(&List {
        frame: Frame::of(&visitor, "Users", Section::Users),
        users: found.entries.iter().map(line).collect(),
        is_first_page,
        first: link("/users", &[("start", start)]),
        next,
        done: match filter.done.as_str() {
            "deleted" => {
                "The user is deleted, with all keys: programs that use them are refused from now on, everywhere."
            }
            _ => "",
        },
        start: start.to_owned(),
    }))
}
