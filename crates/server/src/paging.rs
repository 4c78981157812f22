//! Pages of lists: an opaque cursor, and the `Link` to the next page (RFC 8288).

use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_core::identifier::UserId;
use keywright_core::timestamp::Timestamp;
use keywright_store::{NamePosition, Page, Position, UserPosition};
use uuid::Uuid;

use crate::validate::Validation;

/// A place in a list that goes into a URL and comes back.
pub(crate) trait Cursor: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }

    fn decode(text: &str) -> Option<Self> {
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(text).ok()?)
    }
}

/// A time, and an id that orders what has the same time.
fn after_time(at: Timestamp, id: &[u8]) -> Vec<u8> {
    [&at.as_micros().to_be_bytes(), id].concat()
}

fn time_before(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (at, id) = bytes.split_first_chunk()?;
    Some((Timestamp::from_micros(i64::from_be_bytes(*at)), id))
}

impl Cursor for Position {
    fn to_bytes(&self) -> Vec<u8> {
        after_time(self.at, self.id.as_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, id) = time_before(bytes)?;
        let id = Uuid::from_slice(id).ok()?;
        Some(Self { at, id })
    }
}

impl Cursor for UserPosition {
    fn to_bytes(&self) -> Vec<u8> {
        after_time(self.at, self.id.as_str().as_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, id) = time_before(bytes)?;
        let id = UserId::new(str::from_utf8(id).ok()?).ok()?;
        Some(Self { at, id })
    }
}

impl Cursor for NamePosition {
    fn to_bytes(&self) -> Vec<u8> {
        [self.id.as_bytes(), self.name.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, name) = bytes.split_first_chunk()?;
        let name = str::from_utf8(name).ok()?;
        (!name.contains('\0')).then(|| Self {
            name: name.to_owned(),
            id: Uuid::from_bytes(*id),
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
        let name = NamePosition {
            name: "ä key".to_owned(),
            id: Uuid::from_u128(42),
        };
        assert_eq!(NamePosition::decode(&name.encode()), Some(name));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "!", "AAAA", "AAAAAAAAAAAAAAAA", &"A".repeat(1000)] {
            assert_eq!(Position::decode(text), None, "{text}");
        }
        assert_eq!(UserPosition::decode("AAAAAAAAAAA"), None, "an empty id");
    }
}
