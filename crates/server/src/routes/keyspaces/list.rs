//! `GET /api/keyspaces`

use axum::Json;
use axum::extract::State;
use keywright_api::Keyspace;

use crate::authority::{KeyspacesRead, UserOrService};
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire;

/// List keyspaces
///
/// All of them, by name: what may I ask for?
#[utoipa::path(
    get,
    path = "/api/keyspaces",
    tag = "Keyspaces",
    responses((status = 200, description = "All keyspaces", body = [Keyspace]))
)]
pub(crate) async fn list_keyspaces(
    _: UserOrService<KeyspacesRead>,
    State(state): State<AppState>,
) -> Result<Json<Vec<Keyspace>>, Problem> {
    let keyspaces = state.store.list_keyspaces().await?;
    Ok(Json(keyspaces.iter().map(wire::keyspace).collect()))
}
