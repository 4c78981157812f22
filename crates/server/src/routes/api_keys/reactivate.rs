//! `POST /api/api-keys/{key_id}/reactivate`

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

/// Reactivate a key
///
/// It works again, unless it is expired.
#[utoipa::path(
    post,
    path = "/api/api-keys/{key_id}/reactivate",
    tag = "API keys",
    params(KeyPath, ActingFor),
    responses(
        (status = 200, description = "The key as it is now", body = Key),
        (status = 404, description = "`not_found`: there is no such key, or it is another user's"),
        (status = 409, description = "`key_revoked`"),
    )
)]
pub(crate) async fn reactivate_api_key(
    authority: UserOrService<KeysWrite>,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    provenance: Provenance,
) -> Result<Json<Key>, Problem> {
    change(
        authority,
        id,
        KeyEdit::Transition(Transition::Reactivate),
        provenance,
        &state,
    )
    .await
}
