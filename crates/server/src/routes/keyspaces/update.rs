//! `PATCH /api/keyspaces/{name}`

use axum::Json as Answer;
use axum::extract::State;
use keywright_api::{Keyspace, PatchKeyspace};
use keywright_core::keyspace::KeyspaceEdit;
use keywright_store::KeyspaceEdited;

use super::refused;
use crate::attribution::Provenance;
use crate::authority::{KeyspacesWrite, Service};
use crate::extract::{Json, NamePath, no_such_keyspace};
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// Change a keyspace
///
/// Changes descriptions and `self_service`, and adds permissions. It never removes one.
#[utoipa::path(
    patch,
    path = "/api/keyspaces/{name}",
    tag = "Keyspaces",
    params(("name" = String, Path, description = "The keyspace's name", example = "default")),
    request_body = PatchKeyspace,
    responses(
        (status = 200, description = "The keyspace as it is now", body = Keyspace),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`built_in_keyspace`"),
    )
)]
pub(crate) async fn update_keyspace(
    authority: Service<KeyspacesWrite>,
    State(state): State<AppState>,
    NamePath(name): NamePath,
    provenance: Provenance,
    Json(patch): Json<PatchKeyspace>,
) -> Result<Answer<Keyspace>, Problem> {
    let mut validation = Validation::default();
    let description = validation.clearable(patch.description, |validation, text| {
        validation.text("/description", text)
    });
    let permissions = validation.new_permissions(patch.permissions);
    if patch.self_service == Some(None) {
        validation.refuse("/self_service", "cannot be cleared: it is true or false");
    }
    validation.done()?;
    let edit = KeyspaceEdit {
        description,
        self_service: patch.self_service.flatten(),
        permissions,
    };
    let by = provenance.of(authority.actor(), &state)?;
    match state.store.edit_keyspace(name, edit, by).await? {
        KeyspaceEdited::Done(keyspace) => Ok(Answer(wire::keyspace(&keyspace))),
        KeyspaceEdited::Missing => Err(no_such_keyspace()),
        KeyspaceEdited::Refused(refusal) => Err(refused(&refusal)),
    }
}
