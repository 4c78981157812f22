//! Requests that no HTTP library would send.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// How long an answer may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection on which a test writes bytes as it likes.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What came behind the answers that were read.
    rest: Vec<u8>,
}

/// What came back on it.
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        // What a test writes in pieces arrives in pieces, and at once.
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// A client that keeps little of what it does not read.
    pub(crate) async fn with_little_room(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address).await.expect("the server listens");
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// Waits until something came, and reads none of it.
    pub(crate) async fn something_came(&mut self) {
        let mut byte = [0];
        let came = tokio::time::timeout(PATIENCE, self.stream.peek(&mut byte));
        let count = came.await.expect("the server answers in time").unwrap();
        assert_eq!(count, 1);
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .await
            .expect("the server reads");
    }

    /// Writes if the server still takes it.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// A client that has written before the server knows of it.
    pub(crate) fn with_written(address: SocketAddr, bytes: &[u8]) -> Self {
        let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
        io::Write::write_all(&mut stream, bytes).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self {
            stream: TcpStream::from_std(stream).unwrap(),
            rest: Vec::new(),
        }
    }

    /// Writes the same over and over, and drops what comes, until the server ends the connection. Threads do it, so
    /// that the server finds more whenever it looks. Much has been answered when this is.
    pub(crate) async fn flood(self, bytes: Vec<u8>) -> JoinHandle<()> {
        let mut incoming = self.stream.into_std().unwrap();
        incoming.set_nonblocking(false).unwrap();
        let mut outgoing = incoming.try_clone().unwrap();
        spawn_blocking(move || while io::Write::write_all(&mut outgoing, &bytes).is_ok() {});
        let (tell, told) = oneshot::channel();
        let reading = spawn_blocking(move || {
            let mut much = vec![0; 256 * 1024];
            io::Read::read_exact(&mut incoming, &mut much).expect("the server answers");
            tell.send(()).expect("the test waits");
            // However it ends.
            let _ = io::copy(&mut incoming, &mut io::sink());
        });
        told.await.expect("the server answers");
        reading
    }

    /// Says that nothing more is written.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// What has come when the first bytes have.
    pub(crate) async fn until_answered(&mut self) -> Vec<u8> {
        let mut read = vec![0; 4096];
        let came = tokio::time::timeout(PATIENCE, self.stream.read(&mut read));
        let count = came.await.expect("the server answers in time").unwrap();
        read.truncate(count);
        read
    }

    /// Reads one answer, whose length its header must tell.
    pub(crate) async fn answer(&mut self) -> RawAnswer {
        tokio::time::timeout(PATIENCE, self.read_answer())
            .await
            .expect("the server answers in time")
    }

    /// What comes until the server closes the connection.
    pub(crate) async fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.rest);
        // A reset is an end as well.
        let _ = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest))
            .await
            .expect("the server closes the connection in time");
        rest
    }

    async fn read_answer(&mut self) -> RawAnswer {
        let mut read = std::mem::take(&mut self.rest);
        let (head, length, body_at) = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(read[..end].to_vec()).unwrap();
                let length = value_of(&head, "content-length").map_or(0, |v| v.parse().unwrap());
                break (head, length, end + 4);
            }
            let mut chunk = [0; 4096];
            let count = self
                .stream
                .read(&mut chunk)
                .await
                .expect("the server answers");
            assert!(
                count > 0,
                "closed after {:?}",
                String::from_utf8_lossy(&read)
            );
            read.extend_from_slice(&chunk[..count]);
        };
        while read.len() < body_at + length {
            let mut chunk = [0; 4096];
            let count = self
                .stream
                .read(&mut chunk)
                .await
                .expect("the answer comes whole");
            assert!(count > 0, "the answer comes whole");
            read.extend_from_slice(&chunk[..count]);
        }
        self.rest = read.split_off(body_at + length);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = String::from_utf8(read.split_off(body_at)).unwrap();
        RawAnswer { status, head, body }
    }
}

impl RawAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        value_of(&self.head, name)
    }

    pub(crate) fn code(&self) -> String {
        let problem: serde_json::Value =
            serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body));
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        problem["code"].as_str().unwrap().to_owned()
    }
}

fn value_of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
