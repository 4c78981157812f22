//! What happens to every request, whatever its route: an id, limits, time, errors written out, metrics and a log.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use keywright_api::ErrorCode;
use keywright_core::ambient::EntropyError;

use crate::console::Page;
use crate::problem::Problem;
use crate::propagation::Propagation;
use crate::request_id::{self, REQUEST_ID};
use crate::source::{Peer, forwarded_for, source_of};
use crate::state::AppState;

/// The longest path and query, in bytes.
const MAX_URI: usize = 8 * 1024;

/// The largest headers, names and values together, in bytes.
const MAX_HEADERS: usize = 16 * 1024;

/// Who sent a request, and how it is called: what the audit log and the bound on failures need of it.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) request_id: Arc<str>,
    pub(crate) source: IpAddr,
}

impl FromRequestParts<AppState> for Exchange {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        // infallible: the outermost layer puts one into every request
        Ok(parts
            .extensions
            .get::<Self>()
            .expect("the outermost layer ran")
            .clone())
    }
}

/// The outermost layer.
pub(crate) async fn carry_out(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = state.clock.uptime();
    let method = known(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let Ok(request_id) = request_id(&state, request.headers()) else {
        return Problem::from(EntropyError).write(&HeaderMap::new(), "");
    };
    let peer = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let forwarded = forwarded_for(request.headers());
    let source = source_of(peer, forwarded, &state.trusted_proxies);
    request.extensions_mut().insert(Exchange {
        request_id: request_id.clone(),
        source,
    });

    let (response, propagation) = match check_limits(&request) {
        Ok(()) => Propagation::of(run(&state, request, next)).await,
        Err(problem) => (problem.into_response(), None),
    };
    let (code, mut response) = finish(response, &request_id);
    // infallible: well-formed ids are visible ASCII
    let id = HeaderValue::from_str(&request_id).expect("a request id is visible ASCII");
    response.headers_mut().insert(REQUEST_ID, id);
    if let Some(propagation) = propagation {
        propagation.tell(response.headers_mut());
    }
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

    let took = state.clock.uptime().saturating_sub(began);
    let route = route.as_deref().unwrap_or("(none)");
    let status = response.status();
    measure(route, method, status.as_u16(), took.as_secs_f64());
    let code = code.map(ErrorCode::as_str);
    if status == StatusCode::SERVICE_UNAVAILABLE && !state.refusals_logged.is_due(began) {
        // A flood that is turned away would be one in the log as well. The metrics count each.
        tracing::debug!(%request_id, method, route, status = status.as_u16(), code, ?took, %source, "request");
    } else if status.is_server_error() {
        tracing::warn!(%request_id, method, route, status = status.as_u16(), code, ?took, %source, "request failed");
    } else {
        tracing::debug!(%request_id, method, route, status = status.as_u16(), code, ?took, %source, "request");
    }
    response
}

/// The handler, within its time; a panic in it ends this request and nothing else.
///
/// A change that is committed and waits for another node's lease to run out may take a lease and a margin, which can be
/// more than that time. To cut it off would say "try again" of something that is done; so its time begins again.
async fn run(state: &AppState, request: Request, next: Next) -> Response {
    let mut handler = pin!(AssertUnwindSafe(next.run(request)).catch_unwind());
    loop {
        match tokio::time::timeout(state.request_timeout, &mut handler).await {
            Ok(Ok(response)) => return response,
            // The panic's own message is in the log by the panic hook.
            Ok(Err(_)) => return Problem::internal().into_response(),
            Err(_) if Propagation::is_or_was_awaited() => {}
            Err(_) => {
                return Problem::unavailable("the request took too long; try again")
                    .into_response();
            }
        }
    }
}

fn check_limits(request: &Request) -> Result<(), Problem> {
    if request
        .uri()
        .path_and_query()
        .is_some_and(|uri| uri.as_str().len() > MAX_URI)
    {
        return Err(Problem::new(
            ErrorCode::UriTooLong,
            "the path and query may have 8 KiB together",
        ));
    }
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers > MAX_HEADERS {
        return Err(Problem::new(
            ErrorCode::HeadersTooLarge,
            "the headers may have 16 KiB together",
        ));
    }
    Ok(())
}

/// The id that the client gave if it is well-formed, else a new one.
fn request_id(state: &AppState, headers: &HeaderMap) -> Result<Arc<str>, EntropyError> {
    let given = headers.get(REQUEST_ID).map(HeaderValue::as_bytes);
    match given.and_then(request_id::well_formed) {
        Some(id) => Ok(id.into()),
        None => Ok(state
            .request_ids
            .next(state.clock.now())?
            .to_string()
            .into()),
    }
}

/// Every error becomes a problem document, the libraries' own included; but for those that are pages.
fn finish(mut response: Response, request_id: &str) -> (Option<ErrorCode>, Response) {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if !is_error || response.extensions().get::<Page>().is_some() {
        return (None, response);
    }
    let problem = response
        .extensions_mut()
        .remove::<Problem>()
        .unwrap_or_else(|| Problem::of_status(response.status()));
    let code = problem.code();
    response
        .headers_mut()
        .remove(axum::http::header::CONTENT_LENGTH);
    let written = problem.write(response.headers(), request_id);
    (Some(code), written)
}

/// The method's name. Those that no route takes come from strangers, who may write anything for one: they share one.
fn known(method: &Method) -> &'static str {
    ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

fn measure(route: &str, method: &'static str, status: u16, seconds: f64) {
    metrics::counter!(
        "keywright_http_requests_total",
        "route" => route.to_owned(),
        "method" => method,
        "status" => status.to_string()
    )
    .increment(1);
    metrics::histogram!("keywright_http_request_seconds", "route" => route.to_owned())
        .record(seconds);
}
