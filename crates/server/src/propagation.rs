//! What a request waited for so that every node knows of its change, told in the headers of its answer.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use keywright_engine::coherence::{Changes, Settled};
use keywright_store::cluster::{Settling, Standing};

/// How many nodes know of the change, this one included.
pub(crate) const NODES: HeaderName = HeaderName::from_static("keywright-nodes");

/// How long it took until they did, in milliseconds.
pub(crate) const MILLISECONDS: HeaderName = HeaderName::from_static("keywright-propagation-ms");

/// What a request waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Propagation {
    nodes: usize,
    took: Duration,
}

tokio::task_local! {
    /// Of the request that this task carries out.
    static OF_REQUEST: Request;
}

/// What a request waited for, and whether it does.
#[derive(Default)]
struct Request {
    told: Cell<Option<Propagation>>,
    waits: Cell<bool>,
    /// Since that was asked last.
    has_waited: Cell<bool>,
}

impl Propagation {
    /// Carries a request out, and tells what it waited for, if it waited for anything.
    pub(crate) async fn of<T>(request: impl Future<Output = T>) -> (T, Option<Self>) {
        let carried_out = async {
            let answer = request.await;
            (answer, OF_REQUEST.with(|request| request.told.get()))
        };
        OF_REQUEST.scope(Request::default(), carried_out).await
    }

    /// Whether the request that this task carries out waits for other nodes, or did so since this was asked last. That
    /// comes to an end by itself, at the latest when every lease has run out.
    pub(crate) fn is_or_was_awaited() -> bool {
        let asked =
            OF_REQUEST.try_with(|request| request.waits.get() | request.has_waited.replace(false));
        asked.unwrap_or(false)
    }

    /// Writes it into the headers of an answer.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.insert(NODES, HeaderValue::from(self.nodes));
        let millis = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        headers.insert(MILLISECONDS, HeaderValue::from(millis));
    }
}

/// Has changes wait for the other nodes, where there are any, and notes it for the request that made the change.
pub(crate) struct Propagating(pub(crate) Option<Changes>);

#[async_trait]
impl Settling for Propagating {
    async fn settled(&self, standing: Option<Standing>) {
        // What is done at the start of the process is no request's.
        let _ = OF_REQUEST.try_with(|request| request.waits.set(true));
        let propagation = match (&self.0, standing) {
            (Some(changes), Some(standing)) => {
                let Settled { others, took, .. } = changes.settled(standing).await;
                Propagation {
                    nodes: others + 1,
                    took,
                }
            }
            _ => Propagation {
                nodes: 1,
                took: Duration::ZERO,
            },
        };
        let _ = OF_REQUEST.try_with(|request| {
            request.waits.set(false);
            request.has_waited.set(true);
            request.told.set(Some(propagation));
        });
    }
}
