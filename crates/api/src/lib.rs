//! What goes over the wire: shapes and error codes, and no logic. A client needs no other crate of Keywright.
//!
//! Times are RFC 3339 in UTC with microseconds, as text (CONTRACT §4). Unknown fields of a request are refused: a
//! misspelt `expires_at` that is silently ignored would make a key that never dies.

pub mod audit;
pub mod cluster;
pub mod key;
pub mod keyspace;
mod nullable;
pub mod object;
pub mod problem;
pub mod usage;
pub mod user;
pub mod verify;

pub use audit::{AuditActor, AuditActorKind, AuditRecord};
pub use cluster::{Cluster, ClusterNode, NoLeaseReason, ThisNode};
pub use key::{CreateKey, CreatedKey, Key, KeyStatus, PatchKey, ReplacePermissions};
pub use keyspace::{CreateKeyspace, Keyspace, NewPermission, PatchKeyspace, Permission};
pub use object::Object;
pub use problem::{ErrorCode, FieldError, Problem};
pub use usage::{Usage, UsageBucket, UsageCode, UsageStep};
pub use user::User;
pub use verify::{
    FoundCode, FoundKey, NoKey, NotFoundCode, Verification, VerifyBatch, VerifyBatchResult,
    VerifyKey,
};
