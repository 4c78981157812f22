//! Pages of lists: an opaque cursor, and the `Link` to the next page (RFC 8288).

use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_core::identifier::UserId;
use keywright_core::timestamp::Timestamp;
use keywright_store::{Page, Position, UserPosition};
use uuid::Uuid;

use crate::validate::Validation;

/// A place in a list that goes into a URL and comes back.
pub(crate) trait Cursor: Sized {
    fn parts(&self) -> (Timestamp, &[u8]);
    fn from_parts(at: Timestamp, id: &[u8]) -> Option<Self>;

    fn encode(&self) -> String {
        let (at, id) = self.parts();
        URL_SAFE_NO_PAD.encode([&at.as_micros().to_be_bytes(), id].concat())
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (at, id) = bytes.split_first_chunk()?;
        Self::from_parts(Timestamp::from_micros(i64::from_be_bytes(*at)), id)
    }
}

impl Cursor for Position {
    fn parts(&self) -> (Timestamp, &[u8]) {
        (self.at, self.id.as_bytes())
    }

    fn from_parts(at: Timestamp, id: &[u8]) -> Option<Self> {
        Some(Self {
            at,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

impl Cursor for UserPosition {
    fn parts(&self) -> (Timestamp, &[u8]) {
        (self.at, self.id.as_str().as_bytes())
    }

    fn from_parts(at: Timestamp, id: &[u8]) -> Option<Self> {
        Some(Self {
            at,
            id: UserId::new(str::from_utf8(id).ok()?).ok()?,
        })
    }
}

impl Validation {
    /// The cursor of an earlier answer.
    pub(crate) fn cursor<C: Cursor>(&mut self, text: Option<&str>) -> Option<C> {
        let text = text?;
        let cursor = C::decode(text);
        if cursor.is_none() {
            self.refuse(
                "?cursor",
                "must be the cursor of an earlier answer's Link header, unchanged",
            );
        }
        cursor
    }
}

/// One page as JSON, with a `Link` to the next where there is more.
///
/// `path` and `parameters` are those of this request; its own cursor is left out of them.
pub(crate) fn answer<T, C: Cursor, W: serde::Serialize>(
    page: &Page<T>,
    place: impl FnOnce(&T) -> C,
    to_wire: impl FnMut(&T) -> W,
    path: &str,
    parameters: &[(&str, Option<&str>)],
) -> Response {
    let entries: Vec<W> = page.entries.iter().map(to_wire).collect();
    let mut response = axum::Json(entries).into_response();
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        let cursor = place(last).encode();
        let given = parameters
            .iter()
            .filter_map(|&(name, value)| Some((name, value?)));
        let given: Vec<_> = given.chain([("cursor", cursor.as_str())]).collect();
        // infallible: pairs of text are written as a query
        let query =
            serde_urlencoded::to_string(given).expect("pairs of text are written as a query");
        // infallible: both are percent-encoded ASCII
        let link = HeaderValue::try_from(format!("<{path}?{query}>; rel=\"next\""))
            .expect("a URL is ASCII");
        response.headers_mut().insert(LINK, link);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let position = Position {
            at: Timestamp::from_micros(-7),
            id: Uuid::from_u128(42),
        };
        assert_eq!(Position::decode(&position.encode()), Some(position));
        let user = UserPosition {
            at: Timestamp::from_micros(7),
            id: UserId::new("ä/ö").unwrap(),
        };
        assert_eq!(UserPosition::decode(&user.encode()), Some(user));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "!", "AAAA", "AAAAAAAAAAAAAAAA", &"A".repeat(1000)] {
            assert_eq!(Position::decode(text), None, "{text}");
        }
        assert_eq!(UserPosition::decode("AAAAAAAAAAA"), None, "an empty id");
    }
}
