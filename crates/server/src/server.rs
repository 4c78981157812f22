//! Starting the server, and stopping it without losing what has begun.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app;
use crate::fast_path::FastPath;
use crate::listener::{Limits, Served, serve};
use crate::retention;
use crate::settings::Settings;
use crate::state::{AppState, Surroundings};
use crate::workers::Workers;

/// How long the last uses may take to be written: a hundred thousand keys in a large database take more than ten seconds.
const LAST_WRITE: Duration = Duration::from_mins(1);

/// A running server.
pub struct Server {
    state: AppState,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<usize>>,
    workers: Workers,
    flusher: JoinHandle<()>,
    trimmer: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut off because their requests took longer than they may at a stop.
    pub cut_off: usize,
    /// Whether every last use was written.
    pub uses_written: bool,
}

impl Server {
    /// Serves on `api`, and `/metrics` alone on `metrics` where there is one. Requests are taken from now on.
    ///
    /// # Errors
    /// Where the system gives no threads for [`Settings::workers`].
    pub fn start(
        api: TcpListener,
        metrics: Option<TcpListener>,
        surroundings: Surroundings,
        mut settings: Settings,
    ) -> io::Result<Self> {
        let workers = Workers::start(settings.workers)?;
        settings.serve_metrics &= metrics.is_none();
        let state = AppState::new(surroundings, &settings);
        let (stop, stopping) = watch::channel(false);
        let limits = Limits {
            max_connections: settings.max_connections,
            header_timeout: settings.header_timeout,
            write_timeout: settings.write_timeout,
            stop_timeout: settings.stop_timeout,
        };
        let router = app::router(state.clone(), &settings);
        let added = app::headers_for_all(&settings);
        let fast_path = FastPath::new(state.clone(), router.clone(), &added);
        let served = Served {
            router,
            fast_path: Some((Arc::new(fast_path), workers.stations())),
        };
        let mut listeners = vec![tokio::spawn(serve(api, served, limits, stopping.clone()))];
        if let Some(metrics) = metrics {
            let served = Served {
                router: app::metrics_router(state.clone()),
                fast_path: None,
            };
            listeners.push(tokio::spawn(serve(metrics, served, limits, stopping)));
        }
        let clock = state.clock.clone();
        let uses = state.verifier.uses().clone();
        let flusher =
            tokio::spawn(uses.flush_every(settings.use_flush_interval, move || clock.now()));
        let trimmer = retention::keep_small(settings.usage_retention, state.clone());
        let trimmer = tokio::spawn(trimmer);
        let upkeep = tokio::spawn(state.metrics.clone().keep_small());
        Ok(Self {
            state,
            stop,
            listeners,
            workers,
            flusher,
            trimmer,
            upkeep,
        })
    }

    /// Resolves when a part of the server has ended by itself, which none should: a panic, above all. The server
    /// is of no use then, and can only be dropped.
    pub async fn failed(&mut self) {
        poll_fn(|context| {
            let listener = self
                .listeners
                .iter_mut()
                .any(|task| task.poll_unpin(context).is_ready());
            let background = [&mut self.flusher, &mut self.trimmer, &mut self.upkeep]
                .into_iter()
                .any(|task| task.poll_unpin(context).is_ready());
            if listener || background || self.workers.poll_failed(context).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Takes no further requests, finishes those that have begun, writes the last uses and closes the database.
    pub async fn stop(self) -> Stopped {
        self.state.stopping.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        let mut cut_off = 0;
        for listener in self.listeners {
            match listener.await {
                Ok(connections) => cut_off += connections,
                Err(error) => tracing::error!(%error, "a listener did not end well"),
            }
        }
        self.trimmer.abort();
        self.upkeep.abort();
        self.flusher.abort();
        // What it was writing still waits, and is written below.
        let _ = self.flusher.await;
        let flush = self.state.verifier.uses().flush(self.state.clock.now());
        let flush = tokio::time::timeout(LAST_WRITE, flush).await;
        let uses_written = matches!(flush, Ok(Ok(())));
        if let Some(membership) = &self.state.membership {
            membership.leave().await;
        }
        self.state.store.close().await;
        // Last, for connections to the database may have been made there.
        self.workers.end().await;
        Stopped {
            cut_off,
            uses_written,
        }
    }
}
