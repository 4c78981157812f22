//! `/health/live` and `/health/ready`

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::authority::Anybody;
use crate::problem::Problem;
use crate::state::AppState;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `live` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Whether the process runs
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "Operations",
    responses((status = 200, description = "It runs", body = Health))
)]
pub(crate) async fn live(_: Anybody) -> Json<Health> {
    Json(Health { status: "live" })
}

/// Whether the server can do its work
///
/// 503 where not; `detail` says why not.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "Operations",
    responses((status = 200, description = "It can", body = Health))
)]
pub(crate) async fn ready(
    _: Anybody,
    State(state): State<AppState>,
) -> Result<Json<Health>, Problem> {
    if state.stopping.load(Ordering::Relaxed) {
        return Err(Problem::unavailable("the server is stopping"));
    }
    state.store.check().await?;
    if let Some(membership) = &state.membership {
        let deadline = state.verifier.lease().deadline();
        if !deadline.is_ahead(&*state.clock) {
            let failure = membership.state().failure;
            let cause =
                failure.map_or_else(|| "it has just begun".to_owned(), |failure| failure.text);
            tracing::debug!(cause, "not ready: there is no lease");
            return Err(Problem::unavailable(
                "the node has no lease, so every verification asks the database; the log says why",
            ));
        }
    }
    Ok(Json(Health { status: "ready" }))
}
