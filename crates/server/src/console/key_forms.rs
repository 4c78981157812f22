//! The forms of `/keys/{id}`: what is done to one key.

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use keywright_api::{ErrorCode, PatchKey, ReplacePermissions};
use keywright_core::authority::KeyEdit;
use keywright_core::identifier::KeyId;
use keywright_core::key::KeyRecord;
use keywright_core::lifecycle::Transition;
use keywright_core::timestamp::Timestamp;

use super::form::{expiry, metadata, no_day};
use super::key::{Typed, refused_page, state_of};
use super::posted::{Fields, Posted};
use super::shown::{confirmation, in_one_line};
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::{KeysWrite, UserOrService};
use crate::extract::{Json, KeyIdPath};
use crate::problem::Problem;
use crate::routes::api_keys::{change, changeable, permissions, update, visible};
use crate::state::AppState;

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
    typed: Typed<'_>,
    visitor: &Visitor,
    id: KeyId,
    state: &AppState,
) -> Result<Response, Problem> {
    match outcome {
        Ok(done) => Ok(Redirect::to(&format!("/keys/{id}?done={done}")).into_response()),
        Err(problem) if problem.code() == ErrorCode::ValidationFailed => {
            refused_page(visitor, id, typed, &problem, state).await
        }
        Err(problem) => Err(problem),
    }
}

/// Refuses what was made for another state of the key.
fn is_for(record: &KeyRecord, fields: &Fields) -> Result<(), Problem> {
    let made_for = fields.one("made_for");
    if made_for.is_empty() || made_for == state_of(record) {
        return Ok(());
    }
    Err(Problem::invalid_field(
        "/made_for",
        "the key was changed meanwhile, by somebody else or in another window: look at what it is now, and send the form \
         again",
    ))
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
        let record = changeable(&authority.caller, id, &state).await?;
        is_for(&record, &fields)?;
        let patch = patch(&record, &fields, state.clock.now())?;
        let (state, patch) = (State(state.clone()), Json(patch));
        update::update_api_key(authority, state, KeyIdPath(id), provenance, patch).await
    };
    let updated = updated.await.map(|_| "updated");
    after(updated, Typed::Details(&fields), &visitor, id, &state).await
}

fn patch(record: &KeyRecord, fields: &Fields, now: Timestamp) -> Result<PatchKey, Problem> {
    // A field of one line leaves the line ends out that a program may have put into a name.
    let name = fields.one("name");
    let is_as_it_was = name == record.key.name.as_str().replace(['\r', '\n'], "");
    Ok(PatchKey {
        name: (!is_as_it_was).then(|| Some(name.to_owned())),
        description: Some(fields.given("description").map(str::to_owned)),
        // Who may not change it is not offered the field.
        metadata: fields
            .has("metadata")
            .then(|| metadata(fields))
            .transpose()?,
        expires_at: match fields.one("expiry") {
            "keep" | "" => no_day(fields)?,
            _ => Some(expiry(fields, now)?),
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
    let replaced = async {
        let record = changeable(&authority.caller, id, &state).await?;
        is_for(&record, &fields)?;
        let permissions = fields.all("permission").map(str::to_owned).collect();
        let (state, wanted) = (
            State(state.clone()),
            Json(ReplacePermissions { permissions }),
        );
        let path = KeyIdPath(id);
        permissions::update_api_key_permissions(authority, state, path, provenance, wanted).await
    };
    let replaced = replaced.await.map(|_| "updated");
    after(replaced, Typed::Permissions(&fields), &visitor, id, &state).await
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
    let found = visible(&about.authority.caller, about.id, &about.state).await;
    if found.is_err() {
        // As every change that finds nothing to do (CONTRACT §5).
        about.state.store.settle().await?;
    }
    let record = found?;
    if in_one_line(about.fields.one("confirm")) != confirmation(&record) {
        let detail = "must be what stands above, letter by letter";
        let refused = Err(Problem::invalid_field("/confirm", detail));
        let typed = Typed::Nothing;
        return after(refused, typed, &about.visitor, about.id, &about.state).await;
    }
    about.transition(Transition::Revoke, "revoked").await
}

impl About {
    async fn transition(self, to: Transition, done: &str) -> Result<Response, Problem> {
        let edit = KeyEdit::Transition(to);
        let changed = change(self.authority, self.id, edit, self.provenance, &self.state);
        let changed = changed.await.map(|_| done);
        after(changed, Typed::Nothing, &self.visitor, self.id, &self.state).await
    }
}
