//! `/keys/{id}`: one key, what can be done to it, and what was.

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use keywright_api::{ErrorCode, PatchKey, ReplacePermissions};
use keywright_core::audit::{Actor, ActorKind, AuditEntry};
use keywright_core::authority::KeyEdit;
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Operation;
use keywright_core::lifecycle::Transition;
use keywright_core::timestamp::Timestamp;
use keywright_store::console::SignedIn;
use keywright_store::{AuditQuery, UsageOf};
use serde::Deserialize;

use super::chart::{Chart, Over, chart, last_day_of};
use super::form::{Group, Refused, expiry, groups, metadata};
use super::moment::Moment;
use super::page::{Frame, Section, page, page_with};
use super::posted::{Fields, Posted};
use super::shown::Shown;
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::{KeysRead, KeysWrite, UserOrService};
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
    let done = match after.done.as_str() {
        "updated" => "The key was changed.",
        "suspended" => "The key is suspended: it is refused from now on, everywhere.",
        "reactivated" => "The key is active again.",
        "revoked" => "The key is revoked, for good.",
        _ => "",
    };
    let over = Over::named(&after.over);
    let template = key_page(&visitor, id, over, &state).await?;
    Ok(page(&KeyPage { done, ..template }))
}

async fn key_page(
    visitor: &Visitor,
    id: KeyId,
    over: Over,
    state: &AppState,
) -> Result<KeyPage, Problem> {
    let authority = visitor.may::<KeysRead>(None)?;
    let record = visible(&authority.caller, id, state).await?;
    let now = state.clock.now();
    let title = format!("Verifications of {}", record.key.name);
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
        groups: held(&record),
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

/// A form about a key of somebody who may change it.
pub(super) struct About {
    id: KeyId,
    visitor: Visitor,
    fields: Fields,
    authority: UserOrService<KeysWrite>,
    provenance: Provenance,
    state: AppState,
}

impl FromRequest<AppState> for About {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let refused = IntoResponse::into_response;
        let KeyIdPath(id) = KeyIdPath::from_request_parts(&mut parts, state)
            .await
            .map_err(refused)?;
        let provenance = Provenance::from_request_parts(&mut parts, state).await;
        let provenance = provenance.map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(parts, body);
        let Posted { visitor, fields } = Posted::from_request(request, state).await?;
        let authority = visitor.may::<KeysWrite>(None).map_err(refused)?;
        Ok(Self {
            id,
            visitor,
            fields,
            authority,
            provenance,
            state: state.clone(),
        })
    }
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
            let template = key_page(visitor, id, Over::Day, state).await?;
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
pub(super) async fn update(about: About) -> Result<Response, Problem> {
    let About {
        id,
        visitor,
        fields,
        authority,
        provenance,
        state,
    } = about;
    let updated = async {
        let patch = patch(&fields, state.clock.now())?;
        let (state, patch) = (State(state.clone()), Json(patch));
        update::update_api_key(authority, state, KeyIdPath(id), provenance, patch).await
    };
    let updated = updated.await.map(|_| "updated");
    after(updated, &visitor, id, &state).await
}

fn patch(fields: &Fields, now: Timestamp) -> Result<PatchKey, Problem> {
    Ok(PatchKey {
        name: Some(Some(fields.one("name").to_owned())),
        description: Some(fields.given("description").map(str::to_owned)),
        // Who may not change it is not offered the field.
        metadata: fields
            .has("metadata")
            .then(|| metadata(fields))
            .transpose()?,
        expires_at: match fields.one("expiry") {
            "keep" | "" => None,
            _ => Some(expiry(fields, now)),
        },
    })
}

/// `POST /keys/{id}/permissions`
pub(super) async fn replace_permissions(about: About) -> Result<Response, Problem> {
    let About {
        id,
        visitor,
        fields,
        authority,
        provenance,
        state,
    } = about;
    let permissions = fields.all("permission").map(str::to_owned).collect();
    let wanted = Json(ReplacePermissions { permissions });
    let replaced = permissions::update_api_key_permissions(
        authority,
        State(state.clone()),
        KeyIdPath(id),
        provenance,
        wanted,
    );
    let replaced = replaced.await.map(|_| "updated");
    after(replaced, &visitor, id, &state).await
}

/// `POST /keys/{id}/suspend`
pub(super) async fn suspend(about: About) -> Result<Response, Problem> {
    about.transition(Transition::Suspend, "suspended").await
}

/// `POST /keys/{id}/reactivate`
pub(super) async fn reactivate(about: About) -> Result<Response, Problem> {
    about
        .transition(Transition::Reactivate, "reactivated")
        .await
}

/// `POST /keys/{id}/revoke`: of whoever typed the name of the key.
pub(super) async fn revoke(about: About) -> Result<Response, Problem> {
    let record = visible(&about.authority.caller, about.id, &about.state).await?;
    if about.fields.one("confirm").trim() != record.key.name.as_str().trim() {
        let detail = "must be the name of the key, as it stands above";
        let refused = Err(Problem::invalid_field("/confirm", detail));
        return after(refused, &about.visitor, about.id, &about.state).await;
    }
    about.transition(Transition::Revoke, "revoked").await
}

impl About {
    async fn transition(self, to: Transition, done: &str) -> Result<Response, Problem> {
        let edit = KeyEdit::Transition(to);
        let changed = change(self.authority, self.id, edit, self.provenance, &self.state);
        let changed = changed.await.map(|_| done);
        after(changed, &self.visitor, self.id, &self.state).await
    }
}
