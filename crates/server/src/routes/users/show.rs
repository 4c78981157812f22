//! `GET /api/users/{id}`

use axum::Json;
use axum::extract::State;
use keywright_api::User;

use crate::authority::{Service, UsersRead};
use crate::extract::{UserIdPath, no_such_user};
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire;

/// Show a user
#[utoipa::path(
    get,
    path = "/api/users/{id}",
    tag = "Users",
    params(("id" = String, Path, description = "The user's id, percent-encoded", example = "user-1")),
    responses(
        (status = 200, description = "The user", body = User),
        (status = 404, description = "`not_found`"),
    )
)]
pub(crate) async fn get_user(
    _: Service<UsersRead>,
    State(state): State<AppState>,
    UserIdPath(id): UserIdPath,
) -> Result<Json<User>, Problem> {
    let user = state.store.find_user(&id).await?.ok_or_else(no_such_user)?;
    Ok(Json(wire::user(&user)))
}
