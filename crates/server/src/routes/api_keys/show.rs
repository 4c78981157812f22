//! `GET /api/api-keys/{key_id}`

use axum::Json;
use axum::extract::State;
use keywright_api::Key;

use super::{ActingFor, KeyPath, visible};
use crate::authority::{KeysRead, UserOrService};
use crate::extract::KeyIdPath;
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire;

/// Show a key
#[utoipa::path(
    get,
    path = "/api/api-keys/{key_id}",
    tag = "API keys",
    params(KeyPath, ActingFor),
    responses(
        (status = 200, description = "The key", body = Key),
        (status = 404, description = "`not_found`: there is no such key, or it is another user's"),
    )
)]
pub(crate) async fn get_api_key(
    authority: UserOrService<KeysRead>,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
) -> Result<Json<Key>, Problem> {
    let record = visible(&authority.caller, id, &state).await?;
    Ok(Json(wire::key(&record)))
}
