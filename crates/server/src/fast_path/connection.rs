//! A connection that has asked for nothing but verifications so far.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Sleep, sleep};
use zeroize::Zeroizing;

use super::answer::{self, Output};
use super::head::{self, Recognised};
use super::{FastPath, Unanswered};
use crate::authority::Judged;
use crate::listener::{Limits, told};
use crate::source::Peer;

/// The largest request, head and body together, that is answered here. It is less than what the general path takes of
/// headers alone, so none of its limits can be passed here.
const MAX_REQUEST: usize = 16 * 1024;

/// When so much waits to be written, it is written before the next request is looked at.
const MAX_OUTPUT: usize = 16 * 1024;

/// How many ticks a connection may be silent between requests: as long as the general path waits for a head. With
/// each it looks whether it has waited too long.
const IDLE_TICKS: u32 = 10;

/// How many ticks the rest of a request is waited for. Then the general path waits for it, whose bounds hold.
const PARTIAL_TICKS: u32 = 2;

/// After so many reads that did not make a request whole, the general path goes on reading: a client that sends byte
/// by byte is not worth looking at anew for each.
const PARTIAL_READS: u32 = 16;

/// In what state a connection was left.
pub(crate) enum Left {
    /// Nothing is to be done for it.
    Ended,
    /// It was answered for the last time, and the client may still be sending.
    Answered,
    /// The general path goes on, with these bytes read already.
    HandedOver(Zeroizing<Vec<u8>>),
}

/// What the requests of a thread are read into and answered from. A connection that waits holds neither.
struct Scratch {
    input: Box<[u8; MAX_REQUEST]>,
    /// So much of `input` holds something.
    filled: usize,
    output: Output,
}

impl Scratch {
    /// Keeps nothing of what was read: there are keys in it.
    fn wipe(&mut self) {
        self.input[..self.filled].fill(0);
        zeroize::optimization_barrier(&self.input);
        self.filled = 0;
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: Box::new([0; MAX_REQUEST]),
        filled: 0,
        output: Output::new(),
    });
}

/// Why a connection needs more than its next bytes.
enum Event {
    /// It is to be looked at again: something was too much for one turn.
    Again,
    /// The router answers the request that is held first, of this length.
    Route(usize, Unanswered),
    HandOver,
    Ended,
    /// A tenth of the time for a head has passed.
    Tick,
    /// The server stops.
    Stop,
}

struct Connection<'c> {
    stream: &'c mut TcpStream,
    peer: Peer,
    /// What arrived and is not answered: the beginning of a request, seldom more.
    held: Zeroizing<Vec<u8>>,
    /// Whether requests may be held whole, so that they are looked at before more is read.
    more: bool,
    /// How many bytes must be held before they can be a whole request.
    wanted: usize,
    /// Answers that the system did not take at once.
    unsent: Vec<u8>,
    /// Ticks since the last answer, or since the first byte of the request that is held.
    ticks: u32,
    partial_reads: u32,
}

impl FastPath {
    /// Answers what can be answered here, until it cannot.
    pub(crate) async fn serve(
        &self,
        stream: &mut TcpStream,
        peer: Peer,
        limits: Limits,
        stopping: &mut watch::Receiver<bool>,
    ) -> Left {
        let write_timeout = limits.write_timeout;
        let mut connection = Connection {
            stream,
            peer,
            held: Zeroizing::default(),
            more: false,
            wanted: 0,
            unsent: Vec::new(),
            ticks: 0,
            partial_reads: 0,
        };
        let period = limits.header_timeout / IDLE_TICKS;
        let mut tick = pin!(sleep(period));
        loop {
            let event = connection.next_event(self, tick.as_mut(), stopping).await;
            if connection.send_rest(write_timeout).await.is_err() {
                return Left::Ended;
            }
            match event {
                // Who never pauses takes turns with the others.
                Event::Again if !self.is_stopping() => tokio::task::yield_now().await,
                Event::Ended => return Left::Ended,
                Event::Again | Event::Stop if connection.held.is_empty() => return Left::Ended,
                Event::HandOver | Event::Again | Event::Stop => {
                    return Left::HandedOver(connection.held);
                }
                Event::Route(length, known) => {
                    let Some(request) = connection.take_for_router(length, known.caller) else {
                        return Left::HandedOver(connection.held);
                    };
                    let Some(mut response) = self.routed(request).await else {
                        return Left::Ended;
                    };
                    let stops = self.is_stopping();
                    if stops {
                        let close = HeaderValue::from_static("close");
                        response.headers_mut().insert(CONNECTION, close);
                    }
                    let now = self.state.clock.now();
                    let Some((written, closes)) = answer::written(response, now).await else {
                        return Left::Ended;
                    };
                    connection.unsent = written;
                    if connection.send_rest(write_timeout).await.is_err() {
                        return Left::Ended;
                    }
                    if stops {
                        return Left::Ended;
                    }
                    if closes {
                        return Left::Answered;
                    }
                    connection.ticks = 0;
                    connection.partial_reads = 0;
                }
                Event::Tick => {
                    tick.set(sleep(period));
                    connection.ticks += 1;
                    if connection.held.is_empty() && connection.ticks >= IDLE_TICKS {
                        return Left::Ended;
                    }
                    if !connection.held.is_empty() && connection.ticks >= PARTIAL_TICKS {
                        return Left::HandedOver(connection.held);
                    }
                }
            }
        }
    }
}

