//! `GET /api/api-keys/{key_id}/usage`

use axum::Json;
use axum::extract::State;
use keywright_api::Usage;
use keywright_store::{UsageOf, UsageQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ActingFor, KeyPath, visible};
use crate::authority::{KeysRead, UserOrService};
use crate::extract::{KeyIdPath, Query};
use crate::problem::Problem;
use crate::routes::usage::Span;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// When.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyUsageFilter {
    /// From the bucket on that holds this moment. If absent: 24 hours or 30 days before the end.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Up to this moment, rounded up to the end of its bucket. If absent: now.
    #[param(format = DateTime)]
    to: Option<String>,
    /// How long each bucket is; an hour if absent. Days are those of UTC.
    #[param(pattern = "^(hour|day)$")]
    step: Option<String>,
}

/// Read how often a key was used
///
/// Counts of verifications by what they were answered, in buckets of an hour or a day, at most 1000 of them. What was
/// counted last is there within `--usage-interval`, 10 seconds by default; what is older than the server keeps is not there.
#[utoipa::path(
    get,
    path = "/api/api-keys/{key_id}/usage",
    tag = "API keys",
    params(KeyPath, ActingFor, KeyUsageFilter),
    responses(
        (status = 200, description = "Every bucket, the empty ones too", body = Usage),
        (status = 404, description = "`not_found`: there is no such key, or it is another user's"),
    )
)]
pub(crate) async fn read_key_usage(
    authority: UserOrService<KeysRead>,
    State(state): State<AppState>,
    KeyIdPath(id): KeyIdPath,
    Query(filter): Query<KeyUsageFilter>,
) -> Result<Json<Usage>, Problem> {
    visible(&authority.caller, id, &state).await?;
    let mut validation = Validation::default();
    let asked = Span {
        from: filter.from.as_deref(),
        to: filter.to.as_deref(),
        step: filter.step.as_deref(),
    };
    let over = asked.period(&mut validation, state.clock.now());
    validation.done()?;
    let of = UsageOf::Key(id);
    let counted = state.store.usage(&UsageQuery { of, over }).await?;
    Ok(Json(wire::usage(over, &counted)))
}
