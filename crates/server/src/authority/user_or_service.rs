//! Routes for users, and for service keys that act for them.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use keywright_core::audit::{Actor, ActorKind};
use keywright_core::authority::Caller;
use keywright_core::identifier::UserId;

use super::credential::{self, Credential};
use super::{Authority, Needed, Needs};
use crate::problem::Problem;
use crate::state::AppState;

/// A user by a JWT, or a service key that holds the operation `O`.
pub(crate) struct UserOrService<O> {
    pub(crate) caller: Caller,
    pub(crate) actor: Actor,
    operation: PhantomData<O>,
}

impl<O: Needed> Authority for UserOrService<O> {
    const NEEDS: Needs = Needs::UserOrService(O::OPERATION);
}

impl<O> UserOrService<O> {
    /// For whoever was found to hold the operation.
    pub(crate) const fn admitted(caller: Caller, actor: Actor) -> Self {
        Self {
            caller,
            actor,
            operation: PhantomData,
        }
    }

    /// Whose keys are meant, where a route needs to know: the user, the one that a service key acts for, or the
    /// reserved owner where service keys themselves are meant.
    ///
    /// # Errors
    /// 422 where a service key does not say, or says too much.
    pub(crate) fn owner(&self, means_service_keys: bool) -> Result<UserId, Problem> {
        let refused = |detail: &str| Err(Problem::invalid_field("Keywright-User", detail));
        match (&self.caller, means_service_keys) {
            (
                Caller::ServiceKey {
                    acting_for: None, ..
                },
                true,
            ) => Ok(UserId::reserved()),
            (
                Caller::ServiceKey {
                    acting_for: Some(_),
                    ..
                },
                true,
            ) => refused("must be left out: service keys belong to the server, not to a user"),
            (
                Caller::ServiceKey {
                    acting_for: Some(user),
                    ..
                }
                | Caller::User(user),
                _,
            ) => Ok(user.clone()),
            _ => refused("is required: the id of the user that the service key acts for"),
        }
    }
}

impl<O: Needed> FromRequestParts<AppState> for UserOrService<O> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let admitted = async {
            let Credential { text, is_jwt } = credential::credential(&parts.headers)?;
            if is_jwt {
                let user = credential::user(text, state).await?;
                let actor = Actor {
                    kind: ActorKind::User,
                    id: user.to_string(),
                };
                return Ok(Self::admitted(Caller::User(user), actor));
            }
            let key = credential::service_key(text, O::OPERATION, state).await?;
            let acting_for = credential::acting_for(&parts.headers)?;
            let actor = Actor {
                kind: ActorKind::ServiceKey,
                id: key.id.to_string(),
            };
            let caller = Caller::ServiceKey {
                grants: key.grants,
                acting_for,
            };
            Ok(Self::admitted(caller, actor))
        };
        admitted
            .await
            .map_err(|problem| credential::count_failure(problem, parts, state))
    }
}