impl Connection<'_> {
    /// Answers what arrives, until there is something else to do.
    async fn next_event(
        &mut self,
        shared: &FastPath,
        mut tick: Pin<&mut Sleep>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Event {
        let mut told = pin!(told(stopping));
        let mut armed = false;
        poll_fn(|context| {
            let mut answered = false;
            loop {
                match self.poll_turn(context, shared) {
                    Poll::Ready(Some(event)) => return Poll::Ready(event),
                    Poll::Ready(None) => answered = true,
                    Poll::Pending => break,
                }
            }
            // To register a waker costs more than to look. Both hold this task's since they were first polled, so
            // after a request it is enough to look whether one of them has used it up in the meantime.
            let look = armed && answered;
            if shared.is_stopping() || (!look && told.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Event::Stop);
            }
            let has_ticked = if look {
                tick.is_elapsed()
            } else {
                tick.as_mut().poll(context).is_ready()
            };
            if has_ticked {
                return Poll::Ready(Event::Tick);
            }
            // A task that has used up its turn registers nothing, and is polled again at once.
            armed = look || has_budget_remaining();
            Poll::Pending
        })
        .await
    }

    /// Reads once and answers what is whole. `None` where there is nothing to do but to go on.
    fn poll_turn(&mut self, context: &mut Context<'_>, shared: &FastPath) -> Poll<Option<Event>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let event = self.poll_turn_in(scratch, context, shared);
            scratch.wipe();
            event
        })
    }

    fn poll_turn_in(
        &mut self,
        scratch: &mut Scratch,
        context: &mut Context<'_>,
        shared: &FastPath,
    ) -> Poll<Option<Event>> {
        if ready!(self.poll_fill(context, scratch)).is_err() {
            return Poll::Ready(Some(Event::Ended));
        }
        let Scratch { input, output, .. } = scratch;
        let input = &input[..scratch.filled];
        if input.len() == self.held.len() && !self.more {
            // The client sends no more. What it broke off is for the general path to answer.
            let broken_off = !self.held.is_empty();
            return Poll::Ready(Some(if broken_off {
                Event::HandOver
            } else {
                Event::Ended
            }));
        }
        if shared.is_stopping() && !input.is_empty() {
            // The general path finishes what has begun, and says that it was the last.
            self.held = Zeroizing::new(input.to_vec());
            return Poll::Ready(Some(Event::HandOver));
        }
        if self.held.is_empty() {
            self.ticks = 0;
        }
        output.cut(0);
        let (answered, mut event) = self.answer_whole(input, shared, output);
        if answered > 0 {
            self.ticks = 0;
            self.partial_reads = 0;
        }
        // What a longer request needed is not kept for the ones after it.
        self.held = Zeroizing::new(input[answered..].to_vec());
        if !self.held.is_empty() && event.is_none() {
            self.partial_reads += 1;
            if self.partial_reads > PARTIAL_READS {
                event = Some(Event::HandOver);
            }
        }
        self.poll_send(context, output.bytes(), event)
    }

    /// Puts what is held and what can be read behind it into the input.
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(&mut scratch.input[..]);
        buffer.put_slice(&self.held);
        let read = if self.more {
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut *self.stream).poll_read(context, &mut buffer)
        };
        scratch.filled = buffer.filled().len();
        read
    }

    /// Answers the requests that are whole; how many bytes they had, and what is to be done next.
    fn answer_whole(
        &mut self,
        bytes: &[u8],
        shared: &FastPath,
        output: &mut Output,
    ) -> (usize, Option<Event>) {
        let mut answered = 0;
        self.more = false;
        if bytes.len() < self.wanted {
            return (0, None);
        }
        self.wanted = 0;
        while answered < bytes.len() {
            if output.len() >= MAX_OUTPUT {
                self.more = true;
                return (answered, Some(Event::Again));
            }
            let mut room = head::room();
            match head::recognise(&bytes[answered..], MAX_REQUEST, &mut room) {
                Recognised::Whole(request, length) => {
                    match shared.answer(&request, self.peer, output) {
                        Ok(()) => answered += length,
                        Err(known) => return (answered, Some(Event::Route(length, known))),
                    }
                }
                Recognised::Partial(wanted) => {
                    self.wanted = wanted;
                    break;
                }
                Recognised::Other => return (answered, Some(Event::HandOver)),
            }
        }
        (answered, None)
    }

    /// Writes the answers, and keeps what the system does not take at once.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        answers: &[u8],
        event: Option<Event>,
    ) -> Poll<Option<Event>> {
        if answers.is_empty() {
            return Poll::Ready(event);
        }
        let sent = match Pin::new(&mut *self.stream).poll_write(context, answers) {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(_)) => return Poll::Ready(Some(Event::Ended)),
            Poll::Pending => 0,
        };
        if sent == answers.len() {
            return Poll::Ready(event);
        }
        self.unsent.extend_from_slice(&answers[sent..]);
        Poll::Ready(Some(event.unwrap_or(Event::Again)))
    }

    /// Sends what is left of the answers. A client that takes none of it for so long is given up.
    async fn send_rest(&mut self, write_timeout: Duration) -> io::Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        let mut rest = unsent.as_slice();
        while !rest.is_empty() {
            let sent = tokio::time::timeout(write_timeout, self.stream.write(rest)).await??;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[sent..];
        }
        Ok(())
    }

    /// Takes the request that is held first, of `length` bytes, for the router.
    fn take_for_router(&mut self, length: usize, caller: Option<Judged>) -> Option<Request<Body>> {
        let mut room = head::room();
        let Recognised::Whole(request, _) = head::recognise(&self.held, MAX_REQUEST, &mut room)
        else {
            return None;
        };
        let mut request = request.for_router(self.peer)?;
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        self.held.drain(..length);
        self.more = !self.held.is_empty();
        Some(request)
    }
}
