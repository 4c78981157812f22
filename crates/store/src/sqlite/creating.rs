//! The creation of a key in two turns between the task that writes and the driver's thread: with many of them in a
//! transaction, those turns are most of what each costs.

use keywright_core::authority::may_create;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::text::Description;
use keywright_core::timestamp::Timestamp;

use super::Connection;
use super::statements::{Change, CreateKey, Made, created, find_and_hold};
use crate::KeyCreated;
use crate::failure::Failure;

/// Three statements in one: the owner, the key, the entry. If one fails, those before it are undone with the change.
pub(super) const CREATE: &str = "INSERT INTO users (id, created_at, api_keys) VALUES ($1, $2, 1) \
         ON CONFLICT (id) DO UPDATE SET api_keys = users.api_keys + 1; \
     INSERT INTO api_keys (id, hash, keyspace, user_id, name, description, prefix, postfix, status, grants, created_at, \
         updated_at, last_used_at, expires_at, suspended_at, revoked_at, metadata) \
         VALUES ($3, $4, $5, $1, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18); \
     INSERT INTO audit_log (id, at, actor_kind, actor_id, action, key_id, user_id, keyspace, before, after, ip, \
         user_agent, request_id) \
         VALUES ($19, $2, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)";

/// Makes a key and, where nobody knows them yet, its owner.
pub(super) struct Creation(pub(super) CreateKey);

impl Change for Creation {
    type Outcome = KeyCreated;

    async fn make(&self, connection: &mut Connection) -> Result<Made<KeyCreated>, Failure> {
        let CreateKey { record, caller, by } = &self.0;
        let key = &record.key;
        // Where there is none, the database refuses the key for the reference that leads nowhere.
        if let Some(keyspace) = find_and_hold(connection, &key.keyspace).await?
            && let Err(refusal) = may_create(caller, &keyspace, key.grants)
        {
            return Ok(Made::unrecorded(KeyCreated::Refused(refusal)));
        }
        let entry = created(record, by);
        sqlx::query(CREATE)
            .bind(key.user_id.as_str())
            .bind(by.at.as_micros())
            .bind(key.id.0)
            .bind(record.digest.as_bytes().as_slice())
            .bind(key.keyspace.as_str())
            .bind(key.name.as_str())
            .bind(key.description.as_ref().map(Description::as_str))
            .bind(key.prefix.as_str())
            .bind(key.postfix.as_str())
            .bind(key.lifecycle.status().as_str())
            .bind(key.grants.0.cast_signed())
            .bind(key.created_at.as_micros())
            .bind(key.updated_at.as_micros())
            .bind(key.last_used_at.map(Timestamp::as_micros))
            .bind(key.expires_at.map(Timestamp::as_micros))
            .bind(key.lifecycle.suspended_at().map(Timestamp::as_micros))
            .bind(key.lifecycle.revoked_at().map(Timestamp::as_micros))
            .bind(key.metadata.as_json())
            .bind(by.entry_id)
            .bind(by.actor.kind.as_str())
            .bind(by.actor.id.as_str())
            .bind(entry.action.as_str())
            .bind(entry.key_id.map(|KeyId(id)| id))
            .bind(entry.user_id.as_ref().map(UserId::as_str))
            .bind(entry.keyspace.as_ref().map(KeyspaceName::as_str))
            .bind(entry.before.to_string())
            .bind(entry.after.to_string())
            .bind(by.ip.as_deref())
            .bind(by.user_agent.as_deref())
            .bind(by.request_id.as_deref())
            .execute(connection)
            .await?;
        // The entry is written already.
        Ok(Made::unrecorded(KeyCreated::Done))
    }
}
