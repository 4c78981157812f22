//! `DELETE /api/users/{id}`

use axum::extract::State;
use axum::http::StatusCode;

use crate::attribution::Provenance;
use crate::authority::{Service, UsersWrite};
use crate::extract::{UserIdPath, no_such_user};
use crate::problem::Problem;
use crate::state::AppState;

/// Delete a user
///
/// Takes the user's keys with it. A JWT of theirs that is still good makes the user anew, without the keys.
#[utoipa::path(
    delete,
    path = "/api/users/{id}",
    tag = "Users",
    params(("id" = String, Path, description = "The user's id, percent-encoded", example = "user-1")),
    responses(
        (status = 204, description = "The user is gone, with all keys"),
        (status = 404, description = "`not_found`"),
    )
)]
pub(crate) async fn delete_user(
    authority: Service<UsersWrite>,
    State(state): State<AppState>,
    UserIdPath(id): UserIdPath,
    provenance: Provenance,
) -> Result<StatusCode, Problem> {
    let by = provenance.of(authority.actor(), &state)?;
    if state.store.delete_user(id, by).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_such_user())
    }
}
