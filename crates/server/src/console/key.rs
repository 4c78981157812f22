//! `/keys/{id}`: one key, what can be done to it, and what was.

use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use keywright_api::{ErrorCode, PatchKey, ReplacePermissions};
use keywright_core::audit::{ActorKind, AuditEntry};
use keywright_core::authority::KeyEdit;
use keywright_core::decision::Code;
use keywright_core::identifier::KeyId;
use keywright_core::key::KeyRecord;
use keywright_core::lifecycle::Transition;
use keywright_core::timestamp::Timestamp;
use keywright_store::{AuditQuery, Period, Step, UsageOf, UsageQuery};
use serde::Deserialize;

use super::form::{Choice, Refused, choices, expiry, metadata};
use super::moment::Moment;
use super::page::{Frame, Section, page, page_with};
use super::posted::{Fields, Posted};
use super::shown::Shown;
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::{AuditRead, KeysRead, KeysWrite};
use crate::extract::{Json, KeyIdPath};
use crate::problem::Problem;
use crate::routes::api_keys::{change, permissions, update, visible};
use crate::state::AppState;

/// How many of the last changes are shown.
const TIMELINE: u32 = 20;

#[derive(Template)]
#[template(path = "console/key.html")]
struct KeyPage {
    frame: Frame,
    key: Shown,
    description: String,
    metadata: String,
    suspended: Option<Moment>,
    revoked: Option<Moment>,
    choices: Vec<Choice>,
    /// What was verified in the last day, by what it came to.
    uses: Vec<(&'static str, u64)>,
    uses_in_all: u64,
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
}

/// `GET /keys/{id}`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    Query(after): Query<After>,
) -> Result<Response, Problem> {
    let done = match after.done.as_str() {
        "updated" => "The key was changed.",
        "suspended" => "The key is suspended: it is refused from now on, everywhere.",
        "reactivated" => "The key is active again.",
        "revoked" => "The key is revoked, for good.",
        _ => "",
    };
    let template = key_page(&visitor, id, &state).await?;
    Ok(page(&KeyPage { done, ..template }))
}

async fn key_page(visitor: &Visitor, id: KeyId, state: &AppState) -> Result<KeyPage, Problem> {
    let authority = visitor.may::<KeysRead>(None)?;
    let record = visible(&authority.caller, id, state).await?;
    let now = state.clock.now();
    let uses = uses(UsageOf::Key(id), now, state).await?;
    let key = &record.key;
    let section = if record.keyspace.is_service() {
        Section::ServiceKeys
    } else {
        Section::Keys
    };
    let at = |at: Option<Timestamp>| at.map(|at| Moment::new(at, now));
    Ok(KeyPage {
        frame: Frame::of(visitor, key.name.to_string(), section),
        description: key
            .description
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        metadata: readable(&record),
        suspended: at(key.lifecycle.suspended_at()),
        revoked: at(key.lifecycle.revoked_at()),
        choices: held(&record),
        uses_in_all: uses.iter().map(|(_, count)| count).sum(),
        uses,
        timeline: timeline(visitor, id, now, state).await?,
        key: Shown::of(&record, now),
        refused: Refused::default(),
        done: "",
    })
}

fn readable(record: &KeyRecord) -> String {
    match record.key.metadata.as_json() {
        "{}" => String::new(),
        json => json.to_owned(),
    }
}

/// The permissions of the key's keyspace, with those that it holds.
fn held(record: &KeyRecord) -> Vec<Choice> {
    let catalogue = &record.keyspace.catalogue;
    let held: Vec<_> = catalogue.names(record.key.grants).collect();
    choices(&record.keyspace, |name| {
        held.iter().any(|held| held.as_str() == name)
    })
}

/// What was verified in the last day.
pub(super) async fn uses(
    of: UsageOf,
    now: Timestamp,
    state: &AppState,
) -> Result<Vec<(&'static str, u64)>, Problem> {
    // What is being counted now belongs to it.
    let over = Period::before(Step::Hour, now.saturating_add(Duration::from_micros(1)), 24);
    let buckets = state.store.usage(&UsageQuery { of, over }).await?;
    let count = |code: Code| {
        let counts = buckets.iter().flat_map(|bucket| &bucket.counts);
        counts
            .filter(|(found, _)| **found == code)
            .map(|(_, count)| *count)
            .sum()
    };
    let all = [
        ("accepted", Code::Valid),
        (
            "refused: lacking a permission",
            Code::InsufficientPermissions,
        ),
        ("refused: expired", Code::Expired),
        ("refused: suspended", Code::Suspended),
        ("refused: revoked", Code::Revoked),
        ("refused: no key", Code::NotFound),
    ];
    Ok(all
        .into_iter()
        .map(|(what, code)| (what, count(code)))
        .filter(|(_, count)| *count > 0)
        .collect())
}

