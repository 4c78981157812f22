//! One connection to a node, kept as long as it answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::node::Node;

/// Longer than anything takes that a server means to answer: two leases of a second, and statements that time out.
const PATIENCE: Duration = Duration::from_secs(15);

/// What came back whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Nothing did: what became of the request is unknown.
#[derive(Debug)]
pub(crate) struct NoAnswer;

impl From<std::io::Error> for NoAnswer {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// Speaks HTTP to one node.
pub(crate) struct Client {
    node: Arc<Node>,
    authorization: Arc<str>,
    connection: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    /// With a service key.
    pub(crate) fn of(node: &Arc<Node>, service_key: &str) -> Self {
        Self {
            node: node.clone(),
            authorization: format!("Bearer {service_key}").into(),
            connection: None,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Asks, for a user where one is named.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        user: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, NoAnswer> {
        self.ask_within(PATIENCE, method, path, user, body).await
    }

    /// The same, and gives up after that time.
    pub(crate) async fn ask_within(
        &mut self,
        patience: Duration,
        method: &str,
        path: &str,
        user: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, NoAnswer> {
        let request = self.request(method, path, user, body);
        // Where something goes wrong, what comes on it later is not the answer to the next question.
        let mut connection = self.connection.take();
        let asked = async {
            let mut held = if let Some(held) = connection.take() {
                held
            } else {
                let held = TcpStream::connect(self.node.address()).await?;
                held.set_nodelay(true)?;
                held
            };
            held.write_all(request.as_bytes()).await?;
            let answer = read(&mut held, &mut self.buffer).await?;
            self.connection = Some(held);
            Ok(answer)
        };
        tokio::time::timeout(patience, asked)
            .await
            .unwrap_or(Err(NoAnswer))
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        user: Option<&str>,
        body: Option<&Value>,
    ) -> String {
        let body = body.map(Value::to_string).unwrap_or_default();
        let user = user.map_or_else(String::new, |user| format!("Keywright-User: {user}\r\n"));
        let content = if body.is_empty() {
            String::new()
        } else {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: trial\r\nAuthorization: {}\r\n{user}{content}\r\n{body}",
            self.authorization
        )
    }
}

async fn read(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Answer, NoAnswer> {
    buffer.clear();
    let (status, begins, length) = loop {
        if let Some(head) = head(buffer)? {
            break head;
        }
        more(connection, buffer).await?;
    };
    while buffer.len() < begins + length {
        more(connection, buffer).await?;
    }
    let body = &buffer[begins..begins + length];
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(body).map_err(|_| NoAnswer)?
    };
    Ok(Answer { status, body })
}

async fn more(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), NoAnswer> {
    match connection.read_buf(buffer).await? {
        0 => Err(NoAnswer),
        _ => Ok(()),
    }
}

/// Status, where the body begins, and how long it is; `None` where the head is not there whole.
fn head(buffer: &[u8]) -> Result<Option<(u16, usize, usize)>, NoAnswer> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(begins) = response.parse(buffer).map_err(|_| NoAnswer)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |header| {
            std::str::from_utf8(header.value).ok()?.parse().ok()
        });
    let status = response.code.ok_or(NoAnswer)?;
    Ok(Some((status, begins, length.ok_or(NoAnswer)?)))
}
