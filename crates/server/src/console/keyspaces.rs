//! `/keyspaces` and `/new-keyspace`: families of keys, and another one. (A keyspace may be called `new`, so the form is
//! not at `/keyspaces/new`.)

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use keywright_api::{CreateKeyspace, ErrorCode, FieldError};
use keywright_core::keyspace::{Keyspace, Operation};

use super::catalogue;
use super::form::Refused;
use super::page::{Frame, Section, page, page_with};
use super::posted::{Fields, Posted};
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::{KeyspacesRead, KeyspacesWrite};
use crate::extract::Json;
use crate::problem::Problem;
use crate::routes::keyspaces::create::create_keyspace;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "console/keyspaces.html")]
struct List {
    frame: Frame,
    keyspaces: Vec<Line>,
    may_create: bool,
}

struct Line {
    name: String,
    prefix: String,
    description: String,
    self_service: bool,
    is_built_in: bool,
    permissions: usize,
}

/// `GET /keyspaces`
pub(super) async fn list(
    visitor: Visitor,
    State(state): State<AppState>,
) -> Result<Response, Problem> {
    visitor.operates::<KeyspacesRead>()?;
    let line = |keyspace: &Keyspace| Line {
        name: keyspace.name.to_string(),
        prefix: keyspace.prefix.to_string(),
        description: keyspace
            .description
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        self_service: keyspace.self_service,
        is_built_in: keyspace.is_service(),
        permissions: keyspace.catalogue.permissions().len(),
    };
    let all = state.store.list_keyspaces().await?;
    Ok(page(&List {
        frame: Frame::of(&visitor, "Keyspaces", Section::Keyspaces),
        keyspaces: all.iter().map(line).collect(),
        may_create: visitor.holds(Operation::KeyspacesWrite),
    }))
}

#[derive(Template)]
#[template(path = "console/new_keyspace.html")]
struct NewKeyspace {
    frame: Frame,
    typed: Typed,
    refused: Refused,
    refused_permissions: Vec<String>,
}

/// What somebody typed so far: nothing of it is lost.
#[derive(Default)]
struct Typed {
    name: String,
    prefix: String,
    description: String,
    self_service: bool,
    permissions: String,
}

impl NewKeyspace {
    fn with(visitor: &Visitor, typed: Typed, errors: Vec<FieldError>) -> Self {
        Self {
            frame: Frame::of(visitor, "New keyspace", Section::Keyspaces),
            refused_permissions: catalogue::refused(&errors, &typed.permissions),
            refused: Refused(errors),
            typed,
        }
    }
}

/// `GET /new-keyspace`
pub(super) async fn form(visitor: Visitor) -> Result<Response, Problem> {
    visitor.operates::<KeyspacesWrite>()?;
    let template = NewKeyspace::with(&visitor, Typed::default(), Vec::new());
    Ok(page(&template))
}

/// `POST /keyspaces`
pub(super) async fn create(
    State(state): State<AppState>,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let authority = visitor.operates::<KeyspacesWrite>()?;
    let typed = Typed::of(&fields);
    let wanted = Json(typed.wanted());
    let problem = match create_keyspace(authority, State(state), provenance, wanted).await {
        Ok(made) => {
            let path = format!("/keyspaces/{}?done=created", made.name);
            return Ok(Redirect::to(&path).into_response());
        }
        Err(problem) => problem,
    };
    let beside = |pointer: &str| {
        vec![FieldError {
            pointer: pointer.to_owned(),
            detail: problem.detail().to_owned(),
        }]
    };
    let errors = match problem.code() {
        ErrorCode::ValidationFailed => problem.errors().to_vec(),
        ErrorCode::KeyspaceExists => beside("/name"),
        ErrorCode::PrefixOverlaps => beside("/prefix"),
        _ => return Err(problem),
    };
    let template = NewKeyspace::with(&visitor, typed, errors);
    Ok(page_with(problem.status(), &template))
}

impl Typed {
    fn of(fields: &Fields) -> Self {
        let one = |name| fields.one(name).to_owned();
        Self {
            name: one("name"),
            prefix: one("prefix"),
            description: one("description"),
            self_service: fields.given("self_service").is_some(),
            permissions: one("permissions"),
        }
    }

    /// What the API takes.
    fn wanted(&self) -> CreateKeyspace {
        let description = &self.description;
        CreateKeyspace {
            name: self.name.trim().to_owned(),
            prefix: self.prefix.trim().to_owned(),
            description: (!description.is_empty()).then(|| description.clone()),
            self_service: self.self_service,
            permissions: catalogue::permissions(&self.permissions),
        }
    }
}
