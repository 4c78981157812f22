//! What stands between a node and the database, and does to their connections what networks do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does to what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Passes it on.
    Fair,
    /// Passes it on later, each piece by up to this, of some connections.
    Slow(Duration, Which),
    /// Holds it back until the weather changes.
    Stalled(Stall),
    /// Closes every connection, and every new one at once.
    Cut,
}

/// Which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Which {
    /// Of so many that follow each other, one; 1 is all of them.
    pub(crate) one_in: u64,
    /// Which one.
    pub(crate) nth: u64,
}

impl Which {
    pub(crate) const ALL: Self = Self { one_in: 1, nth: 0 };

    fn has(self, number: u64) -> bool {
        number % self.one_in == self.nth % self.one_in
    }
}

/// What is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stall {
    /// What the node says.
    pub(crate) questions: bool,
    /// What the database says.
    pub(crate) answers: bool,
    /// Of which connections.
    pub(crate) of: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Questions,
    Answers,
}

/// A listener whose connections go on to the database.
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    questions: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens on a port of its own.
    pub(crate) async fn to(database: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (weather, _) = watch::channel(Weather::Fair);
        let questions = Arc::new(AtomicU64::new(0));
        let (seen, asked) = (weather.subscribe(), questions.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((node, _)) = listener.accept().await else {
                    return;
                };
                let connection = Connection {
                    number,
                    weather: seen.clone(),
                    questions: asked.clone(),
                };
                tokio::spawn(connection.carry(node, database));
            }
        });
        Ok(Self {
            address,
            weather,
            questions,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How many statements went through it: simple queries and executions of prepared ones.
    pub(crate) fn statements(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Connection {
    number: u64,
    weather: watch::Receiver<Weather>,
    questions: Arc<AtomicU64>,
}

impl Connection {
    async fn carry(self, node: TcpStream, database: SocketAddr) {
        if *self.weather.borrow() == Weather::Cut {
            return;
        }
        let Ok(database) = TcpStream::connect(database).await else {
            return;
        };
        let _ = (node.set_nodelay(true), database.set_nodelay(true));
        let (from_node, to_node) = node.into_split();
        let (from_database, to_database) = database.into_split();
        let mut cut = self.weather.clone();
        let answers = self.clone();
        // Whichever side closes, or when it is cut, both close.
        tokio::select! {
            () = self.pass(Direction::Questions, from_node, to_database) => {}
            () = answers.pass(Direction::Answers, from_database, to_node) => {}
            _ = cut.wait_for(|weather| *weather == Weather::Cut) => {}
        }
    }

    async fn pass(mut self, direction: Direction, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 16 * 1024];
        let mut statements = Statements::default();
        loop {
            let read = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => &buffer[..read],
            };
            if direction == Direction::Questions {
                let asked = statements.count(read);
                self.questions.fetch_add(asked, Ordering::Relaxed);
            }
            self.wait_for_fair_weather(direction).await;
            if to.write_all(read).await.is_err() {
                return;
            }
        }
    }

    async fn wait_for_fair_weather(&mut self, direction: Direction) {
        let weather = *self.weather.borrow();
        if let Weather::Slow(most, of) = weather
            && of.has(self.number)
        {
            let late = most.mul_f64(fastrand::f64());
            tokio::time::sleep(late).await;
        }
        let number = self.number;
        let passes = |weather: &Weather| match weather {
            Weather::Stalled(stall) => {
                let is_held = match direction {
                    Direction::Questions => stall.questions,
                    Direction::Answers => stall.answers,
                };
                !(is_held && stall.of.has(number))
            }
            Weather::Fair | Weather::Slow(..) | Weather::Cut => true,
        };
        // The sender lives as long as the trial.
        let _ = self.weather.wait_for(passes).await;
    }
}

/// Counts statements in what a client of PostgreSQL says, in whatever pieces it comes. (PostgreSQL documentation,
/// "Message Formats": a startup message of a length and its rest, then messages of a letter, a length and their rest.)
#[derive(Default)]
struct Statements {
    started: bool,
    head: Vec<u8>,
    /// Of the message whose head was read.
    left: usize,
}

impl Statements {
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut statements = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            let letter = usize::from(self.started);
            let Some(length) = self.head.get(letter..letter + 4) else {
                continue;
            };
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            // It counts itself.
            self.left = (length as usize).saturating_sub(4);
            if self.started && matches!(self.head[0], b'Q' | b'E') {
                statements += 1;
            }
            self.started = true;
            self.head.clear();
        }
        statements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(letter: Option<u8>, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(rest.len() + 4).unwrap();
        let mut message: Vec<u8> = letter.into_iter().collect();
        message.extend(length.to_be_bytes());
        message.extend(rest);
        message
    }

    #[test]
    fn statements_are_counted_in_whatever_pieces_they_come() {
        let said = [
            message(None, b"\0\x03\0\0user\0E\0\0"),
            message(Some(b'P'), b"\0SELECT 'Q'\0"),
            message(Some(b'E'), b"\0\0\0\0\0"),
            message(Some(b'S'), b""),
            message(Some(b'Q'), b"COMMIT\0"),
        ]
        .concat();
        assert_eq!(Statements::default().count(&said), 2);
        let mut by_one = Statements::default();
        let counted: u64 = said.chunks(1).map(|piece| by_one.count(piece)).sum();
        assert_eq!(counted, 2);
    }
}
