//! `DELETE /api/whoami`

use axum::Json;
use axum::extract::State;
use keywright_api::Key;
use keywright_core::authority::{Caller, KeyEdit};
use keywright_core::lifecycle::Transition;
use keywright_store::KeySelector;

use crate::attribution::Provenance;
use crate::authority::Holder;
use crate::problem::Problem;
use crate::routes::api_keys::answer;
use crate::state::AppState;

/// Revoke the presented key
///
/// For whoever finds out that a key leaked: no other credential is needed. A repeat answers the same key again.
#[utoipa::path(
    delete,
    path = "/api/whoami",
    tag = "The key itself",
    responses(
        (status = 200, description = "The key, now REVOKED", body = Key),
        (status = 404, description = "`not_found`: its owner was deleted meanwhile"),
        (status = 409, description = "`last_service_key`"),
    )
)]
pub(crate) async fn revoke_presented_key(
    holder: Holder,
    State(state): State<AppState>,
    provenance: Provenance,
) -> Result<Json<Key>, Problem> {
    let by = provenance.of(holder.actor(), &state)?;
    let which = KeySelector::Id(holder.record.key.id);
    let edit = KeyEdit::Transition(Transition::Revoke);
    answer(
        state
            .store
            .edit_key(which, Caller::Holder, edit, by)
            .await?,
    )
}
