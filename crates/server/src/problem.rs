//! Every error that a client sees: `application/problem+json` (RFC 9457; CONTRACT §4.5).
//!
//! A [`Problem`] travels in the extensions of a response without a body; [`crate::exchange`], the outermost layer,
//! writes it out with the request's id, so that there is one place that does.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keywright_api::problem::{ErrorCode, FieldError};
use keywright_core::ambient::EntropyError;
use keywright_engine::VerifyError;
use keywright_store::StoreError;

/// An error on its way to the client. Its text was written for the client: nothing of the database goes in.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: ErrorCode,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The connection is of no further use: what the client goes on sending is not read as a request.
    pub(crate) fn closing(mut self) -> Self {
        self.headers
            .push((CONNECTION, HeaderValue::from_static("close")));
        self
    }

    /// Refused fields, each with its place.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail: Cow<'static, str> = match errors.as_slice() {
            // The pointer to the whole document is empty (RFC 6901).
            [only] if only.pointer.is_empty() => format!("the body {}", only.detail).into(),
            [only] => format!("{}: {}", only.pointer, only.detail).into(),
            _ => "several fields were refused; `errors` tells which, and why".into(),
        };
        Self {
            errors,
            ..Self::new(ErrorCode::ValidationFailed, detail)
        }
    }

    /// One refused field.
    pub(crate) fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::NotFound, detail)
    }

    /// No credential was sent: the challenge names no error (RFC 6750 §3.1).
    pub(crate) fn missing_credentials(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::MissingCredentials, detail)
            .with_challenge(HeaderValue::from_static("Bearer"))
    }

    /// The credential that was sent is not good.
    pub(crate) fn invalid_token(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidToken, detail)
            .with_challenge(HeaderValue::from_static("Bearer error=\"invalid_token\""))
    }

    /// The credential is good, and lacks `missing`.
    pub(crate) fn insufficient_scope(missing: &[impl AsRef<str>]) -> Self {
        let missing = missing.iter().map(AsRef::as_ref).collect::<Vec<_>>();
        let challenge = format!(
            "Bearer error=\"insufficient_scope\", scope=\"{}\"",
            missing.join(" ")
        );
        let problem = Self::new(
            ErrorCode::InsufficientScope,
            format!(
                "the service key lacks {}: use one that holds it",
                missing.join(", ")
            ),
        );
        // infallible: permission names are ASCII (CONTRACT §1)
        problem
            .with_challenge(HeaderValue::try_from(challenge).expect("permission names are ASCII"))
    }

    /// The server cannot know now. Nothing was decided.
    pub(crate) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Unavailable, detail).retry_after(Duration::from_secs(1))
    }

    pub(crate) fn too_many_failures(wait: Duration) -> Self {
        let detail =
            "too many failed authentications from this address; a good credential is still taken";
        Self::new(ErrorCode::TooManyFailures, detail).retry_after(wait)
    }

    fn with_challenge(mut self, challenge: HeaderValue) -> Self {
        self.headers.push((WWW_AUTHENTICATE, challenge));
        self
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.headers
            .push((RETRY_AFTER, HeaderValue::from(seconds.max(1))));
        self
    }

    /// The problem for a response that some library made: 404 and 405 of the router above all.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => {
                Self::not_found("there is nothing at this path; /docs lists what there is")
            }
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                ErrorCode::MethodNotAllowed,
                "this path does not take this method; the header Allow lists those it takes",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(ErrorCode::PayloadTooLarge, "the body is too large")
            }
            status if status.is_client_error() => Self::new(
                ErrorCode::MalformedRequest,
                "the request is not HTTP as it should be",
            ),
            _ => Self::internal(),
        }
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            ErrorCode::Internal,
            "the server failed; its log has more under this request id",
        )
    }

    /// What to do, in a sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Refused fields, each with its place.
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// What its answer says in headers.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Writes the problem out. `headers` are those the response had so far, such as Allow.
    pub(crate) fn write(self, headers: &HeaderMap, request_id: &str) -> Response {
        let status = self.status();
        let body = keywright_api::Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.detail.into_owned(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: self.errors,
        };
        // infallible: text and numbers are written as JSON
        let body = serde_json::to_vec(&body).expect("a problem is written as JSON");
        let mut response = (status, body).into_response();
        response.headers_mut().extend(headers.clone());
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "store unavailable");
                Self::unavailable("the database does not answer now; try again")
            }
            StoreError::NotWritable(_) => {
                tracing::error!(%error, "store not writable");
                Self::unavailable("the database takes no changes now; try again")
            }
            StoreError::Damaged(_) | StoreError::Internal(_) => {
                tracing::error!(%error, "store failed");
                Self::internal()
            }
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Store(error) => error.into(),
            VerifyError::Busy => Self::unavailable(
                "too many keys that are not in memory are being looked up; try again",
            ),
        }
    }
}

impl From<EntropyError> for Problem {
    fn from(error: EntropyError) -> Self {
        tracing::error!(%error, "nothing can be minted");
        Self::unavailable("the server has no random bytes now; try again")
    }
}
