//! `/keys/new` and `/service-keys/new`, and the page that shows the text of the key that was made, once.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_api::{CreateKey, ErrorCode, FieldError};
use keywright_core::digest::Digest;
use keywright_core::identifier::UserId;
use keywright_core::keyspace::{DEFAULT, Keyspace, Operation, SERVICE};
use keywright_core::timestamp::Timestamp;
use serde::Deserialize;

use super::form::{Group, Refused, expiry, groups, metadata};
use super::page::{Frame, Section, page, page_with, secret_page};
use super::posted::{Fields, Posted};
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::KeysWrite;
use crate::problem::Problem;
use crate::routes::api_keys::create::mint;
use crate::source::own_origin;
use crate::state::AppState;

/// Whose key it is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A user's: one's own, or the one an operator names.
    User,
    /// The server's: a service key.
    Server,
}

impl Owner {
    /// Where the form is sent, which is where such keys are listed.
    const fn path(self) -> &'static str {
        match self {
            Self::User => "/keys",
            Self::Server => "/service-keys",
        }
    }

    const fn section(self) -> Section {
        match self {
            Self::User => Section::Keys,
            Self::Server => Section::ServiceKeys,
        }
    }
}

#[derive(Template)]
#[template(path = "console/new_key.html")]
struct NewKey {
    frame: Frame,
    owner: Owner,
    /// Makes a second sending of the same form known. (Scripts ask a form for its `form`, so it is not called that.)
    once: String,
    keyspaces: Vec<String>,
    keyspace: String,
    groups: Vec<Group>,
    typed: Typed,
    /// Whether another keyspace was chosen than the one whose permissions were shown.
    is_another: bool,
    refused: Refused,
}

/// What somebody typed so far: nothing of it is lost.
#[derive(Default)]
struct Typed {
    name: String,
    description: String,
    user: String,
    expiry: String,
    expires_on: String,
    metadata: String,
}

impl NewKey {
    fn is_service(&self) -> bool {
        self.owner == Owner::Server
    }

    fn is_expiry(&self, choice: &str) -> bool {
        self.typed.expiry == choice
    }
}

#[derive(Template)]
#[template(path = "console/shown_once.html")]
struct ShownOnce<'a> {
    frame: Frame,
    id: String,
    name: String,
    text: &'a str,
    is_service: bool,
    /// Whether it may ask what keys are good for.
    verifies: bool,
    /// Where the server is, as the browser reached it.
    base: String,
}

/// In which keyspace, and for whom.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wanted {
    keyspace: String,
    user: String,
}

/// `GET /keys/new`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    visitor.may::<KeysWrite>(None)?;
    form(&visitor, Owner::User, wanted, &state).await
}

/// `GET /service-keys/new`
pub(super) async fn show_service(
    visitor: Visitor,
    State(state): State<AppState>,
) -> Result<Response, Problem> {
    visitor.operates::<KeysWrite>()?;
    form(&visitor, Owner::Server, Wanted::default(), &state).await
}

async fn form(
    visitor: &Visitor,
    owner: Owner,
    wanted: Wanted,
    state: &AppState,
) -> Result<Response, Problem> {
    let mut random = [0; 16];
    state.entropy.fill(&mut random)?;
    let typed = Typed {
        user: wanted.user,
        expiry: "90".to_owned(),
        ..Typed::default()
    };
    let once = URL_SAFE_NO_PAD.encode(random);
    let template = form_page(visitor, owner, state, once, &wanted.keyspace, &[], typed).await?;
    Ok(page(&template))
}

async fn form_page(
    visitor: &Visitor,
    owner: Owner,
    state: &AppState,
    once: String,
    keyspace: &str,
    chosen: &[String],
    typed: Typed,
) -> Result<NewKey, Problem> {
    let all = state.store.list_keyspaces().await?;
    let may_choose = |keyspace: &&Keyspace| match owner {
        Owner::User => !keyspace.is_service() && (visitor.is_operator() || keyspace.self_service),
        Owner::Server => keyspace.is_service(),
    };
    let open: Vec<&Keyspace> = all.iter().filter(may_choose).collect();
    let named = |name: &str| open.iter().find(|keyspace| keyspace.name.as_str() == name);
    let current = named(keyspace).or_else(|| named(DEFAULT)).or(open.first());
    let is_chosen = |name: &str| chosen.iter().any(|chosen| chosen == name);
    Ok(NewKey {
        frame: Frame::of(
            visitor,
            match owner {
                Owner::User => "New key",
                Owner::Server => "New service key",
            },
            owner.section(),
        ),
        owner,
        once,
        keyspace: current
            .map(|keyspace| keyspace.name.to_string())
            .unwrap_or_default(),
        keyspaces: open
            .iter()
            .map(|keyspace| keyspace.name.to_string())
            .collect(),
        groups: current.map_or_else(Vec::new, |keyspace| groups(keyspace, is_chosen)),
        typed,
        is_another: false,
        refused: Refused::default(),
    })
}

