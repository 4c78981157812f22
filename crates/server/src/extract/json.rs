//! A body of JSON.

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use keywright_api::{ErrorCode, Object};
use keywright_core::key_text;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::problem::Problem;
use crate::state::AppState;

/// A body of at most 64 KiB.
pub(crate) struct Json<T>(pub(crate) T);

/// A body of at most 1 MiB.
pub(crate) struct LargeJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        parse(&read(request, 64 * 1024, state).await?).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for LargeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        parse(&read(request, 1024 * 1024, state).await?).map(Self)
    }
}

async fn read(request: Request<Body>, limit: usize, state: &AppState) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            ErrorCode::UnsupportedMediaType,
            "the body must be JSON: send Content-Type: application/json",
        ));
    }
    read_body(request, limit, state).await
}

/// The whole body, of whatever type, within its limit in bytes and its time.
pub(crate) async fn read_body(
    request: Request<Body>,
    limit: usize,
    state: &AppState,
) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            ErrorCode::PayloadTooLarge,
            format!("the body of this request may have {limit} bytes"),
        )
        .closing()
    };
    // Told before it is sent: what is announced as too large is not waited for.
    if request.body().size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(state.body_timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            ErrorCode::MalformedRequest,
            "the body did not arrive whole",
        )),
        Err(_) => Err(Problem::new(
            ErrorCode::RequestTimeout,
            "the body took too long to arrive",
        )
        .closing()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| names_json(value.as_bytes()))
}

/// Whether this value of `Content-Type` is JSON's, with whatever parameters.
pub(crate) fn names_json(value: &[u8]) -> bool {
    let is_visible = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
    value.iter().all(is_visible)
        && media_type
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
}

/// Reads a document into `T`.
///
/// # Errors
/// `malformed_json` where it is no JSON, `validation_failed` with a pointer where it is JSON of another shape.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // A document that is broken further on is no JSON, whatever stands at its beginning.
        match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => explain(&error.path().clone(), &error.into_inner()),
            Err(broken) => malformed(&broken),
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn explain(path: &Path, error: &serde_json::Error) -> Problem {
    if error.classify() != Category::Data {
        return malformed(error);
    }
    let message = error.to_string();
    // The library adds where in the text it stopped; the pointer says it better.
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message);
    let mut pointer = pointer_to(path);
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    let detail = if message.starts_with("missing field") {
        pointer = format!("{pointer}/{}", quoted(message));
        "is required".to_owned()
    } else if message.starts_with("duplicate field") {
        pointer = format!("{pointer}/{}", quoted(message));
        "stands twice".to_owned()
    } else if let Some((_, known)) = message
        .strip_prefix("unknown field")
        .and_then(|rest| rest.split_once(", "))
    {
        format!("is not a field of this request: {known}")
    } else if let Some((_, expected)) = message.rsplit_once(", expected ") {
        // What stood there instead is left out: it may be a secret in the wrong place.
        format!("must be {expected}")
    } else {
        "has a form that this field does not take".to_owned()
    };
    Problem::invalid_field(pointer, detail)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(
        ErrorCode::MalformedJson,
        format!("the body is not JSON: see line {line}, column {column}"),
    )
}

/// The JSON pointer (RFC 6901) to a place.
fn pointer_to(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } if looks_secret(key) => pointer.push('…'),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { .. } | Segment::Unknown => {
                pointer.pop();
            }
        }
    }
    pointer
}

/// Whether a field's name should not be echoed: too long for one, or a key in the wrong place.
fn looks_secret(name: &str) -> bool {
    name.len() > 40 || key_text::is_within(name)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use keywright_api::{CreateKey, CreateKeyspace, PatchKey, VerifyBatch};

    use super::*;

    fn refused<T: DeserializeOwned>(body: &str) -> (u16, String) {
        let Err(problem) = parse::<T>(body.as_bytes()) else {
            panic!("{body} was taken")
        };
        let response = problem.clone().into_response();
        (response.status().as_u16(), format!("{problem:?}"))
    }

    #[track_caller]
    fn assert_refused<T: DeserializeOwned>(body: &str, pointer: &str, detail: &str) {
        let (status, problem) = refused::<T>(body);
        assert_eq!(status, 422, "{problem}");
        assert!(
            problem.contains(&format!("pointer: {pointer:?}, detail: {detail:?}")),
            "{problem}"
        );
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in ["", "{", "{\"name\": }", "nonsense", "{} {}", "\u{0}"] {
            assert_eq!(refused::<CreateKey>(body).0, 400, "{body}");
        }
        assert!(
            parse::<CreateKey>(b"{\"name\": \"\xff\"}")
                .is_err_and(|problem| problem.status() == 400)
        );
        for broken in [
            "[".repeat(10_000),
            format!(r#"{{"metadata": {}"#, "[".repeat(10_000)),
        ] {
            assert_eq!(refused::<CreateKey>(&broken).0, 400, "deep nesting");
        }
    }

    #[test]
    fn a_misspelt_field_is_refused_and_the_right_ones_are_named() {
        let body = r#"{"name": "a", "permissions": [], "expiresAt": null}"#;
        let known = "expected one of `name`, `permissions`, `description`, `keyspace`, `expires_at`, `metadata`";
        assert_refused::<CreateKey>(
            body,
            "/expiresAt",
            &format!("is not a field of this request: {known}"),
        );
    }

    #[test]
    fn a_missing_field_is_pointed_to() {
        assert_refused::<CreateKey>(r#"{"name": "a"}"#, "/permissions", "is required");
        assert_refused::<VerifyBatch>(r#"{"requests": [{}]}"#, "/requests/0/key", "is required");
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        assert_refused::<CreateKey>(
            r#"{"name": "a", "name": "b", "permissions": []}"#,
            "/name",
            "stands twice",
        );
    }

    #[test]
    fn a_value_in_the_wrong_place_is_not_echoed() {
        assert_refused::<CreateKey>(
            r#"{"name": "a", "permissions": "secret"}"#,
            "/permissions",
            "must be a sequence",
        );
        assert_refused::<CreateKey>(
            r#"{"name": 1, "permissions": []}"#,
            "/name",
            "must be a string",
        );
        let (_, problem) =
            refused::<CreateKeyspace>(r#"{"name": "a", "prefix": "a_", "permissions": [17]}"#);
        assert!(problem.contains("/permissions/0"), "{problem}");
    }

    #[test]
    fn a_list_of_values_is_no_object() {
        let must_be = "must be an object";
        assert_refused::<CreateKey>(r#"["a", []]"#, "", must_be);
        assert_refused::<PatchKey>("[]", "", must_be);
        assert_refused::<PatchKey>("null", "", must_be);
        assert_refused::<VerifyBatch>(r#"{"requests": [["a", []]]}"#, "/requests/0", must_be);
        let body = r#"{"name": "a", "prefix": "a_", "permissions": [["read", null]]}"#;
        let (status, problem) = refused::<CreateKeyspace>(body);
        assert_eq!(status, 422);
        assert!(problem.contains("/permissions/0"), "{problem}");
    }

    #[test]
    fn what_is_too_long_for_a_field_is_not_echoed() {
        let long = "x".repeat(41);
        let (_, problem) = refused::<CreateKey>(&format!(r#"{{"{long}": 1}}"#));
        assert!(!problem.contains(&long), "{problem}");
    }

    #[test]
    fn pointers_escape_what_rfc_6901_says() {
        let (_, problem) = refused::<CreateKey>(r#"{"a/b~c": 1}"#);
        assert!(problem.contains("/a~1b~0c"), "{problem}");
    }
}
