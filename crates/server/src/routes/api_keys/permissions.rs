//! `PUT /api/api-keys/{key_id}/permissions`

use axum::Json as Answer;
use axum::extract::State;
use keywright_api::{Key, ReplacePermissions};
use keywright_core::authority::KeyEdit;
use keywright_core::permission::Grants;

use super::{ActingFor, KeyPath, change, changeable};
use crate::attribution::Provenance;
use crate::authority::{KeysWrite, UserOrService};
use crate::extract::{Json, KeyIdPath};
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

/// Replace a key's permissions
#[utoipa::path(
    put,
    path = "/api/api-keys/{key_id}/permissions",
    tag = "API keys",
    params(KeyPath, ActingFor),
    request_body = ReplacePermissions,
    responses(
        (status = 200, description = "The key as it is now", body = Key),
        (status = 403, description = "`insufficient_scope`, `not_self_service`"),
        (status = 404, description = "`not_found`: there is no such key, or it is another user's"),
        (status = 409, description = "`key_revoked`, `last_service_key`"),
    )
)]
pub(crate) async fn update_api_key_permissions(
    authority: UserOrService<KeysWrite>,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
    Json(wanted): Json<ReplacePermissions>,
) -> Result<Answer<Key>, Problem> {
    let record = changeable(&authority.caller, id, &state).await?;
    // A catalogue only grows, so what its names stand for now they stand for in the transaction, too.
    let mut validation = Validation::default();
    let grants = validation.grants(&wanted.permissions, &record.keyspace.catalogue);
    validation.done()?;
    let edit = KeyEdit::Permissions(grants.unwrap_or(Grants::NONE));
    change(authority, id, edit, provenance, &state).await
}
