//! `GET /keys`: the keys of whoever is signed in, or everybody's for an operator.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use keywright_core::identifier::{KeyspaceName, UserId};
use keywright_core::keyspace::SERVICE;
use keywright_core::lifecycle::Status;
use keywright_store::{KeyQuery, Position};
use serde::Deserialize;

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

/// Which keys.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Filter {
    status: String,
    keyspace: String,
    user: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "console/keys.html")]
struct List {
    frame: Frame,
    filter: Filter,
    keyspaces: Vec<String>,
    keys: Vec<Shown>,
    next: Option<String>,
}

impl List {
    /// Whether it is asked for some of the keys only.
    fn is_filtered(&self) -> bool {
        let Filter {
            status,
            keyspace,
            user,
            cursor,
        } = &self.filter;
        [status, keyspace, user, cursor]
            .into_iter()
            .any(|part| !part.is_empty())
    }
}

pub(super) async fn list(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    visitor.may::<KeysRead>(None)?;
    let query = filter.query(&visitor)?;
    let found = state.store.list_keys(&query).await?;
    let now = state.clock.now();
    let next = found.entries.last().filter(|_| found.more).map(|last| {
        filter.page_after(Position {
            at: last.key.created_at,
            id: last.key.id.0,
        })
    });
    let keyspaces = state.store.list_keyspaces().await?;
    let names = keyspaces.iter().map(|keyspace| keyspace.name.to_string());
    Ok(page(&List {
        frame: Frame::of(&visitor, "Keys", Section::Keys),
        keyspaces: names.filter(|name| name != SERVICE).collect(),
        keys: found
            .entries
            .iter()
            .map(|record| Shown::of(record, now))
            .collect(),
        next,
        filter,
    }))
}

impl Filter {
    fn query(&self, visitor: &Visitor) -> Result<KeyQuery, Problem> {
        let mut validation = Validation::default();
        let given = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
        let status = given(&self.status).and_then(|text| {
            let status = Status::parse(&text).ok_or("must be ACTIVE, SUSPENDED or REVOKED");
            validation.take("?status", status)
        });
        let keyspace = given(&self.keyspace)
            .and_then(|name| validation.take("?keyspace", KeyspaceName::new(name)));
        let named = given(&self.user).and_then(|id| validation.take("?user", UserId::new(id)));
        let cursor = given(&self.cursor);
        let after = validation.cursor(cursor.as_deref());
        validation.done()?;
        Ok(KeyQuery {
            // A user sees own keys, whatever is asked for.
            user_id: visitor.own().cloned().or(named),
            status,
            keyspace,
            after,
            limit: PAGE,
        })
    }

    /// The address of the page after this place.
    fn page_after(&self, place: Position) -> String {
        let given = [
            ("status", &self.status),
            ("keyspace", &self.keyspace),
            ("user", &self.user),
        ];
        let cursor = place.encode();
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<_> = given.chain([("cursor", &cursor)]).collect();
        // infallible: pairs of texts are written as a query
        let query =
            serde_urlencoded::to_string(query).expect("pairs of texts are written as a query");
        format!("/keys?{query}")
    }
}
