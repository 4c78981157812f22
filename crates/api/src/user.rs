//! Users (CONTRACT §4.4).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A user, as an administrator sees one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The id from the identity provider.
    #[schema(example = "user-1")]
    pub id: String,
    /// When the user was first seen.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000000Z")]
    pub created_at: String,
    /// How many keys the user has, of every status.
    #[schema(minimum = 0)]
    pub api_keys: u64,
}
