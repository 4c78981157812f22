//! The routes put together: each with its authority, its documentation and its handler.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LINK, RETRY_AFTER};
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::response::Response;
use axum::{Router, middleware};
use futures::FutureExt;
use tower::util::option_layer;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, Paths};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::authority::Needs;
use crate::console;
use crate::exchange;
use crate::openapi;
use crate::propagation;
use crate::request_id;
use crate::routes;
use crate::settings::Settings;
use crate::state::AppState;

/// A route, and what it asks of whoever calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: String,
    /// What it asks.
    pub needs: Needs,
    /// Whether its answers wait until every node knows of what they rest on, and say so in their headers.
    pub propagates: bool,
}

/// Collects routes with their documentation.
#[derive(Default)]
pub(crate) struct Endpoints {
    pub(crate) table: Vec<RouteEntry>,
    router: OpenApiRouter<AppState>,
}

/// Adds the route of a handler. It compiles only where the handler's first argument is an authority and the handler
/// carries `#[utoipa::path]`. One that `propagates` answers when every node knows of the change.
macro_rules! endpoint {
    ($endpoints:ident, $handler:path) => {
        endpoint!($endpoints, $handler, false)
    };
    ($endpoints:ident, $handler:path, propagates) => {
        endpoint!($endpoints, $handler, true)
    };
    ($endpoints:ident, $handler:path, $propagates:literal) => {
        $endpoints.add(
            $crate::authority::needs_of(&$handler),
            $propagates,
            utoipa_axum::routes!($handler),
        )
    };
}
pub(crate) use endpoint;

impl Endpoints {
    pub(crate) fn add(
        &mut self,
        needs: Needs,
        propagates: bool,
        (schemas, mut paths, methods): UtoipaMethodRouter<AppState>,
    ) {
        for (method, path, operation) in operations(&mut paths) {
            openapi::document_authority(operation, needs);
            self.table.push(RouteEntry {
                method,
                path,
                needs,
                propagates,
            });
        }
        let router = std::mem::take(&mut self.router);
        self.router = router.routes((schemas, paths, methods));
    }
}

/// The operations of some paths.
pub(crate) fn operations(
    paths: &mut Paths,
) -> impl Iterator<Item = (Method, String, &mut Operation)> {
    paths.paths.iter_mut().flat_map(|(path, item)| {
        let known = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ];
        known
            .into_iter()
            .filter_map(|(method, operation)| Some((method, path.clone(), operation.as_mut()?)))
    })
}

/// All documented routes of the API.
pub fn route_table() -> Vec<RouteEntry> {
    routes::endpoints().table
}

/// The router without its document, the document, and the table of what is in both.
pub(crate) fn parts() -> (Router<AppState>, OpenApi, Vec<RouteEntry>) {
    let Endpoints { table, router } = routes::endpoints();
    let (router, document) = router.split_for_parts();
    (router, document, table)
}

/// The whole application.
pub(crate) fn router(state: AppState, settings: &Settings) -> Router {
    let (api, ..) = parts();
    let mut router = api.merge(routes::documentation()).merge(console::router());
    if settings.serve_metrics {
        router = router.merge(routes::metrics());
    }
    router
        .layer(middleware::from_fn_with_state(
            state.clone(),
            exchange::carry_out,
        ))
        // Outermost, so that a browser may read every problem, those of the limits included.
        .layer(option_layer(cors(settings)))
        .with_state(state)
}

/// The application of a listener of its own for `/metrics`.
pub(crate) fn metrics_router(state: AppState) -> Router {
    routes::metrics()
        .layer(middleware::from_fn_with_state(
            state.clone(),
            exchange::carry_out,
        ))
        .with_state(state)
}

/// The headers that every answer carries whatever was asked, beside those of [`exchange`]: what the layer for browsers
/// of other origins says to a request that comes from none.
pub(crate) fn headers_for_all(settings: &Settings) -> HeaderMap {
    let empty = service_fn(async |_: Request| Ok::<_, Infallible>(Response::<Body>::default()));
    let layered = option_layer(cors(settings)).layer(empty);
    let request = Request::builder().method(Method::POST).body(Body::empty());
    let answer = request
        .ok()
        .map(|request| layered.oneshot(request).now_or_never());
    // infallible: neither the request nor anything in the way of its answer depends on anything
    let answer = answer.flatten().expect("it answers at once");
    let Ok(answer) = answer;
    answer.into_parts().0.headers
}

/// Browsers of the configured origins, and no others, may call the API. Cookies play no part in it.
fn cors(settings: &Settings) -> Option<CorsLayer> {
    if settings.cors_origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(settings.cors_origins.clone())
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("keywright-user"),
            request_id::REQUEST_ID,
        ])
        .expose_headers([
            LINK,
            RETRY_AFTER,
            request_id::REQUEST_ID,
            propagation::NODES,
            propagation::MILLISECONDS,
        ]);
    Some(layer)
}
