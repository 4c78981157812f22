//! A short way for what a server is asked most: `POST /api/verify`, in front of the HTTP library and the router.
//!
//! A connection begins here. Each request is read into one buffer, recognised ([`head`]), decided from memory and
//! answered in one write, with no task, timer or header map of its own. It is a way around the general path
//! ([`crate::listener`]'s), not another one, and three rules keep it so:
//!
//! - Only a plain `POST /api/verify HTTP/1.1` with one `Content-Length` is taken, and then exactly its head and so
//!   many bytes. At the first request of another kind the connection is handed over, with every byte of it, and
//!   stays with the general path.
//! - Only a 200 that memory can give is written here ([`answer`]). Whatever else a verification leads to (a key that
//!   has to be loaded, a refusal, a body that is not taken, a panic) goes through the router, so that each answer
//!   has one author; the connection stays here.
//! - What is decided is decided by the handler's own code: the same verifier, the same rules for the credential, the
//!   body and the answer.

mod answer;
mod ask;
mod connection;
mod head;
mod request;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use metrics::{Counter, Histogram};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::authority::Judged;
use crate::source::Peer;
use crate::state::AppState;
use answer::{Output, write_headers};
use request::Request;

pub(crate) use connection::Left;

/// The path of the requests that go this way.
const PATH: &str = "/api/verify";

/// What all connections share.
pub(crate) struct FastPath {
    state: AppState,
    router: Router,
    /// Where the router runs: what it asks of the database, and may compute, delays no verification here.
    general: Handle,
    /// What the layers around the router add to every answer, as it is written.
    added: Vec<u8>,
    requests: Counter,
    seconds: Histogram,
}

impl FastPath {
    /// The short way to `router`, which runs on the runtime that this is called on, and whose outer layers add the headers `added` to a request that is not a browser's.
    pub(crate) fn new(state: AppState, router: Router, added: &HeaderMap) -> Self {
        let mut lines = Vec::new();
        write_headers(&mut lines, added);
        Self {
            state,
            router,
            general: Handle::current(),
            added: lines,
            requests: metrics::counter!(
                "keywright_http_requests_total",
                "route" => PATH,
                "method" => "POST",
                "status" => "200"
            ),
            seconds: metrics::histogram!("keywright_http_request_seconds", "route" => PATH),
        }
    }

    /// The router's answer; `None` where it could give none. Who does not wait for it any more ends the asking.
    async fn routed(&self, request: axum::http::Request<Body>) -> Option<Response> {
        let mut asking = JoinSet::new();
        asking.spawn_on(self.router.clone().oneshot(request), &self.general);
        // It ends without an answer where the server does, or by a panic, which the hook has told.
        let Ok(answered) = asking.join_next().await?.ok()?;
        Some(answered)
    }

    fn is_stopping(&self) -> bool {
        self.state.stopping.load(Ordering::Relaxed)
    }

    /// Answers from memory, after what `output` holds already. Otherwise `output` is as it was, and what was found
    /// out on the way is told.
    fn answer(
        &self,
        request: &Request<'_, '_>,
        peer: Peer,
        output: &mut Output,
    ) -> Result<(), Unanswered> {
        let length = output.len();
        // As in the general path, a panic ends this request and nothing else: the router takes it from here.
        let answered = catch_unwind(AssertUnwindSafe(|| self.try_answer(request, peer, output)));
        let outcome = answered.unwrap_or(Err(Unanswered::default()));
        if outcome.is_err() {
            output.cut(length);
        }
        outcome
    }

    fn try_answer(
        &self,
        request: &Request<'_, '_>,
        peer: Peer,
        output: &mut Output,
    ) -> Result<(), Unanswered> {
        let began = self.state.clock.uptime();
        ask::write_decision(request, &self.state, output.body())?;
        let now = self.state.clock.now();
        let given = request.request_id();
        output
            .write_ok(given, &self.added, now, &self.state.request_ids)
            .map_err(|_| Unanswered::default())?;
        let took = self.state.clock.uptime().saturating_sub(began);
        self.requests.increment(1);
        self.seconds.record(took);
        if tracing::enabled!(target: "keywright_server::exchange", tracing::Level::DEBUG) {
            let source = request.source(peer, &self.state.trusted_proxies);
            let request_id = output.request_id();
            tracing::debug!(target: "keywright_server::exchange", request_id, method = "POST", route = PATH, status = 200, ?took, %source, "request");
        }
        Ok(())
    }
}

/// Memory gave no answer: what of it is already known.
#[derive(Debug, Default)]
struct Unanswered {
    caller: Option<Judged>,
}
