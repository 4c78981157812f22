//! From the domain to the shapes that go over the wire.

use std::collections::BTreeMap;

use keywright_api as api;
use keywright_core::audit::{ActorKind, AuditEntry};
use keywright_core::decision::Code;
use keywright_core::key::{KeyRecord, Metadata};
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use keywright_store::{Period, Step, UsageBucket, User};
use serde_json::{Map, Value};

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

fn object(metadata: &Metadata) -> Map<String, Value> {
    match metadata.to_value() {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn permissions(record: &KeyRecord) -> Vec<String> {
    record
        .keyspace
        .catalogue
        .names(record.key.grants)
        .map(ToString::to_string)
        .collect()
}

pub(crate) fn key(record: &KeyRecord) -> api::Key {
    let key = &record.key;
    api::Key {
        id: key.id.0,
        name: key.name.to_string(),
        prefix: key.prefix.clone(),
        postfix: key.postfix.clone(),
        status: match key.lifecycle.status() {
            Status::Active => api::KeyStatus::Active,
            Status::Suspended => api::KeyStatus::Suspended,
            Status::Revoked => api::KeyStatus::Revoked,
        },
        permissions: permissions(record),
        created_at: key.created_at.to_string(),
        last_used_at: time(key.last_used_at),
        revoked_at: time(key.lifecycle.revoked_at()),
        description: key.description.as_ref().map(ToString::to_string),
        user_id: key.user_id.to_string(),
        keyspace: key.keyspace.to_string(),
        expires_at: time(key.expires_at),
        suspended_at: time(key.lifecycle.suspended_at()),
        updated_at: key.updated_at.to_string(),
        metadata: object(&key.metadata),
    }
}

pub(crate) fn keyspace(keyspace: &Keyspace) -> api::Keyspace {
    let permission = |known: &keywright_core::permission::Permission| api::Permission {
        name: known.name.to_string(),
        description: known.description.as_ref().map(ToString::to_string),
    };
    api::Keyspace {
        name: keyspace.name.to_string(),
        prefix: keyspace.prefix.to_string(),
        description: keyspace.description.as_ref().map(ToString::to_string),
        self_service: keyspace.self_service,
        permissions: keyspace
            .catalogue
            .permissions()
            .iter()
            .map(permission)
            .collect(),
        created_at: keyspace.created_at.to_string(),
    }
}

pub(crate) fn user(user: &User) -> api::User {
    api::User {
        id: user.id.to_string(),
        created_at: user.created_at.to_string(),
        api_keys: user.api_keys,
    }
}

/// All buckets of a period, with what was counted in some of them.
pub(crate) fn usage(over: Period, counted: &[UsageBucket]) -> api::Usage {
    let counted: BTreeMap<Timestamp, &UsageBucket> = counted
        .iter()
        .map(|bucket| (bucket.start, bucket))
        .collect();
    let counts = |bucket: &&UsageBucket| {
        let counts = bucket.counts.iter();
        counts.map(|(code, n)| (usage_code(*code), *n)).collect()
    };
    let bucket = |start: Timestamp| api::UsageBucket {
        start: start.to_string(),
        counts: counted.get(&start).map(counts).unwrap_or_default(),
    };
    api::Usage {
        step: match over.step() {
            Step::Hour => api::UsageStep::Hour,
            Step::Day => api::UsageStep::Day,
        },
        buckets: over.starts().map(bucket).collect(),
    }
}

fn usage_code(code: Code) -> api::UsageCode {
    match code {
        Code::NotFound => api::UsageCode::NotFound,
        Code::Revoked => api::UsageCode::Revoked,
        Code::Suspended => api::UsageCode::Suspended,
        Code::Expired => api::UsageCode::Expired,
        Code::InsufficientPermissions => api::UsageCode::InsufficientPermissions,
        Code::Valid => api::UsageCode::Valid,
    }
}

pub(crate) fn audit(entry: &AuditEntry) -> api::AuditRecord {
    let object = |value: &Value| value.as_object().cloned();
    api::AuditRecord {
        id: entry.by.entry_id,
        at: entry.by.at.to_string(),
        actor: api::AuditActor {
            kind: match entry.by.actor.kind {
                ActorKind::User => api::AuditActorKind::User,
                ActorKind::ServiceKey => api::AuditActorKind::ServiceKey,
                ActorKind::Console => api::AuditActorKind::Console,
                ActorKind::CommandLine => api::AuditActorKind::CommandLine,
            },
            id: entry.by.actor.id.clone(),
        },
        action: entry.action.as_str().to_owned(),
        key_id: entry.key_id.map(|id| id.0),
        user_id: entry.user_id.as_ref().map(ToString::to_string),
        keyspace: entry.keyspace.as_ref().map(ToString::to_string),
        before: object(&entry.before),
        after: object(&entry.after),
        ip: entry.by.ip.clone(),
        user_agent: entry.by.user_agent.clone(),
        request_id: entry.by.request_id.clone(),
    }
}
