//! What is recorded of a change (CONTRACT §4.4): who did what to which key, what it was and what it became.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::identifier::{KeyId, KeyspaceName, UserId};
use crate::key::KeyRecord;
use crate::keyspace::Keyspace;
use crate::text::Description;
use crate::timestamp::Timestamp;

/// What kind of actor made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// A user, by a JWT or by the key itself.
    User,
    /// A service key.
    ServiceKey,
    /// The web console.
    Console,
    /// Somebody at the command line of the server's own machine, or the server at its first start.
    CommandLine,
}

impl ActorKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::User,
        Self::ServiceKey,
        Self::Console,
        Self::CommandLine,
    ];

    /// As the database and the wire write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceKey => "service_key",
            Self::Console => "console",
            Self::CommandLine => "command_line",
        }
    }

    /// The kind written `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Which one: a user's id, a service key's id, or the command that ran.
    pub id: String,
}

/// Who made a change, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// The id the entry will have: a `UUIDv7`.
    pub entry_id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// From which address, where there is one.
    pub ip: Option<String>,
    /// With which program, as it called itself.
    pub user_agent: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A key was made.
    KeyCreated,
    /// A key's name, description, metadata or expiry changed.
    KeyUpdated,
    /// A key's permissions were replaced.
    KeyPermissionsReplaced,
    /// A key was suspended.
    KeySuspended,
    /// A key was reactivated.
    KeyReactivated,
    /// A key was revoked.
    KeyRevoked,
    /// A keyspace was made.
    KeyspaceCreated,
    /// A keyspace was changed.
    KeyspaceUpdated,
    /// A user was deleted, with all keys.
    UserDeleted,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::KeyCreated,
        Self::KeyUpdated,
        Self::KeyPermissionsReplaced,
        Self::KeySuspended,
        Self::KeyReactivated,
        Self::KeyRevoked,
        Self::KeyspaceCreated,
        Self::KeyspaceUpdated,
        Self::UserDeleted,
    ];

    /// As the database and the wire write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreated => "api_key.created",
            Self::KeyUpdated => "api_key.updated",
            Self::KeyPermissionsReplaced => "api_key.permissions_replaced",
            Self::KeySuspended => "api_key.suspended",
            Self::KeyReactivated => "api_key.reactivated",
            Self::KeyRevoked => "api_key.revoked",
            Self::KeyspaceCreated => "keyspace.created",
            Self::KeyspaceUpdated => "keyspace.updated",
            Self::UserDeleted => "user.deleted",
        }
    }

    /// The action written `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who, when and from where.
    pub by: Attribution,
    /// What.
    pub action: Action,
    /// To which key.
    pub key_id: Option<KeyId>,
    /// To whose key, or to which user. The reserved owner for service keys.
    pub user_id: Option<UserId>,
    /// In which keyspace.
    pub keyspace: Option<KeyspaceName>,
    /// What changed, as it was; null for what was made.
    pub before: Value,
    /// What changed, as it became; null for what was deleted.
    pub after: Value,
}

/// What of a key is worth recording: everything that a person may see of it and that a change can touch.
pub fn snapshot_of_key(record: &KeyRecord) -> Value {
    let key = &record.key;
    let permissions: Vec<_> = record
        .keyspace
        .catalogue
        .names(key.grants)
        .map(ToString::to_string)
        .collect();
    json!({
        "name": key.name.as_str(),
        "description": key.description.as_ref().map(Description::as_str),
        "prefix": key.prefix,
        "postfix": key.postfix,
        "status": key.lifecycle.status().as_str(),
        "permissions": permissions,
        "expires_at": key.expires_at.map(|at| at.to_string()),
        "suspended_at": key.lifecycle.suspended_at().map(|at| at.to_string()),
        "revoked_at": key.lifecycle.revoked_at().map(|at| at.to_string()),
        "metadata": key.metadata.to_value(),
    })
}

/// What of a keyspace is worth recording. Its tag keys are not.
pub fn snapshot_of_keyspace(keyspace: &Keyspace) -> Value {
    let permissions: Vec<_> = keyspace
        .catalogue
        .permissions()
        .iter()
        .map(|known| json!({"name": known.name.as_str(), "description": known.description.as_ref().map(Description::as_str)}))
        .collect();
    json!({
        "prefix": keyspace.prefix.as_str(),
        "description": keyspace.description.as_ref().map(Description::as_str),
        "self_service": keyspace.self_service,
        "permissions": permissions,
    })
}

/// Reduces two snapshots of one thing to the fields in which they differ.
pub fn difference(before: Value, after: Value) -> (Value, Value) {
    let (Value::Object(mut before), Value::Object(mut after)) = (before, after) else {
        return (Value::Null, Value::Null);
    };
    let same: Vec<String> = before
        .iter()
        .filter(|(name, value)| after.get(*name) == Some(*value))
        .map(|(name, _)| name.clone())
        .collect();
    let drop_same =
        |snapshot: &mut Map<String, Value>| snapshot.retain(|name, _| !same.contains(name));
    drop_same(&mut before);
    drop_same(&mut after);
    (Value::Object(before), Value::Object(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_recorded() {
        let (before, after) = difference(
            json!({"a": 1, "b": null, "c": [1]}),
            json!({"a": 2, "b": null, "c": [1]}),
        );
        assert_eq!((before, after), (json!({"a": 1}), json!({"a": 2})));
    }

    #[test]
    fn every_name_is_read_back() {
        assert!(
            Action::ALL
                .into_iter()
                .all(|action| Action::parse(action.as_str()) == Some(action))
        );
        assert!(
            ActorKind::ALL
                .into_iter()
                .all(|kind| ActorKind::parse(kind.as_str()) == Some(kind))
        );
    }
}
