//! The audit log (CONTRACT §4.4).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// A UUIDv7.
    pub id: Uuid,
    /// When.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000000Z")]
    pub at: String,
    /// Who.
    pub actor: AuditActor,
    /// What, such as `api_key.revoked`.
    #[schema(example = "api_key.revoked")]
    pub action: String,
    /// To which key.
    #[schema(required)]
    pub key_id: Option<Uuid>,
    /// To whose key, or to which user.
    #[schema(required, example = "user-1")]
    pub user_id: Option<String>,
    /// In which keyspace.
    #[schema(required, example = "default")]
    pub keyspace: Option<String>,
    /// The fields that changed, as they were; null for what was made.
    #[schema(required)]
    pub before: Option<Map<String, Value>>,
    /// The fields that changed, as they became; null for what was deleted.
    #[schema(required)]
    pub after: Option<Map<String, Value>>,
    /// From which address.
    #[schema(required, example = "203.0.113.7")]
    pub ip: Option<String>,
    /// With which program, as it called itself.
    #[schema(required)]
    pub user_agent: Option<String>,
    /// In which request.
    #[schema(required)]
    pub request_id: Option<String>,
}

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditActor {
    /// What kind of actor.
    pub kind: AuditActorKind,
    /// A user's id, a service key's id, or the command that ran.
    #[schema(example = "user-1")]
    pub id: String,
}

/// What kind of actor made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditActorKind {
    /// A user.
    User,
    /// A service key.
    ServiceKey,
    /// The web console.
    Console,
    /// Somebody at the command line of the server's own machine.
    CommandLine,
}
