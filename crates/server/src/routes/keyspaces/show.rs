//! `GET /api/keyspaces/{name}`

use axum::Json;
use axum::extract::State;
use keywright_api::Keyspace;

use crate::authority::{KeyspacesRead, UserOrService};
use crate::extract::{NamePath, no_such_keyspace};
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire;

/// Show a keyspace
#[utoipa::path(
    get,
    path = "/api/keyspaces/{name}",
    tag = "Keyspaces",
    params(("name" = String, Path, description = "The keyspace's name", example = "default")),
    responses(
        (status = 200, description = "The keyspace", body = Keyspace),
        (status = 404, description = "`not_found`"),
    )
)]
pub(crate) async fn get_keyspace(
    _: UserOrService<KeyspacesRead>,
    State(state): State<AppState>,
    NamePath(name): NamePath,
) -> Result<Json<Keyspace>, Problem> {
    let (keyspace, _) = state
        .store
        .find_keyspace(&name)
        .await?
        .ok_or_else(no_such_keyspace)?;
    Ok(Json(wire::keyspace(&keyspace)))
}
