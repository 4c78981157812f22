//! How often keys were used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How often verifications were answered with which code, in buckets of an hour or a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// How long each bucket is.
    pub step: UsageStep,
    /// All buckets from the first to the last that was asked for, the empty ones too.
    #[schema(max_items = 1000)]
    pub buckets: Vec<UsageBucket>,
}

/// How long a bucket is. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageStep {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// What was counted in one hour or day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageBucket {
    /// When it began.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000000Z")]
    pub start: String,
    /// How often each code was answered; those that were not are absent.
    #[schema(example = json!({"VALID": 3}))]
    pub counts: BTreeMap<UsageCode, u64>,
}

/// What a verification was answered with.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UsageCode {
    /// It was good for what was asked.
    Valid,
    /// It lacked a permission asked for.
    InsufficientPermissions,
    /// It was expired.
    Expired,
    /// It was suspended.
    Suspended,
    /// It was revoked.
    Revoked,
    /// There was no such key, or not in the keyspace asked for.
    NotFound,
}
