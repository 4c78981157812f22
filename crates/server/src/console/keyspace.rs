//! `/keyspaces/{name}`: one keyspace, and what can be changed of it.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use keywright_api::{ErrorCode, FieldError, PatchKeyspace};
use keywright_core::identifier::KeyspaceName;
use keywright_core::keyspace::{Keyspace, Operation};
use keywright_core::permission::Permission;
use keywright_core::text::Description;
use keywright_store::UsageOf;
use serde::Deserialize;

use super::catalogue;
use super::chart::{Chart, last_day_for};
use super::form::explanation;
use super::link::link;
use super::moment::Moment;
use super::page::{Frame, Section, page, page_with};
use super::posted::Posted;
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::{KeyspacesRead, KeyspacesWrite};
use crate::extract::{Json, NamePath, no_such_keyspace};
use crate::problem::Problem;
use crate::routes::keyspaces::update::update_keyspace;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "console/keyspace.html")]
struct KeyspacePage {
    frame: Frame,
    name: String,
    prefix: String,
    is_built_in: bool,
    /// As they are now.
    description: String,
    self_service: bool,
    created: Moment,
    /// What was verified in the last day, for whoever may see it.
    chart: Option<Chart>,
    /// Where a key is made in it, by whoever may.
    new_key: Option<String>,
    may_change: bool,
    details: Details,
    permissions: Vec<Line>,
    added: String,
    added_refused: Vec<String>,
    /// What was just done.
    done: &'static str,
}

/// The form for what the keyspace is.
struct Details {
    description: String,
    self_service: bool,
    error: Option<String>,
}

/// A permission, and what the form says of it.
struct Line {
    name: String,
    description: String,
    error: Option<String>,
}

/// What a page before this one did.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct After {
    done: String,
}

/// `GET /keyspaces/{name}`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
    NamePath(name): NamePath,
    Query(after): Query<After>,
) -> Result<Response, Problem> {
    let done = match after.done.as_str() {
        "created" => "The keyspace is made.",
        "updated" => "The keyspace was changed.",
        "described" => "The permissions are described so now.",
        "added" => "The permissions are in the catalogue: keys can be given them from now on.",
        _ => "",
    };
    let template = keyspace_page(&visitor, &name, &state).await?;
    Ok(page(&KeyspacePage { done, ..template }))
}

async fn keyspace_page(
    visitor: &Visitor,
    name: &KeyspaceName,
    state: &AppState,
) -> Result<KeyspacePage, Problem> {
    visitor.operates::<KeyspacesRead>()?;
    let found = state.store.find_keyspace(name).await?;
    let (keyspace, _) = found.ok_or_else(no_such_keyspace)?;
    let now = state.clock.now();
    let of = UsageOf::Keyspace(name.clone());
    let chart = last_day_for(visitor, of, now, state).await?;
    let is_built_in = keyspace.is_service();
    let new_key = if is_built_in {
        "/service-keys/new".to_owned()
    } else {
        link("/keys/new", &[("keyspace", name.as_str())])
    };
    let described = text(keyspace.description.as_ref());
    Ok(KeyspacePage {
        frame: Frame::of(visitor, name.as_str(), Section::Keyspaces),
        name: name.to_string(),
        prefix: keyspace.prefix.to_string(),
        is_built_in,
        created: Moment::new(keyspace.created_at, now),
        chart,
        new_key: visitor.holds(Operation::KeysWrite).then_some(new_key),
        may_change: !is_built_in && visitor.holds(Operation::KeyspacesWrite),
        details: Details {
            description: described.clone(),
            self_service: keyspace.self_service,
            error: None,
        },
        description: described,
        self_service: keyspace.self_service,
        permissions: catalogue_of(&keyspace),
        added: String::new(),
        added_refused: Vec::new(),
        done: "",
    })
}

fn text(description: Option<&Description>) -> String {
    description.map(ToString::to_string).unwrap_or_default()
}

fn catalogue_of(keyspace: &Keyspace) -> Vec<Line> {
    let line = |permission: &Permission| Line {
        name: permission.name.to_string(),
        description: explanation(keyspace, permission),
        error: None,
    };
    keyspace.catalogue.permissions().iter().map(line).collect()
}

