//! The threads that serve verifications: each with a runtime of its own, so that a connection stays on one thread and
//! waits at one epoll.
//!
//! What may take long (every other route) runs on the runtime that the server was started on, and delays nobody here.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread;

use futures::FutureExt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Where connections are served.
#[derive(Clone)]
pub(crate) struct Station {
    runtime: Handle,
    /// Held by each of its connections.
    connections: Arc<()>,
}

/// A connection's presence at a station.
pub(crate) struct Presence(#[expect(dead_code, reason = "counted")] Arc<()>);

impl Station {
    fn on(runtime: Handle) -> Self {
        Self {
            runtime,
            connections: Arc::new(()),
        }
    }

    /// The one of these that has the fewest connections. There must be one.
    ///
    /// The kernel can share connections out as well (`SO_REUSEPORT`), but by a hash of their addresses: of 16
    /// connections, one of two threads then gets 11 or more in one case of five, as coins fall.
    pub(crate) fn least_busy(stations: &[Self]) -> &Self {
        stations
            .iter()
            .min_by_key(|station| Arc::strong_count(&station.connections))
            // infallible: `Workers::stations` gives at least one
            .expect("there is a station")
    }

    /// The runtime of its thread.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Counts a connection in, until it is dropped.
    pub(crate) fn enter(&self) -> Presence {
        Presence(self.connections.clone())
    }
}

/// A thread that runs what is spawned on its runtime.
struct Worker {
    station: Station,
    /// The thread ends when this is dropped.
    wanted: oneshot::Sender<Infallible>,
    ended: oneshot::Receiver<Infallible>,
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let (wanted, unwanted) = oneshot::channel();
        let (running, ended) = oneshot::channel();
        let (told, built) = mpsc::channel();
        thread::Builder::new()
            .name(format!("verify-{number}"))
            .spawn(move || {
                let _running = running;
                // Here, where it may be dropped as well.
                let runtime = match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = told.send(Err(error));
                        return;
                    }
                };
                if told.send(Ok(runtime.handle().clone())).is_ok() {
                    let Err(_) = runtime.block_on(unwanted);
                }
                // A thread that waits for the operating system is not waited for.
                runtime.shutdown_background();
            })?;
        let runtime = built.recv().map_err(io::Error::other)??;
        Ok(Self {
            station: Station::on(runtime),
            wanted,
            ended,
        })
    }
}

/// All of a server's. They end when this is dropped, and with them whatever runs there.
pub(crate) struct Workers(Vec<Worker>);

impl Workers {
    /// Starts so many.
    ///
    /// # Errors
    /// Where the system gives no thread, or none of what its runtime needs.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        (1..=count)
            .map(Worker::start)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Where connections can be served: on each of these threads, or where there are none, on the runtime that this is
    /// called on.
    pub(crate) fn stations(&self) -> Vec<Station> {
        if self.0.is_empty() {
            return vec![Station::on(Handle::current())];
        }
        self.0.iter().map(|worker| worker.station.clone()).collect()
    }

    /// Ready when one of them has ended by itself.
    pub(crate) fn poll_failed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let ended = |worker: &mut Worker| worker.ended.poll_unpin(context).is_ready();
        if self.0.iter_mut().any(ended) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Ends them, and waits until they have.
    pub(crate) async fn end(self) {
        for Worker { wanted, ended, .. } in self.0 {
            drop(wanted);
            let Err(_) = ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_shared_out_evenly() {
        let workers = Workers::start(3).unwrap();
        let stations = workers.stations();
        let counts = || {
            let count = |station: &Station| Arc::strong_count(&station.connections);
            let counts: Vec<usize> = stations.iter().map(count).collect();
            let least = counts.iter().min().unwrap();
            counts.iter().map(|count| count - least).max()
        };
        let mut present = Vec::new();
        for number in 0..30 {
            present.push(Station::least_busy(&stations).enter());
            assert_eq!(counts(), Some(usize::from(number % 3 < 2)));
        }
        // Of those that leave, the places are taken first.
        present.drain(..3);
        for _ in 0..3 {
            present.push(Station::least_busy(&stations).enter());
        }
        assert_eq!(counts(), Some(0));
        workers.end().await;
    }

    #[tokio::test]
    async fn what_runs_on_a_thread_ends_with_it() {
        let workers = Workers::start(2).unwrap();
        let running = Arc::new(());
        for station in workers.stations() {
            let running = running.clone();
            station.runtime().spawn(async move {
                std::future::pending::<()>().await;
                drop(running);
            });
        }
        assert_eq!(Arc::strong_count(&running), 3);
        workers.end().await;
        assert_eq!(Arc::strong_count(&running), 1);
    }

    #[tokio::test]
    async fn without_threads_the_runtime_at_hand_serves() {
        let workers = Workers::start(0).unwrap();
        let stations = workers.stations();
        let station = Station::least_busy(&stations);
        let here = thread::current().id();
        let there = station.runtime().spawn(async { thread::current().id() });
        assert_eq!(there.await.unwrap(), here);
    }
}
