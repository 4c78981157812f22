//! Keywright over HTTP: routes, authority, errors, and the OpenAPI document that is made from them.
//!
//! A request passes, in this order: [`listener`] (accepts, bounds what a connection may cost), [`fast_path`] (answers
//! verifications that memory can decide, and passes on all else), [`exchange`] (request id, limits, time, metrics, log;
//! turns every error into `application/problem+json`), the router, the [`authority`] that the route names as its first
//! argument, the extractors of [`extract`], and the handler in [`routes`], one file a route.

mod app;
mod attribution;
mod authority;
mod console;
mod exchange;
mod extract;
mod failures;
mod fast_path;
#[doc(hidden)]
pub mod fuzzing;
pub mod jwt;
mod listener;
mod oidc;
mod openapi;
mod outbound;
mod paging;
mod problem;
mod propagation;
mod public_url;
mod request_id;
mod retention;
mod rewound;
mod routes;
mod server;
mod settings;
mod shared_reads;
mod source;
mod sparing;
mod state;
mod telemetry;
mod validate;
mod wire;
mod workers;

pub use app::{RouteEntry, route_table};
pub use authority::Needs;
pub use oidc::{Issuer, NotAnIssuer};
pub use openapi::document;
pub use public_url::{NotAPublicUrl, PublicUrl};
pub use server::{Server, Stopped};
pub use settings::{JwtSettings, NodeSettings, OidcSettings, Settings};
pub use state::Surroundings;
