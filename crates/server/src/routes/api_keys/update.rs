//! `PATCH /api/api-keys/{key_id}`

use axum::Json as Answer;
use axum::extract::State;
use keywright_api::{Key, PatchKey};
use keywright_core::authority::{DetailsEdit, KeyEdit};
use keywright_core::key::Metadata;

use super::{ActingFor, KeyPath, change, changeable};
use crate::attribution::Provenance;
use crate::authority::{KeysWrite, UserOrService};
use crate::extract::{Json, KeyIdPath};
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

/// Change a key's name, description, metadata or expiry
///
/// Absence keeps, null clears, `metadata` is replaced whole.
#[utoipa::path(
    patch,
    path = "/api/api-keys/{key_id}",
    tag = "API keys",
    params(KeyPath, ActingFor),
    request_body = PatchKey,
    responses(
        (status = 200, description = "The key as it is now", body = Key),
        (status = 403, description = "`insufficient_scope`, `not_self_service`"),
        (status = 404, description = "`not_found`: there is no such key, or it is another user's"),
        (status = 409, description = "`key_revoked`, `last_service_key`"),
    )
)]
pub(crate) async fn update_api_key(
    authority: UserOrService<KeysWrite>,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
    Json(patch): Json<PatchKey>,
) -> Result<Answer<Key>, Problem> {
    let mut validation = Validation::default();
    let name = match patch.name {
        None => None,
        Some(Some(name)) => validation.text("/name", name),
        Some(None) => {
            validation.refuse("/name", "cannot be cleared: a key has a name");
            None
        }
    };
    let description = validation.clearable(patch.description, |validation, text| {
        validation.text("/description", text)
    });
    let metadata = validation.clearable(patch.metadata, |validation, object| {
        validation.metadata("/metadata", &object)
    });
    let expires_at = validation.clearable(patch.expires_at, |validation, text| {
        validation.expiry("/expires_at", &text, &*state.clock)
    });
    if let Err(refusal) = validation.done() {
        changeable(&authority.caller, id, &state).await?;
        return Err(refusal);
    }
    let metadata = metadata.map(|metadata| metadata.unwrap_or_else(Metadata::empty));
    let edit = KeyEdit::Details(DetailsEdit {
        name,
        description,
        metadata,
        expires_at,
    });
    change(authority, id, edit, provenance, &state).await
}
