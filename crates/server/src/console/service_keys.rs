//! `GET /service-keys`: the keys of this server itself.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Operation;
use keywright_store::console::SignedIn;
use keywright_store::{KeyQuery, Position};
use serde::Deserialize;

use super::link::link;
use super::page::{Frame, Section, page};
use super::shown::Shown;
use super::visitor::Visitor;
use crate::authority::KeysRead;
use crate::paging::Cursor as _;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

/// How many keys a page has.
const PAGE: u32 = 25;

#[derive(Template)]
#[template(path = "console/service_keys.html")]
struct List {
    frame: Frame,
    keys: Vec<Line>,
    is_first_page: bool,
    next: Option<String>,
    may_create: bool,
}

struct Line {
    key: Shown,
    /// Whether it is the one of this session.
    is_own: bool,
}

/// Which page.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    cursor: String,
}

pub(super) async fn list(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(Asked { cursor }): Query<Asked>,
) -> Result<Response, Problem> {
    visitor.operates::<KeysRead>()?;
    let is_first_page = cursor.is_empty();
    let mut validation = Validation::default();
    let after = validation.cursor((!is_first_page).then_some(cursor.as_str()));
    validation.done()?;
    let query = KeyQuery {
        user_id: Some(UserId::reserved()),
        status: None,
        keyspace: None,
        after,
        limit: PAGE,
    };
    let found = state.store.list_keys(&query).await?;
    let now = state.clock.now();
    let own = |id: KeyId| visitor.session.who == SignedIn::ServiceKey(id);
    let line = |record: &KeyRecord| Line {
        key: Shown::of(record, now),
        is_own: own(record.key.id),
    };
    let next = found.entries.last().filter(|_| found.more).map(|last| {
        let place = Position {
            at: last.key.created_at,
            id: last.key.id.0,
        };
        link("/service-keys", &[("cursor", &place.encode())])
    });
    Ok(page(&List {
        frame: Frame::of(&visitor, "Service keys", Section::ServiceKeys),
        keys: found.entries.iter().map(line).collect(),
        is_first_page,
        next,
        may_create: visitor.holds(Operation::KeysWrite),
    }))
}
