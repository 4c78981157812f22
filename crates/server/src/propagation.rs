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
    static OF_REQUEST: Cell<Option<Propagation>>;
}

impl Propagation {
    /// Carries a request out, and tells what it waited for, if it waited for anything.
    pub(crate) async fn of<T>(request: impl Future<Output = T>) -> (T, Option<Self>) {
        let carried_out = async {
            let answer = request.await;
            (answer, OF_REQUEST.with(Cell::get))
        };
        OF_REQUEST.scope(Cell::new(None), carried_out).await
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
        // What is done at the start of the process is no request's.
        let _ = OF_REQUEST.try_with(|of_request| of_request.set(Some(propagation)));
    }
}
