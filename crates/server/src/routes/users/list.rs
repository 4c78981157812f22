//! `GET /api/users`

use axum::extract::State;
use axum::response::Response;
use keywright_api::User;
use keywright_store::{UserPosition, UserQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::authority::{Service, UsersRead};
use crate::extract::Query;
use crate::paging;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// Which users to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserFilter {
    /// At most so many; 500 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<String>,
    /// The place to go on from: it stands in the `Link` of the page before.
    cursor: Option<String>,
}

/// List users
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/users",
    tag = "Users",
    params(UserFilter),
    responses((status = 200, description = "One page of users", body = [User],
        headers(("Link" = String, description = "`<…>; rel=\"next\"` where there is more"))))
)]
pub(crate) async fn list_users(
    _: Service<UsersRead>,
    State(state): State<AppState>,
    Query(filter): Query<UserFilter>,
) -> Result<Response, Problem> {
    let mut validation = Validation::default();
    let limit = validation.limit(filter.limit.as_deref());
    let after = validation.cursor(filter.cursor.as_deref());
    validation.done()?;
    let page = state
        .store
        .list_users(&UserQuery {
            id_start: None,
            after,
            limit,
        })
        .await?;
    let parameters = [("limit", filter.limit.as_deref())];
    let place = |user: &keywright_store::User| UserPosition {
        at: user.created_at,
        id: user.id.clone(),
    };
    Ok(paging::answer(
        &page,
        place,
        wire::user,
        "/api/users",
        &parameters,
    ))
}
