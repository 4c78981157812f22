//! `POST /api/api-keys/{key_id}/reactivate`

use axum::Json;
use axum::extract::State;
use keywright_api::Key;
use keywright_core::authority::KeyEdit;
use keywright_core::lifecycle::Transition;

use super::change;
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
    params(("key_id" = uuid::Uuid, Path, description = "The key's id"),
        ("Keywright-User" = Option<String>, Header, description = "With a service key: only a key of this user.",
            min_length = 1, max_length = 255)),
    responses(
        (status = 200, description = "The key as it is now", body = Key),
        (status = 404, description = "`not_found`: there is no such key, or it is another user's",
            body = keywright_api::Problem, content_type = "application/problem+json"),
        (status = 409, description = "`key_revoked`",
            body = keywright_api::Problem, content_type = "application/problem+json"),
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
