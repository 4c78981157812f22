//! `GET /api/whoami`

use axum::Json;
use axum::extract::State;
use keywright_api::Key;

use crate::authority::GoodHolder;
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire;

/// Show the presented key
///
/// A key that is suspended, revoked or expired is answered 401, and `detail` says which.
#[utoipa::path(
    get,
    path = "/api/whoami",
    tag = "The key itself",
    responses((status = 200, description = "The key", body = Key))
)]
pub(crate) async fn whoami(
    GoodHolder(record): GoodHolder,
    State(state): State<AppState>,
) -> Result<Json<Key>, Problem> {
    state.verifier.note_use(&record);
    Ok(Json(wire::key(&record)))
}
