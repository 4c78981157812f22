//! An answer as it is written.

use std::cmp::Ordering;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use axum::http::{HeaderMap, Response};
use http_body_util::BodyExt;
use httpdate::HttpDate;
use keywright_core::ambient::EntropyError;
use keywright_core::timestamp::Timestamp;

use crate::request_id::RequestIds;

/// How much room for answers is kept between requests.
const KEPT: usize = 64 * 1024;

/// Answers that wait to be written, one behind the other.
pub(super) struct Output {
    bytes: Vec<u8>,
    /// The document of the answer that is being made: its length stands in front of it.
    body: Vec<u8>,
    /// Where the id stands in the newest answer.
    request_id: (usize, usize),
    date: DateLine,
}

impl Output {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            body: Vec::new(),
            request_id: (0, 0),
            date: DateLine::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes away what stands behind `length`.
    pub(super) fn cut(&mut self, length: usize) {
        self.bytes.truncate(length);
        if length == 0 && self.bytes.capacity() > KEPT {
            self.bytes.shrink_to(KEPT);
        }
    }

    /// An empty body, to be written to before [`Self::write_ok`].
    pub(super) fn body(&mut self) -> &mut Vec<u8> {
        self.body.clear();
        &mut self.body
    }

    /// Writes a 200 with the body, headers in the order in which the general path has them: `given` is the client's
    /// id for the request, `added` are lines of further headers.
    pub(super) fn write_ok(
        &mut self,
        given: Option<&str>,
        added: &[u8],
        now: Timestamp,
        ids: &RequestIds,
    ) -> Result<(), EntropyError> {
        let out = &mut self.bytes;
        out.extend_from_slice(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: ",
        );
        let begin = out.len();
        if let Some(id) = given {
            out.extend_from_slice(id.as_bytes());
        } else {
            let mut text = uuid::Uuid::encode_buffer();
            let id = ids.next(now)?.hyphenated().encode_lower(&mut text);
            out.extend_from_slice(id.as_bytes());
        }
        self.request_id = (begin, out.len());
        out.extend_from_slice(b"\r\nx-content-type-options: nosniff\r\n");
        out.extend_from_slice(added);
        out.extend_from_slice(b"content-length: ");
        write_number(out, self.body.len());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.date.at(now));
        out.extend_from_slice(&self.body);
        Ok(())
    }

    /// The id in the newest answer.
    pub(super) fn request_id(&self) -> &str {
        let (begin, end) = self.request_id;
        str::from_utf8(&self.bytes[begin..end]).unwrap_or_default()
    }
}

/// The decimal digits of a number, which is a few thousand at most.
fn write_number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let mut place = digits.len();
    let mut rest = number;
    loop {
        place -= 1;
        digits[place] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[place..]);
}

/// Writes headers as lines.
pub(super) fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// The last line of a head, and the empty one behind it; made once a second (RFC 9110 §6.6.1).
struct DateLine {
    second: i64,
    line: Vec<u8>,
}

impl DateLine {
    const fn new() -> Self {
        Self {
            second: i64::MIN,
            line: Vec::new(),
        }
    }

    fn at(&mut self, now: Timestamp) -> &[u8] {
        let second = now.as_micros().div_euclid(1_000_000);
        if second.cmp(&self.second) != Ordering::Equal {
            let since = Duration::from_secs(u64::try_from(second).unwrap_or(0));
            let at: SystemTime = UNIX_EPOCH + since;
            self.line.clear();
            // infallible: a vector takes whatever is written to it
            write!(self.line, "date: {}\r\n\r\n", HttpDate::from(at)).expect("a vector grows");
            self.second = second;
        }
        &self.line
    }
}

/// The router's answer as it is written, and whether the connection ends with it. `None` where the answer broke off.
pub(super) async fn written(response: Response<Body>, now: Timestamp) -> Option<(Vec<u8>, bool)> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    let mut out = Vec::with_capacity(512 + body.len());
    let status = head.status;
    let reason = status.canonical_reason().unwrap_or("<none>");
    // infallible: a vector takes whatever is written to it
    write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_str()).expect("a vector grows");
    write_headers(&mut out, &head.headers);
    if !head.headers.contains_key(CONTENT_LENGTH) {
        write!(out, "content-length: {}\r\n", body.len()).expect("a vector grows");
    }
    if head.headers.contains_key(DATE) {
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(DateLine::new().at(now));
    }
    out.extend_from_slice(&body);
    let closes = head.headers.get(CONNECTION);
    let closes = closes.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    Some((out, closes))
}
