//! Verification (CONTRACT §4.2).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::object;

/// A question about a key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyKey {
    /// What was presented as a key: any text of up to 512 characters.
    #[schema(
        max_length = 512,
        example = "agpt_0000000000000000000000000000000000000000000example"
    )]
    pub key: String,
    /// The permissions it must hold, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<AskedPermission>, example = json!(["READ_GRAPH"]))]
    pub permissions: Vec<String>,
    /// The keyspace it must belong to. Without one, any but `keywright`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[^\u0000]*$", example = "default")]
    pub keyspace: Option<String>,
}

/// The name of a permission that is asked for; one that no catalogue knows is missing.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r"^[^\u0000]*$", example = "READ_GRAPH")]
#[expect(dead_code, reason = "for the document; on the wire it is text")]
struct AskedPermission(String);

/// The answer to a question about a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Verification {
    /// There is such a key.
    Found(Box<FoundKey>),
    /// There is none, or not in the keyspace asked for.
    NotFound(NoKey),
}

/// A key that exists, and whether it is good for what was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundKey {
    /// Whether the key is good: `code` is `VALID`.
    pub valid: bool,
    /// The first that holds, in the order `REVOKED`, `SUSPENDED`, `EXPIRED`, `INSUFFICIENT_PERMISSIONS`, `VALID`.
    pub code: FoundCode,
    /// Its id.
    pub key_id: Uuid,
    /// Whose it is.
    #[schema(example = "user-1")]
    pub user_id: String,
    /// What its owner calls it.
    #[schema(example = "build server")]
    pub name: String,
    /// The keyspace it belongs to.
    #[schema(example = "default")]
    pub keyspace: String,
    /// What it may do.
    #[schema(example = json!(["EXECUTE_GRAPH", "READ_GRAPH"]))]
    pub permissions: Vec<String>,
    /// From when on it is expired.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// What a program attached to it.
    pub metadata: Map<String, Value>,
    /// With `INSUFFICIENT_PERMISSIONS`: what it lacks, in the order asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub missing_permissions: Option<Vec<String>>,
}

/// No such key: malformed, made up, unknown, or of another keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoKey {
    /// Always false.
    #[schema(example = false)]
    pub valid: bool,
    /// Always `NOT_FOUND`.
    pub code: NotFoundCode,
}

/// What a verification found of a key that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FoundCode {
    /// It is good for what was asked.
    Valid,
    /// It is revoked.
    Revoked,
    /// It is suspended.
    Suspended,
    /// It is expired.
    Expired,
    /// It lacks a permission asked for.
    InsufficientPermissions,
}

/// What a verification found where there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotFoundCode {
    /// There is no such key.
    NotFound,
}

/// Questions to be answered in their order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBatch {
    /// 1 to 1000 questions.
    #[serde(deserialize_with = "object::list")]
    #[schema(min_items = 1, max_items = 1000)]
    pub requests: Vec<VerifyKey>,
}

/// The answers to a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyBatchResult {
    /// One for each question, in their order.
    pub results: Vec<Verification>,
}
