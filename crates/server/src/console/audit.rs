//! `/audit`: who did what, and the whole of it to keep.

use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use keywright_core::audit::{Action, ActorKind, AuditEntry};
use keywright_core::keyspace::Operation;
use keywright_core::timestamp::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::form::Refused;
use super::link::{link, to_user};
use super::moment::Moment;
use super::page::{Frame, Section, page, page_with};
use super::posted::Posted;
use super::search::masked_id;
use super::visitor::Visitor;
use crate::authority::AuditRead;
use crate::paging::Cursor as _;
use crate::problem::Problem;
use crate::routes::audit::{AuditFilter, Extent, place};
use crate::state::AppState;

/// How many entries a page has.
const PAGE: u32 = 25;
const DAY: Duration = Duration::from_hours(24);

/// Which entries, as the form asks for them.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    action: String,
    actor: String,
    user: String,
    key: String,
    from: String,
    to: String,
    cursor: String,
    /// In which form to keep them.
    pub(super) format: String,
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct Log {
    frame: Frame,
    asked: Asked,
    actions: [&'static str; Action::ALL.len()],
    entries: Vec<Line>,
    next: Option<String>,
    refused: Refused,
}

/// An entry, as the table shows it.
struct Line {
    at: Moment,
    action: &'static str,
    actor: &'static str,
    actor_id: String,
    /// What else they did.
    by_actor: String,
    about: Vec<About>,
    before: String,
    after: String,
    from: String,
    with: String,
    request_id: String,
}

/// What an entry is about, and its page, for whoever may see it.
struct About {
    what: &'static str,
    name: String,
    page: Option<String>,
}

/// `POST /audit/search`: leads to the entries that were asked for. A form and not an address, as for keys.
pub(super) async fn search(Posted { fields, .. }: Posted) -> Response {
    let one = |name| masked_id(fields.one(name));
    let asked = Asked {
        action: one("action"),
        actor: one("actor"),
        user: one("user"),
        key: one("key"),
        from: one("from"),
        to: one("to"),
        ..Asked::default()
    };
    Redirect::to(&asked.first_page()).into_response()
}

/// `GET /audit`
pub(super) async fn list(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    visitor.operates::<AuditRead>()?;
    let mut template = Log {
        frame: Frame::of(&visitor, "Audit log", Section::Audit),
        asked,
        actions: Action::ALL.map(Action::as_str),
        entries: Vec::new(),
        next: None,
        refused: Refused::default(),
    };
    let mut query = match template.asked.filter().query(Extent::Page) {
        Ok(query) => query,
        Err(problem) => {
            template.refused = Refused(problem.errors().to_vec());
            return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
        }
    };
    query.limit = PAGE;
    let found = state.store.list_audit(&query).await?;
    let now = state.clock.now();
    let last = found.entries.last().filter(|_| found.more);
    template.next = last.map(|last| template.asked.page_after(&place(last).encode()));
    let lines = found.entries.iter();
    template.entries = lines.map(|entry| Line::of(entry, &visitor, now)).collect();
    Ok(page(&template))
}

impl Asked {
    /// As the API takes it.
    pub(super) fn filter(&self) -> AuditFilter {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        AuditFilter {
            key_id: given(&self.key),
            user_id: given(&self.user),
            actor: given(&self.actor),
            action: given(&self.action),
            from: given(&self.from).map(|text| match day(&text) {
                Some(begin) => begin.to_string(),
                None => text,
            }),
            // The whole day belongs to it.
            to: given(&self.to).map(|text| match day(&text) {
                Some(begin) => begin.saturating_add(DAY).to_string(),
                None => text,
            }),
            cursor: given(&self.cursor),
            limit: None,
        }
    }

    fn at(&self, path: &str, more: &[(&str, &str)]) -> String {
        let filters = [
            ("action", self.action.as_str()),
            ("actor", &self.actor),
            ("user", &self.user),
            ("key", &self.key),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let asked: Vec<_> = filters.iter().chain(more).copied().collect();
        link(path, &asked)
    }

    fn page_after(&self, cursor: &str) -> String {
        self.at("/audit", &[("cursor", cursor)])
    }

    fn first_page(&self) -> String {
        self.at("/audit", &[])
    }

    /// Where everything that is asked for is, to keep.
    fn export(&self, format: &str) -> String {
        self.at("/audit/export", &[("format", format)])
    }

    fn is_filtered(&self) -> bool {
        self.first_page() != "/audit"
    }
}

/// The beginning of a day that is written as one, in UTC.
fn day(text: &str) -> Option<Timestamp> {
    Timestamp::parse(&format!("{text}T00:00:00Z")).ok()
}

impl Line {
    fn of(entry: &AuditEntry, visitor: &Visitor, now: Timestamp) -> Self {
        let actor = &entry.by.actor;
        let by_actor = format!("{}:{}", actor.kind.as_str(), actor.id);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            at: Moment::new(entry.by.at, now),
            action: entry.action.as_str(),
            actor: match actor.kind {
                ActorKind::User => "user",
                ActorKind::ServiceKey => "service key",
                ActorKind::Console => "console",
                ActorKind::CommandLine => "command line",
            },
            actor_id: actor.id.clone(),
            by_actor: link("/audit", &[("actor", &by_actor)]),
            about: about(entry, visitor),
            before: readable(&entry.before),
            after: readable(&entry.after),
            from: text(&entry.by.ip),
            with: text(&entry.by.user_agent),
            request_id: text(&entry.by.request_id),
        }
    }
}

fn about(entry: &AuditEntry, visitor: &Visitor) -> Vec<About> {
    let key = entry.key_id.map(|id| About {
        what: "key",
        name: id.to_string(),
        page: visitor
            .holds(Operation::KeysRead)
            .then(|| format!("/keys/{id}")),
    });
    let user = entry.user_id.as_ref().filter(|id| !id.is_reserved());
    let user = user.map(|id| About {
        what: "user",
        name: id.to_string(),
        page: visitor
            .holds(Operation::UsersRead)
            .then(|| to_user(id.as_str())),
    });
    let keyspace = entry.keyspace.as_ref().map(|name| About {
        what: "keyspace",
        name: name.to_string(),
        page: visitor
            .holds(Operation::KeyspacesRead)
            .then(|| format!("/keyspaces/{name}")),
    });
    [key, user, keyspace].into_iter().flatten().collect()
}

fn readable(value: &Value) -> String {
    if value.is_null() {
        String::new()
    } else {
        format!("{value:#}")
    }
}
