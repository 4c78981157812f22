//! Who may use a route: the first argument of its handler.
//!
//! A handler is registered through [`needs_of`], which compiles only where the first argument is an [`Authority`].
//! So a route without one is no program.

pub(crate) mod credential;
mod holder;
mod service;
mod user_or_service;

use axum::extract::FromRequestParts;
use axum::handler::Handler;
use axum::http::request::Parts;
use keywright_core::keyspace::Operation;

use crate::problem::Problem;
use crate::state::AppState;

pub(crate) use holder::{GoodHolder, Holder};
pub(crate) use service::{Judged, Service};
pub(crate) use user_or_service::UserOrService;

/// What a route asks of whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: anybody may call it.
    Nothing,
    /// A user's JWT, or a service key that holds this operation.
    UserOrService(Operation),
    /// A service key that holds this operation.
    Service(Operation),
    /// An API key, about which the request is.
    Key,
}

/// An extractor that admits whoever may use a route.
pub(crate) trait Authority: FromRequestParts<AppState, Rejection = Problem> {
    /// What it asks.
    const NEEDS: Needs;
}

/// An operation as a type, for the signature of a handler.
pub(crate) trait Needed: Send + Sync + 'static {
    /// The operation.
    const OPERATION: Operation;
}

macro_rules! operations_as_types {
    ($($name:ident)+) => {$(
        /// The operation of this name, as a type.
        pub(crate) struct $name;
        impl Needed for $name {
            const OPERATION: Operation = Operation::$name;
        }
    )+};
}
operations_as_types! { KeysVerify KeysRead KeysWrite UsersRead UsersWrite KeyspacesRead KeyspacesWrite AuditRead ClusterRead }

/// Anybody.
pub(crate) struct Anybody;

impl Authority for Anybody {
    const NEEDS: Needs = Needs::Nothing;
}

impl FromRequestParts<AppState> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// The arguments of a handler whose first is an [`Authority`]: axum's own encoding of them.
pub(crate) trait Guarded {
    const NEEDS: Needs;
}

macro_rules! guarded {
    ($($rest:ident)*) => {
        impl<M, A: Authority, $($rest),*> Guarded for (M, A, $($rest,)*) {
            const NEEDS: Needs = A::NEEDS;
        }
    };
}
guarded! {}
guarded! { B }
guarded! { B C }
guarded! { B C D }
guarded! { B C D E }

/// What the route of this handler asks of whoever calls it.
pub(crate) fn needs_of<H: Handler<T, AppState>, T: Guarded>(_: &H) -> Needs {
    T::NEEDS
}
