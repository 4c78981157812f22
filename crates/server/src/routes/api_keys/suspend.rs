//! `POST /api/api-keys/{key_id}/suspend`

use axum::Json;
use axum::extract::State;
use keywright_api::Key;
use keywright_core::authority::KeyEdit;
use keywright_core::lifecycle::Transition;

use super::{ActingFor, KeyPath, change};
use crate::attribution::Provenance;
use crate::authority::{KeysWrite, UserOrService};
use crate::extract::KeyIdPath;
use crate::problem::Problem;
use crate::state::AppState;

/// Suspend a key
///
/// It stops working until it is reactivated.
#[utoipa::path(
    post,
    path = "/api/api-keys/{key_id}/suspend",
    tag = "API keys",
    params(KeyPath, ActingFor),
    responses(
        (status = 200, description = "The key as it is now", body = Key),
        (status = 404, description = "`not_found`: there is no such key, or it is another user's"),
        (status = 409, description = "`key_revoked`, `last_service_key`"),
    )
)]
pub(crate) async fn suspend_api_key(
    authority: UserOrService<KeysWrite>,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
) -> Result<Json<Key>, Problem> {
    change(
        authority,
        id,
        KeyEdit::Transition(Transition::Suspend),
        provenance,
        &state,
    )
    .await
}
