//! `/keys/{id}`: one key, what can be done to it, and what was.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use keywright_core::audit::{Actor, ActorKind, AuditEntry};
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Operation;
use keywright_core::timestamp::Timestamp;
use keywright_store::console::SignedIn;
use keywright_store::{AuditQuery, UsageOf};
use serde::Deserialize;

use super::chart::{Chart, Over, chart, last_day_of};
use super::form::{Group, Refused, groups};
use super::moment::Moment;
use super::page::{Frame, Section, page, page_with};
use super::posted::Fields;
use super::shown::{Shown, confirmation, label};
use super::visitor::Visitor;
use crate::authority::KeysRead;
use crate::extract::KeyIdPath;
use crate::problem::Problem;
use crate::routes::api_keys::visible;
use crate::state::AppState;

/// How many of the last changes are shown.
const TIMELINE: u32 = 20;

#[derive(Template)]
#[template(path = "console/key.html")]
struct KeyPage {
    frame: Frame,
    key: Shown,
    /// As it is, or as it was typed and refused; so are the next ones.
    name: String,
    description: String,
    metadata: String,
    expiry: String,
    expires_on: String,
    /// Which state of the key the forms were made for.
    made_for: String,
    /// What is to be typed to revoke it.
    confirmation: String,
    suspended: Option<Moment>,
    revoked: Option<Moment>,
    groups: Vec<Group>,
    chart: Chart,
    over: Over,
    /// How often it was presented in the last day.
    uses_of_day: u64,
    may_change: bool,
    /// Whether they may decide what it may do: not of a keyspace that is closed to users (CONTRACT §1).
    may_grant: bool,
    /// Whether the visitor signed in with it.
    is_of_session: bool,
    timeline: Vec<Change>,
    refused: Refused,
    /// What was just done.
    done: &'static str,
}

/// A line of the timeline.
struct Change {
    what: &'static str,
    who: String,
    at: Moment,
}

/// What a page before this one did.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct After {
    done: String,
    /// Over which time its uses are shown.
    over: String,
}

/// `GET /keys/{id}`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    Query(after): Query<After>,
) -> Result<Response, Problem> {
    let over = Over::named(&after.over);
    let template = key_page(&visitor, id, over, Typed::Nothing, &state).await?;
    let key = &template.key;
    // Nothing is said that does not hold any more, or was written into the address by somebody.
    let done = match after.done.as_str() {
        "updated" => "The key was changed.",
        "suspended" if key.is_suspended => {
            "The key is suspended: it is refused from now on, everywhere."
        }
        "reactivated" if key.is_active => "The key is active again.",
        "revoked" if key.is_revoked => "The key is revoked, for good.",
        _ => "",
    };
    Ok(page(&KeyPage { done, ..template }))
}

/// What was typed into a form that was refused: nothing of it is lost.
pub(super) enum Typed<'f> {
    Nothing,
    Details(&'f Fields),
    Permissions(&'f Fields),
}

/// The page again, with what was refused.
pub(super) async fn refused_page(
    visitor: &Visitor,
    id: KeyId,
    typed: Typed<'_>,
    problem: &Problem,
    state: &AppState,
) -> Result<Response, Problem> {
    let template = key_page(visitor, id, Over::Day, typed, state).await?;
    let template = KeyPage {
        refused: Refused(problem.errors().to_vec()),
        ..template
    };
    Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &template))
}