/// Changes the keyspace, and answers which fields were refused: none where it was changed.
async fn change(
    visitor: &Visitor,
    name: &KeyspaceName,
    wanted: PatchKeyspace,
    provenance: Provenance,
    state: &AppState,
) -> Result<Vec<FieldError>, Problem> {
    let authority = visitor.operates::<KeyspacesWrite>()?;
    let (state, path) = (State(state.clone()), NamePath(name.clone()));
    match update_keyspace(authority, state, path, provenance, Json(wanted)).await {
        Ok(_) => Ok(Vec::new()),
        Err(problem) if problem.code() == ErrorCode::ValidationFailed => {
            Ok(problem.errors().to_vec())
        }
        Err(problem) => Err(problem),
    }
}

fn after(name: &KeyspaceName, done: &str) -> Response {
    Redirect::to(&format!("/keyspaces/{name}?done={done}")).into_response()
}

fn again(template: &KeyspacePage) -> Response {
    page_with(StatusCode::UNPROCESSABLE_ENTITY, template)
}

/// `POST /keyspaces/{name}`
pub(super) async fn update(
    State(state): State<AppState>,
    NamePath(name): NamePath,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let self_service = fields.given("self_service").is_some();
    let wanted = PatchKeyspace {
        description: Some(fields.given("description").map(str::to_owned)),
        self_service: Some(Some(self_service)),
        permissions: Vec::new(),
    };
    let errors = change(&visitor, &name, wanted, provenance, &state).await?;
    if errors.is_empty() {
        return Ok(after(&name, "updated"));
    }
    let template = keyspace_page(&visitor, &name, &state).await?;
    let details = Details {
        description: fields.one("description").to_owned(),
        self_service,
        error: errors.first().map(|error| error.detail.clone()),
    };
    Ok(again(&KeyspacePage {
        details,
        ..template
    }))
}

/// `POST /keyspaces/{name}/descriptions`: of the permissions that there are.
pub(super) async fn describe(
    State(state): State<AppState>,
    NamePath(name): NamePath,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let typed: Vec<_> = fields
        .all("permission")
        .zip(fields.all("description"))
        .collect();
    let described = typed.iter().map(|(permission, description)| {
        let given = (!description.is_empty()).then(|| (*description).to_owned());
        catalogue::described(permission, Some(given))
    });
    let wanted = PatchKeyspace {
        permissions: described.collect(),
        ..PatchKeyspace::default()
    };
    let errors = change(&visitor, &name, wanted, provenance, &state).await?;
    if errors.is_empty() {
        return Ok(after(&name, "described"));
    }
    let error_of = |wanted: usize| {
        let mut errors = errors.iter();
        let found = errors.find(|error| catalogue::index(&error.pointer) == Some(wanted));
        found.map(|error| error.detail.clone())
    };
    let line = |(place, (permission, description)): (usize, &(&str, &str))| Line {
        name: (*permission).to_owned(),
        description: (*description).to_owned(),
        error: error_of(place),
    };
    let template = keyspace_page(&visitor, &name, &state).await?;
    Ok(again(&KeyspacePage {
        permissions: typed.iter().enumerate().map(line).collect(),
        ..template
    }))
}

/// `POST /keyspaces/{name}/permissions`: more of them.
pub(super) async fn add(
    State(state): State<AppState>,
    NamePath(name): NamePath,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let added = fields.one("permissions");
    let wanted = PatchKeyspace {
        permissions: catalogue::permissions(added),
        ..PatchKeyspace::default()
    };
    if wanted.permissions.is_empty() {
        let detail = "must name a permission at least";
        let template = KeyspacePage {
            added_refused: vec![detail.to_owned()],
            ..keyspace_page(&visitor, &name, &state).await?
        };
        return Ok(again(&template));
    }
    let errors = change(&visitor, &name, wanted, provenance, &state).await?;
    if errors.is_empty() {
        return Ok(after(&name, "added"));
    }
    let template = keyspace_page(&visitor, &name, &state).await?;
    Ok(again(&KeyspacePage {
        added: added.to_owned(),
        added_refused: catalogue::refused(&errors, added),
        ..template
    }))
}