/// The last changes: of an own key, or for whoever may read the audit log.
async fn timeline(
    visitor: &Visitor,
    id: KeyId,
    now: Timestamp,
    state: &AppState,
) -> Result<Vec<Change>, Problem> {
    if visitor.may::<AuditRead>(None).is_err() {
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
        who: match entry.by.actor.kind {
            ActorKind::User => entry.by.actor.id.clone(),
            ActorKind::ServiceKey => format!("service key {}", entry.by.actor.id),
            ActorKind::Console => format!("{} in the console", entry.by.actor.id),
            ActorKind::CommandLine => "the server's own command line".to_owned(),
        },
        at: Moment::new(entry.by.at, now),
    };
    Ok(entries.iter().map(change).collect())
}

/// What comes of a form about a key: its page with what was done, or the form again with what is wrong.
async fn after(
    outcome: Result<&str, Problem>,
    visitor: &Visitor,
    id: KeyId,
    state: &AppState,
) -> Result<Response, Problem> {
    match outcome {
        Ok(done) => Ok(Redirect::to(&format!("/keys/{id}?done={done}")).into_response()),
        Err(problem) if problem.code() == ErrorCode::ValidationFailed => {
            let template = key_page(visitor, id, state).await?;
            let template = KeyPage {
                refused: Refused(problem.errors().to_vec()),
                ..template
            };
            Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &template))
        }
        Err(problem) => Err(problem),
    }
}

/// `POST /keys/{id}`
pub(super) async fn update(
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let updated = async {
        let patch = patch(&fields, state.clock.now())?;
        let authority = visitor.may::<KeysWrite>(None)?;
        let (state, patch) = (State(state.clone()), Json(patch));
        let updated = update::update_api_key(authority, state, KeyIdPath(id), provenance, patch);
        updated.await.map(|_| "updated")
    };
    after(updated.await, &visitor, id, &state).await
}

fn patch(fields: &Fields, now: Timestamp) -> Result<PatchKey, Problem> {
    Ok(PatchKey {
        name: Some(Some(fields.one("name").to_owned())),
        description: Some(fields.given("description").map(str::to_owned)),
        metadata: Some(metadata(fields)?),
        expires_at: match fields.one("expiry") {
            "keep" | "" => None,
            _ => Some(expiry(fields, now)),
        },
    })
}

/// `POST /keys/{id}/permissions`
pub(super) async fn replace_permissions(
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let replaced = async {
        let authority = visitor.may::<KeysWrite>(None)?;
        let wanted = ReplacePermissions {
            permissions: fields.all("permission").map(str::to_owned).collect(),
        };
        let (state, path) = (State(state.clone()), KeyIdPath(id));
        let replaced = permissions::update_api_key_permissions(
            authority,
            state,
            path,
            provenance,
            Json(wanted),
        );
        replaced.await.map(|_| "updated")
    };
    after(replaced.await, &visitor, id, &state).await
}

/// `POST /keys/{id}/suspend`
pub(super) async fn suspend(
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
    Posted { visitor, .. }: Posted,
) -> Result<Response, Problem> {
    let suspended = transition(&visitor, id, Transition::Suspend, provenance, &state);
    after(suspended.await.map(|()| "suspended"), &visitor, id, &state).await
}

/// `POST /keys/{id}/reactivate`
pub(super) async fn reactivate(
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
    Posted { visitor, .. }: Posted,
) -> Result<Response, Problem> {
    let reactivated = transition(&visitor, id, Transition::Reactivate, provenance, &state);
    after(
        reactivated.await.map(|()| "reactivated"),
        &visitor,
        id,
        &state,
    )
    .await
}

async fn transition(
    visitor: &Visitor,
    id: KeyId,
    to: Transition,
    provenance: Provenance,
    state: &AppState,
) -> Result<(), Problem> {
    let authority = visitor.may::<KeysWrite>(None)?;
    let changed = change(authority, id, KeyEdit::Transition(to), provenance, state);
    changed.await.map(drop)
}

/// `POST /keys/{id}/revoke`: of whoever typed the name of the key.
pub(super) async fn revoke(
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let revoked = async {
        let authority = visitor.may::<KeysWrite>(None)?;
        let record = visible(&authority.caller, id, &state).await?;
        if fields.one("confirm").trim() != record.key.name.as_str() {
            let detail = "must be the name of the key, as it stands above";
            return Err(Problem::invalid_field("/confirm", detail));
        }
        transition(&visitor, id, Transition::Revoke, provenance, &state).await?;
        Ok("revoked")
    };
    after(revoked.await, &visitor, id, &state).await
}