async fn key_page(
    visitor: &Visitor,
    id: KeyId,
    over: Over,
    typed: Typed<'_>,
    state: &AppState,
) -> Result<KeyPage, Problem> {
    let authority = visitor.may::<KeysRead>(None)?;
    let record = visible(&authority.caller, id, state).await?;
    let now = state.clock.now();
    let title = format!("Verifications of {}", label(&record.key.name));
    let chart = chart(&title, UsageOf::Key(id), over, now, state).await?;
    let uses_of_day = match over {
        Over::Day => chart.sum(),
        Over::Week | Over::Month => {
            let lines = last_day_of(&[id], now, state).await?;
            lines.get(&id).map_or(0, |line| line.sum)
        }
    };
    let key = &record.key;
    let section = if record.keyspace.is_service() {
        Section::ServiceKeys
    } else {
        Section::Keys
    };
    let at = |at: Option<Timestamp>| at.map(|at| Moment::new(at, now));
    let typed_or = |name: &str, is: String| match typed {
        Typed::Details(fields) if fields.has(name) => fields.one(name).to_owned(),
        _ => is,
    };
    let description = key.description.as_ref().map(ToString::to_string);
    Ok(KeyPage {
        frame: Frame::of(visitor, label(&key.name), section),
        name: typed_or("name", key.name.to_string()),
        description: typed_or("description", description.unwrap_or_default()),
        metadata: typed_or("metadata", readable(&record)),
        expiry: typed_or("expiry", "keep".to_owned()),
        expires_on: typed_or("expires_on", String::new()),
        made_for: state_of(&record),
        confirmation: confirmation(&record),
        suspended: at(key.lifecycle.suspended_at()),
        revoked: at(key.lifecycle.revoked_at()),
        groups: match typed {
            Typed::Permissions(fields) => groups(&record.keyspace, |name| {
                fields.all("permission").any(|chosen| chosen == name)
            }),
            _ => held(&record),
        },
        chart,
        over,
        uses_of_day,
        may_change: visitor.may_change_keys(),
        may_grant: visitor.is_operator() || record.keyspace.self_service,
        is_of_session: visitor.session.who == SignedIn::ServiceKey(id),
        timeline: timeline(visitor, id, now, state).await?,
        key: Shown::of(&record, now),
        refused: Refused::default(),
        done: "",
    })
}

/// Which state of a key a form is made for: sent after another change, it would undo that.
pub(super) fn state_of(record: &KeyRecord) -> String {
    record.key.updated_at.to_string()
}

fn readable(record: &KeyRecord) -> String {
    match record.key.metadata.as_json() {
        "{}" => String::new(),
        json => json.to_owned(),
    }
}

/// The permissions of the key's keyspace, with those that it holds.
fn held(record: &KeyRecord) -> Vec<Group> {
    let catalogue = &record.keyspace.catalogue;
    let held: Vec<_> = catalogue.names(record.key.grants).collect();
    groups(&record.keyspace, |name| {
        held.iter().any(|held| held.as_str() == name)
    })
}

/// The last changes: of an own key, or for whoever may read the audit log. (A user's key that is shown is an own one.)
async fn timeline(
    visitor: &Visitor,
    id: KeyId,
    now: Timestamp,
    state: &AppState,
) -> Result<Vec<Change>, Problem> {
    let own = visitor.own();
    if own.is_none() && !visitor.holds(Operation::AuditRead) {
        return Ok(Vec::new());
    }
    let query = AuditQuery {
        key_id: Some(id),
        limit: TIMELINE,
        ..AuditQuery::default()
    };
    let entries = state.store.list_audit(&query).await?.entries;
    let change = |entry: &AuditEntry| Change {
        what: entry.action.as_str(),
        who: own.map_or_else(
            || for_an_operator(&entry.by.actor),
            |own| for_its_owner(&entry.by.actor, own).to_owned(),
        ),
        at: Moment::new(entry.by.at, now),
    };
    Ok(entries.iter().map(change).collect())
}

fn for_an_operator(Actor { kind, id }: &Actor) -> String {
    match kind {
        ActorKind::User => id.clone(),
        ActorKind::ServiceKey => format!("service key {id}"),
        ActorKind::Console => format!("{id} in the console"),
        ActorKind::CommandLine => "the server's own command line".to_owned(),
    }
}

/// Users learn who did something to their keys as far as it was themselves.
fn for_its_owner(Actor { kind, id }: &Actor, own: &UserId) -> &'static str {
    match kind {
        ActorKind::User if id == own.as_str() => "you",
        ActorKind::Console if id == own.as_str() => "you in the console",
        ActorKind::ServiceKey => "a service key",
        ActorKind::User | ActorKind::Console | ActorKind::CommandLine => "an operator",
    }
}
