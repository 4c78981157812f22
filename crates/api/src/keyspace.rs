//! Keyspaces (CONTRACT §4.4).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{nullable, object};

/// A named family of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Keyspace {
    /// Its name, unique.
    #[schema(example = "live")]
    pub name: String,
    /// How the text of its keys begins.
    #[schema(example = "sk_live_")]
    pub prefix: String,
    /// What it is for.
    #[schema(required)]
    pub description: Option<String>,
    /// Whether users make keys in it and change what those may do, or only service keys do.
    pub self_service: bool,
    /// What its keys can be allowed.
    pub permissions: Vec<Permission>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000000Z")]
    pub created_at: String,
}

/// A permission of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Permission {
    /// Its name; case counts.
    #[schema(example = "charges:read")]
    pub name: String,
    /// What it allows.
    #[schema(required)]
    pub description: Option<String>,
}

/// A permission in a request: its bare name, or its name with a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum NewPermission {
    /// The bare name.
    Name(PermissionName),
    /// The name with a description.
    #[serde(deserialize_with = "object::one")]
    Described(DescribedPermission),
}

/// The name of a permission; case counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = r"^[A-Za-z][A-Za-z0-9_.:-]{0,63}$", example = "charges:read")]
pub struct PermissionName(pub String);

/// The name of a permission with a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribedPermission {
    /// Its name; case counts.
    #[schema(pattern = r"^[A-Za-z][A-Za-z0-9_.:-]{0,63}$", example = "charges:read")]
    pub name: String,
    /// What it allows. Null clears what there was; absence keeps it.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, max_length = 500, pattern = r"^[^\u0000]*$")]
    pub description: Option<Option<String>>,
}

/// A keyspace to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKeyspace {
    /// Its name.
    #[schema(pattern = r"^[a-z][a-z0-9-]{0,31}$", example = "live")]
    pub name: String,
    /// How the text of its keys begins. Never the beginning of another keyspace's, nor the other way round.
    #[schema(pattern = r"^[a-z][a-z0-9_]{0,14}_$", example = "sk_live_")]
    pub prefix: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    pub description: Option<String>,
    /// Whether users make keys in it; false if absent.
    #[serde(default)]
    #[schema(required = false)]
    pub self_service: bool,
    /// What its keys can be allowed: at most 64 names, each once.
    #[serde(default)]
    #[schema(required = false, max_items = 64)]
    pub permissions: Vec<NewPermission>,
}

/// What to change of a keyspace. Absence keeps, null clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchKeyspace {
    /// A new description.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, max_length = 500, pattern = r"^[^\u0000]*$")]
    pub description: Option<Option<String>>,
    /// Whether users make keys in it.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    pub self_service: Option<Option<bool>>,
    /// Permissions to add, or to describe anew where they are there. None is ever removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 64)]
    pub permissions: Vec<NewPermission>,
}
