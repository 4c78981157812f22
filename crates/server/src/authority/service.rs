//! Routes for service keys.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use keywright_api::ErrorCode;
use keywright_core::audit::{Actor, ActorKind};
use keywright_core::identifier::KeyId;
use keywright_core::keyspace::Operation;

use super::credential::{self, Credential};
use super::{Authority, Needed, Needs};
use crate::problem::Problem;
use crate::state::AppState;

/// A service key that holds the operation `O`.
pub(crate) struct Service<O> {
    id: KeyId,
    operation: PhantomData<O>,
}

impl<O: Needed> Authority for Service<O> {
    const NEEDS: Needs = Needs::Service(O::OPERATION);
}

impl<O> Service<O> {
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            kind: ActorKind::ServiceKey,
            id: self.id.to_string(),
        }
    }
}

/// A caller whose service key was found good for an operation before the request reached the router, and whose use was
/// noted. Nothing that a client sends becomes one: [`crate::fast_path`] alone puts it among a request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) id: KeyId,
    pub(crate) operation: Operation,
}

impl<O: Needed> FromRequestParts<AppState> for Service<O> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        if let Some(Admitted { id, operation }) = parts.extensions.get()
            && *operation == O::OPERATION
        {
            return Ok(Self {
                id: *id,
                operation: PhantomData,
            });
        }
        let admitted = async {
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
            Ok(key) => Ok(Self {
                id: key.id,
                operation: PhantomData,
            }),
            Err(problem) => Err(credential::count_failure(problem, parts, state)),
        }
    }
}
