//! Accepts connections, and bounds what one may cost.

use std::future::poll_fn;
use std::io;
use std::net;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use zeroize::Zeroizing;

use crate::fast_path::{FastPath, Left};
use crate::rewound::Rewound;
use crate::source::Peer;
use crate::workers::{Presence, Station};

/// The most that is read of a request's line and headers; [`crate::exchange`] answers smaller excesses in our words.
const MAX_HEAD: usize = 64 * 1024;

/// How long, and for how many bytes, a client that is still sending is listened to after it was answered.
const LINGER: Duration = Duration::from_secs(2);
const MAX_UNREAD: u64 = 8 * 1024 * 1024;

/// How long to wait after the system refused to accept, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What bounds a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) stop_timeout: Duration,
}

/// What a listener serves.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) router: Router,
    /// The short way to the router, for what is asked most.
    pub(crate) fast_path: Option<(Arc<FastPath>, Vec<Station>)>,
}

/// Serves until `stopping` says so, then lets begun requests finish within the limit.
///
/// Answers how many connections had to be cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    served: Served,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) -> usize {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let mut connections = JoinSet::new();
    loop {
        // A connection that finds no place waits in the system's queue, where it costs us nothing.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = told(&mut stopping) => break,
        };
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = told(&mut stopping) => break,
        };
        match (accepted, place) {
            (Ok((stream, peer)), Ok(place)) => {
                let connection = Connection {
                    stream,
                    peer: Peer(peer),
                    limits,
                    stopping: stopping.clone(),
                };
                begin(connection, &served, place, &mut connections);
            }
            (Err(error), _) => pause_after(&error).await,
            // The places are never closed.
            (Ok(_), Err(_)) => break,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop_timeout, all_done)
        .await
        .is_ok()
    {
        return 0;
    }
    let cut_off = connections.len();
    connections.shutdown().await;
    cut_off
}

/// The next connection, which belongs to no runtime yet.
async fn accept(listener: &TcpListener) -> io::Result<(net::TcpStream, net::SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    // Answers are small and written whole; to wait for more would only add latency.
    let _ = stream.set_nodelay(true);
    Ok((stream.into_std()?, peer))
}

/// Waits until the server is told to stop.
pub(crate) async fn told(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is a reason to stop as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// A peer that went away is no reason to wait; anything else is likely to come again at once.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::warn!(%error, "no connection can be accepted now");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// A connection that no runtime knows yet.
struct Connection {
    stream: net::TcpStream,
    peer: Peer,
    limits: Limits,
    stopping: watch::Receiver<bool>,
}

/// Begins to serve a connection: on a station where there is a fast path, else here.
fn begin(
    connection: Connection,
    served: &Served,
    place: OwnedSemaphorePermit,
    connections: &mut JoinSet<()>,
) {
    let router = served.router.clone();
    let Some((fast_path, stations)) = &served.fast_path else {
        connections.spawn(async move {
            general_path(connection, Zeroizing::default(), router).await;
            drop(place);
        });
        return;
    };
    let station = Station::least_busy(stations);
    let presence = station.enter();
    let fast_path = fast_path.clone();
    let general = Handle::current();
    let task = async move {
        on_station(connection, fast_path, presence, router, general).await;
        drop(place);
    };
    connections.spawn_on(task, station.runtime());
}

/// Answers verifications on this thread. Whatever else is asked goes on at `general`: it may take the processor for
/// longer than a hundred verifications do.
async fn on_station(
    connection: Connection,
    fast_path: Arc<FastPath>,
    presence: Presence,
    router: Router,
    general: Handle,
) {
    let Connection {
        stream,
        peer,
        limits,
        mut stopping,
    } = connection;
    let Ok(mut stream) = TcpStream::from_std(stream) else {
        return;
    };
    let left = fast_path
        .serve(&mut stream, peer, limits, &mut stopping)
        .await;
    let read = match left {
        Left::Ended => return,
        Left::Answered => return linger(stream).await,
        Left::HandedOver(read) => read,
    };
    let Ok(stream) = stream.into_std() else {
        return;
    };
    drop(presence);
    let connection = Connection {
        stream,
        peer,
        limits,
        stopping,
    };
    // A set, so that it ends with this task, which is the one that counts.
    let mut rest = JoinSet::new();
    rest.spawn_on(general_path(connection, read, router), &general);
    rest.join_next().await;
}

/// Any request, by the HTTP library and the router; `read` was read already.
async fn general_path(connection: Connection, read: Zeroizing<Vec<u8>>, router: Router) {
    let Connection {
        stream,
        peer,
        limits,
        stopping,
    } = connection;
    let Ok(stream) = TcpStream::from_std(stream) else {
        return;
    };
    // A runtime learns only after a moment that a stream takes bytes, and what the HTTP library answers to what is none
    // it writes at once or never. One whose answers nobody reads takes none, and may not keep its place for that.
    let writable = tokio::time::timeout(limits.write_timeout, stream.writable());
    if !matches!(writable.await, Ok(Ok(()))) {
        return;
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let stream = Rewound::new(read, Box::pin(stream));
    carry(stream, peer, router, limits, stopping).await;
}

/// Carries a stream's requests to the router.
async fn carry(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    router: Router,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        // Boxed, so that the connection can be taken apart at its end.
        Box::pin(router.clone().oneshot(request.map(Body::new)))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut told = pin!(told(&mut stopping));
    let mut stops = false;
    let outcome = poll_fn(|context| {
        // The connection first: what was read of it already is a request that has begun.
        let polled = connection.poll_without_shutdown(context);
        if polled.is_ready() || stops || told.as_mut().poll(context).is_pending() {
            return polled;
        }
        stops = true;
        Pin::new(&mut connection).graceful_shutdown();
        connection.poll_without_shutdown(context)
    })
    .await;
    match outcome {
        Ok(()) if !stops => linger(connection.into_parts().io.into_inner()).await,
        Ok(()) => {}
        Err(error) => tracing::trace!(%error, "connection ended"),
    }
}

/// Lets a client that is still sending read the answer first (RFC 9112 §9.6): to close at once with something unread
/// would reset the connection, and the reset may overtake the answer.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut unread = tokio::io::sink();
    let mut rest = stream.take(MAX_UNREAD);
    let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut unread)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_whose_answers_nobody_reads_is_not_taken_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Reads nothing.
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let _client = client.await.unwrap();
        let (stream, peer) = accept(&listener).await.unwrap();
        let full = [0; 16 * 1024];
        while io::Write::write(&mut &stream, &full).is_ok() {}
        let connection = Connection {
            stream,
            peer: Peer(peer),
            limits: Limits {
                max_connections: 1,
                header_timeout: Duration::from_hours(1),
                write_timeout: Duration::from_millis(50),
                stop_timeout: Duration::from_hours(1),
            },
            stopping: watch::channel(false).1,
        };
        // Whose head may take an hour.
        let begun = b"GET / HTTP/1.1\r\n".to_vec().into();
        let served = general_path(connection, begun, Router::new());
        let bounded = tokio::time::timeout(Duration::from_secs(30), served);
        bounded.await.expect("it is given up");
    }
}