/// `POST /keys`
pub(super) async fn create(
    State(state): State<AppState>,
    provenance: Provenance,
    parts: Parts,
    posted: Posted,
) -> Result<Response, Problem> {
    make(Owner::User, posted, provenance, &parts, &state).await
}

/// `POST /service-keys`
pub(super) async fn create_service(
    State(state): State<AppState>,
    provenance: Provenance,
    parts: Parts,
    posted: Posted,
) -> Result<Response, Problem> {
    posted.visitor.operates::<KeysWrite>()?;
    make(Owner::Server, posted, provenance, &parts, &state).await
}

async fn make(
    owner: Owner,
    Posted { visitor, fields }: Posted,
    provenance: Provenance,
    parts: &Parts,
    state: &AppState,
) -> Result<Response, Problem> {
    let once = fields.one("once").to_owned();
    let chosen: Vec<String> = fields.all("permission").map(str::to_owned).collect();
    let is_another = fields.has("shown") && fields.one("shown") != fields.one("keyspace");
    if fields.given("choose").is_some() || is_another {
        // Another keyspace, and so other permissions: nothing that was typed is lost.
        let (typed, keyspace) = (Typed::of(&fields), fields.one("keyspace"));
        let form = form_page(&visitor, owner, state, once, keyspace, &chosen, typed).await?;
        let form = NewKey { is_another, ..form };
        return Ok(page(&form));
    }
    let minted = async {
        let (acting_for, wanted) = wanted(&visitor, owner, &fields, &chosen, state.clock.now())?;
        let authority = visitor.may::<KeysWrite>(acting_for)?;
        mint(authority, wanted, provenance, state).await
    };
    let minted = match minted.await {
        Ok(minted) => minted,
        Err(problem) => {
            let errors = refused_fields(owner, &problem);
            if errors.is_empty() {
                return Err(problem);
            }
            let typed = Typed::of(&fields);
            let keyspace = fields.one("keyspace");
            let template =
                form_page(&visitor, owner, state, once, keyspace, &chosen, typed).await?;
            let template = NewKey {
                refused: Refused(errors),
                ..template
            };
            return Ok(page_with(problem.status(), &template));
        }
    };
    let digest = Digest::of(&format!("{once} of {}", visitor.session.id));
    let console = state.store.clone().console();
    if !console.use_form(digest, state.clock.now()).await? {
        return Err(Problem::new(
            ErrorCode::MalformedRequest,
            "this form was sent before: look under Keys whether its key was made then (its text was shown once), or make another",
        ));
    }
    let created = minted.keep(state).await?;
    Ok(secret_page(&ShownOnce {
        frame: Frame::of(&visitor, "Your new key", owner.section()),
        is_service: owner == Owner::Server,
        verifies: chosen
            .iter()
            .any(|name| name == Operation::KeysVerify.name()),
        id: created.api_key.id.to_string(),
        name: created.api_key.name.clone(),
        text: &created.plain_text_key,
        base: own_origin(parts, state),
    }))
}

/// What was refused beside its field; nothing where the form cannot be sent better.
fn refused_fields(owner: Owner, problem: &Problem) -> Vec<FieldError> {
    match (problem.code(), owner) {
        (ErrorCode::ValidationFailed, _) => problem.errors().to_vec(),
        // Whoever sent it may make service keys, but not one that may do more than they.
        (ErrorCode::InsufficientScope, Owner::Server) => vec![FieldError {
            pointer: "/permissions".to_owned(),
            detail: format!(
                "nobody can give what they do not hold: {}",
                problem.detail()
            ),
        }],
        _ => Vec::new(),
    }
}

impl Typed {
    fn of(fields: &Fields) -> Self {
        let one = |name| fields.one(name).to_owned();
        Self {
            name: one("name"),
            description: one("description"),
            user: one("user"),
            expiry: one("expiry"),
            expires_on: one("expires_on"),
            metadata: one("metadata"),
        }
    }
}

/// What the form asks of the API, and for whom.
fn wanted(
    visitor: &Visitor,
    owner: Owner,
    fields: &Fields,
    chosen: &[String],
    now: Timestamp,
) -> Result<(Option<UserId>, CreateKey), Problem> {
    let acting_for = if owner == Owner::User && visitor.is_operator() {
        let user = UserId::new(fields.one("user"));
        Some(user.map_err(|error| Problem::invalid_field("/user", error.to_string()))?)
    } else {
        None
    };
    let wanted = CreateKey {
        name: fields.one("name").to_owned(),
        permissions: chosen.to_vec(),
        description: fields.given("description").map(str::to_owned),
        keyspace: match owner {
            Owner::User => fields.given("keyspace").map(str::to_owned),
            Owner::Server => Some(SERVICE.to_owned()),
        },
        expires_at: expiry(fields, now)?,
        metadata: metadata(fields)?,
    };
    Ok((acting_for, wanted))
}
