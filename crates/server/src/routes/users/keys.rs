//! `GET /api/users/{id}/api-keys`

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use keywright_api::Key;

use crate::authority::{Service, UsersRead};
use crate::extract::{Query, UserIdPath, no_such_user};
use crate::problem::Problem;
use crate::routes::api_keys::list::KeyFilter;
use crate::state::AppState;

/// List a user's keys
///
/// Newest first, of every status.
#[utoipa::path(
    get,
    path = "/api/users/{id}/api-keys",
    tag = "Users",
    params(("id" = String, Path, description = "The user's id, percent-encoded", example = "user-1"), KeyFilter),
    responses(
        (status = 200, description = "One page of keys", body = [Key],
            headers(("Link" = String, description = "`<…>; rel=\"next\"` where there is more"))),
        (status = 404, description = "`not_found`"),
    )
)]
pub(crate) async fn list_keys_of_user(
    _: Service<UsersRead>,
    State(state): State<AppState>,
    UserIdPath(id): UserIdPath,
    uri: Uri,
    Query(filter): Query<KeyFilter>,
) -> Result<Response, Problem> {
    state.store.find_user(&id).await?.ok_or_else(no_such_user)?;
    // The path as it came: the id in it stays percent-encoded.
    filter.answer(id, uri.path(), &state).await
}
