//! Routes for service keys.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use keywright_api::ErrorCode;
use keywright_core::audit::{Actor, ActorKind};
use keywright_core::keyspace::Operation;

use super::credential::{self, Credential, ServiceKey};
use super::{Authority, Needed, Needs};
use crate::problem::Problem;
use crate::state::AppState;

/// A service key that holds the operation `O`, or who does by way of the console.
pub(crate) struct Service<O> {
    actor: Actor,
    operation: PhantomData<O>,
}

impl<O: Needed> Authority for Service<O> {
    const NEEDS: Needs = Needs::Service(O::OPERATION);
}

impl<O> Service<O> {
    /// For whoever was found to hold the operation.
    pub(crate) const fn admitted(actor: Actor) -> Self {
        Self {
            actor,
            operation: PhantomData,
        }
    }

    pub(crate) fn actor(&self) -> Actor {
        self.actor.clone()
    }
}

/// What memory says of the caller of a request that has not reached the router yet. It was noted as a use, so nobody
/// asks again. Nothing that a client sends becomes one: [`crate::fast_path`] alone puts it among a request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    operation: Operation,
    pub(crate) outcome: Result<ServiceKey, Problem>,
}

impl Judged {
    /// Judges who presents `text` for `operation`; `None` where memory cannot.
    pub(crate) fn by_memory(text: &str, operation: Operation, state: &AppState) -> Option<Self> {
        let outcome = credential::service_key_from_memory(text, operation, state)?;
        Some(Self { operation, outcome })
    }
}

impl<O: Needed> FromRequestParts<AppState> for Service<O> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let known = parts.extensions.remove::<Judged>();
        let admitted = async {
            if let Some(Judged { operation, outcome }) = known
                && operation == O::OPERATION
            {
                return outcome;
            }
            let Credential { text, is_jwt } = credential::credential(&parts.headers)?;
            if is_jwt {
                // A bad JWT is told so first; a good one is told that it is the wrong kind.
                credential::user(text, state).await?;
                let detail = "this is for service keys only; a user's JWT cannot do it";
                return Err(Problem::new(ErrorCode::ServiceKeyRequired, detail));
            }
            credential::service_key(text, O::OPERATION, state).await
        };
        match admitted.await {
            Ok(key) => Ok(Self::admitted(Actor {
                kind: ActorKind::ServiceKey,
                id: key.id.to_string(),
            })),
            Err(problem) => Err(credential::count_failure(problem, parts, state)),
        }
    }
}
