//! Keys (CONTRACT §4.1).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::nullable;

/// An API key: everything about it but its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// A UUIDv7.
    pub id: Uuid,
    /// What its owner calls it.
    #[schema(example = "build server")]
    pub name: String,
    /// The first 8 characters of its text, for people to recognise it by. Not unique.
    #[schema(example = "agpt_8fK")]
    pub prefix: String,
    /// The last 8 characters of its text, for people to recognise it by. Not unique.
    #[schema(example = "Qm0mLq17")]
    pub postfix: String,
    /// Where it stands. An expired key is still ACTIVE: see `expires_at`.
    pub status: KeyStatus,
    /// What it may do, in the order of its keyspace's catalogue.
    #[schema(example = json!(["EXECUTE_GRAPH", "READ_GRAPH"]))]
    pub permissions: Vec<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000000Z")]
    pub created_at: String,
    /// When it was used last; written within seconds of the use.
    #[schema(required, format = DateTime, example = "2026-11-22T10:00:00.000000Z")]
    pub last_used_at: Option<String>,
    /// When it was revoked.
    #[schema(required, format = DateTime)]
    pub revoked_at: Option<String>,
    /// What its owner says about it.
    #[schema(required)]
    pub description: Option<String>,
    /// Whose it is; empty for service keys, whose owner is the server itself.
    #[schema(example = "user-1")]
    pub user_id: String,
    /// The keyspace it belongs to.
    #[schema(example = "default")]
    pub keyspace: String,
    /// From when on it is expired.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was suspended.
    #[schema(required, format = DateTime)]
    pub suspended_at: Option<String>,
    /// When anything but its use changed last.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000000Z")]
    pub updated_at: String,
    /// What a program attached to it.
    pub metadata: Map<String, Value>,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KeyStatus {
    /// It may be used.
    Active,
    /// Put aside; it can be reactivated.
    Suspended,
    /// Gone for good.
    Revoked,
}

/// A key to make.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What to call it.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000]*$",
        example = "build server"
    )]
    pub name: String,
    /// What it may do: names of its keyspace's catalogue, each once. None at all grants nothing.
    #[schema(max_items = 64, example = json!(["EXECUTE_GRAPH", "READ_GRAPH"]))]
    pub permissions: Vec<String>,
    /// What to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    pub description: Option<String>,
    /// The keyspace to make it in; `default` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[a-z][a-z0-9-]{0,31}$", example = "default")]
    pub keyspace: Option<String>,
    /// From when on it is expired: RFC 3339, in the future. Never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2031-01-01T00:00:00Z")]
    pub expires_at: Option<String>,
    /// What to attach to it: an object of at most 4 KiB as compact JSON, at most 32 levels deep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// A key that was made, with its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key.
    pub api_key: Key,
    /// Its text. It is shown this once and stored nowhere: keep it where secrets are kept.
    #[schema(example = "agpt_0000000000000000000000000000000000000000000example")]
    pub plain_text_key: String,
}

/// What to change of a key. Absence keeps, null clears, `metadata` is replaced whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchKey {
    /// A new name. It cannot be cleared.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 100, pattern = r"^[^\u0000]*$", example = "build server")]
    pub name: Option<Option<String>>,
    /// A new description.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, max_length = 500, pattern = r"^[^\u0000]*$")]
    pub description: Option<Option<String>>,
    /// New metadata: an object of at most 4 KiB as compact JSON, at most 32 levels deep.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Map<String, Value>>, required = false)]
    pub metadata: Option<Option<Map<String, Value>>>,
    /// A new expiry: RFC 3339, in the future.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, format = DateTime, example = "2031-01-01T00:00:00Z")]
    pub expires_at: Option<Option<String>>,
}

/// The permissions that replace a key's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplacePermissions {
    /// Names of the keyspace's catalogue, each once. None at all grants nothing.
    #[schema(max_items = 64, example = json!(["READ_GRAPH"]))]
    pub permissions: Vec<String>,
}
