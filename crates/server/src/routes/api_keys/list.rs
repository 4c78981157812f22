//! `GET /api/api-keys`

use axum::extract::State;
use axum::response::Response;
use keywright_api::Key;
use keywright_core::authority::{Caller, Refusal};
use keywright_core::identifier::UserId;
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::SERVICE;
use keywright_core::lifecycle::Status;
use keywright_store::{KeyQuery, Position};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ActingFor, refused};
use crate::authority::{KeysRead, UserOrService};
use crate::extract::Query;
use crate::paging;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// Which keys to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyFilter {
    /// Only keys in this state.
    #[param(value_type = Option<keywright_api::KeyStatus>)]
    status: Option<String>,
    /// Only keys of this keyspace.
    #[param(pattern = r"^[a-z][a-z0-9-]{0,31}$")]
    pub(crate) keyspace: Option<String>,
    /// At most so many; 500 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<String>,
    /// The place to go on from: it stands in the `Link` of the page before.
    cursor: Option<String>,
}

/// List keys
///
/// Newest first, of every status. With a service key, `Keywright-User` names whose; without it, and with
/// `keyspace=keywright`, the service keys are listed.
#[utoipa::path(
    get,
    path = "/api/api-keys",
    tag = "API keys",
    params(KeyFilter, ActingFor),
    responses(
        (status = 200, description = "One page of keys", body = [Key],
            headers(("Link" = String, description = "`<…>; rel=\"next\"` where there is more"))),
        (status = 403, description = "`insufficient_scope`, `service_key_required`"),
    )
)]
pub(crate) async fn list_user_api_keys(
    authority: UserOrService<KeysRead>,
    State(state): State<AppState>,
    Query(filter): Query<KeyFilter>,
) -> Result<Response, Problem> {
    let service_keys = filter.keyspace.as_deref() == Some(SERVICE);
    let owner = match &authority.caller {
        Caller::User(_) if service_keys => return Err(refused(&Refusal::ServiceKeysOnly)),
        Caller::ServiceKey {
            acting_for: None, ..
        } => authority.owner(service_keys)?,
        // A user has none, so the list is empty.
        _ => authority.owner(false)?,
    };
    filter.answer(owner, "/api/api-keys", &state).await
}

impl KeyFilter {
    /// One page of the keys of `owner`.
    pub(crate) async fn answer(
        self,
        owner: UserId,
        path: &str,
        state: &AppState,
    ) -> Result<Response, Problem> {
        let mut validation = Validation::default();
        let status = self.status.as_deref().and_then(|text| {
            validation.take(
                "?status",
                Status::parse(text).ok_or("must be ACTIVE, SUSPENDED or REVOKED"),
            )
        });
        let keyspace = self
            .keyspace
            .clone()
            .and_then(|name| validation.keyspace_name("?keyspace", name));
        let limit = validation.limit(self.limit.as_deref());
        let after = validation.cursor(self.cursor.as_deref());
        validation.done()?;
        let query = KeyQuery {
            user_id: Some(owner),
            status,
            keyspace,
            after,
            limit,
        };
        let page = state.store.list_keys(&query).await?;
        let parameters = [
            ("status", self.status.as_deref()),
            ("keyspace", self.keyspace.as_deref()),
            ("limit", self.limit.as_deref()),
        ];
        let place = |record: &KeyRecord| Position {
            at: record.key.created_at,
            id: record.key.id.0,
        };
        Ok(paging::answer(&page, place, wire::key, path, &parameters))
    }
}
