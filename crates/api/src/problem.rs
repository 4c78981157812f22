//! Errors: `application/problem+json` (RFC 9457; CONTRACT §4.5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart (RFC 9457 §4.2.1).
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub kind: String,
    /// The phrase of the status.
    #[schema(example = "Unprocessable Entity")]
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    pub status: u16,
    /// What was refused, and what to do.
    pub detail: String,
    /// What programs tell problems apart by. It does not change.
    pub code: ErrorCode,
    /// The id of the request, also in the header `X-Request-Id` and in the server's log.
    pub request_id: String,
    /// With `validation_failed`: every field that was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// A field that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body (RFC 6901), `?name` for a query parameter, or a header's name.
    #[schema(example = "/name")]
    pub pointer: String,
    /// What is wrong with it, and what would be right.
    #[schema(example = "must have 1 to 100 characters, and has 0")]
    pub detail: String,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $text:literal,)+) => {
        /// What programs tell problems apart by. Codes are never renamed; new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)+
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The HTTP status it comes with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// As the wire writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

error_codes! {
    /// The body is no JSON.
    MalformedJson = 400 "malformed_json",
    /// The request is not HTTP as it should be.
    MalformedRequest = 400 "malformed_request",
    /// Two credentials in one request.
    ConflictingCredentials = 400 "conflicting_credentials",
    /// No credential was sent.
    MissingCredentials = 401 "missing_credentials",
    /// The credential is not good, or not good any more.
    InvalidToken = 401 "invalid_token",
    /// The credential is good, and not for this.
    InsufficientScope = 403 "insufficient_scope",
    /// Only service keys may do this.
    ServiceKeyRequired = 403 "service_key_required",
    /// The keyspace leaves this to service keys.
    NotSelfService = 403 "not_self_service",
    /// There is no such thing, as far as the caller may know.
    NotFound = 404 "not_found",
    /// The path is there, the method is not.
    MethodNotAllowed = 405 "method_not_allowed",
    /// The request came too slowly.
    RequestTimeout = 408 "request_timeout",
    /// The key is REVOKED, which is final.
    KeyRevoked = 409 "key_revoked",
    /// No service key that holds `keys:write` would be left.
    LastServiceKey = 409 "last_service_key",
    /// There is a keyspace of this name.
    KeyspaceExists = 409 "keyspace_exists",
    /// Another keyspace's prefix begins with this one, or this one with it.
    PrefixOverlaps = 409 "prefix_overlaps",
    /// There are as many keyspaces as there may be.
    TooManyKeyspaces = 409 "too_many_keyspaces",
    /// A built-in keyspace cannot be changed so.
    BuiltInKeyspace = 409 "built_in_keyspace",
    /// The body is too large.
    PayloadTooLarge = 413 "payload_too_large",
    /// The path and query are too long.
    UriTooLong = 414 "uri_too_long",
    /// The body is not `application/json`.
    UnsupportedMediaType = 415 "unsupported_media_type",
    /// The request is understood, and something in it is refused: see `errors`.
    ValidationFailed = 422 "validation_failed",
    /// Too many failed authentications from one source.
    TooManyFailures = 429 "too_many_failures",
    /// The headers are too large.
    HeadersTooLarge = 431 "headers_too_large",
    /// A defect of the server; its log has more under the request id.
    Internal = 500 "internal",
    /// The server cannot know now: try again after `Retry-After`.
    Unavailable = 503 "unavailable",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_written_as_it_says() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
