//! Making keys: any number of them by the same few statements, and each asked for itself whether it may be made.

use std::collections::{BTreeMap, BTreeSet};

use keywright_core::audit::{Action, Attribution, AuditEntry, snapshot_of_key};
use keywright_core::authority::{Caller, Refusal, may_create};
use keywright_core::identifier::UserId;
use keywright_core::key::KeyRecord;
use serde_json::Value;

use super::users::Owner;
use super::{Change, Connection, Failure, Made, insert_created, keys, keyspaces, users};
use crate::KeyCreated;

/// Makes a key and, where nobody knows them yet, its owner.
pub(crate) struct CreateKey {
    pub(crate) record: KeyRecord,
    pub(crate) caller: Caller,
    pub(crate) by: Attribution,
}

impl Change for CreateKey {
    type Outcome = KeyCreated;

    async fn make(&self, connection: &mut Connection) -> Result<Made<KeyCreated>, Failure> {
        let outcome = create_together(connection, &[self]).await?.pop();
        // infallible: one was asked for. Its entry is written already.
        Ok(Made::unrecorded(outcome.expect("one outcome")))
    }
}

/// Makes those of the group that may be made, with their owners and audit entries, and tells for each what became of
/// it. In the order of locks keyspaces → users → `api_keys`. A failure is that of all: whatever is written then must be
/// rolled back.
pub(crate) async fn create_together(
    connection: &mut Connection,
    group: &[&CreateKey],
) -> Result<Vec<KeyCreated>, Failure> {
    let refusals = refusals(connection, group).await?;
    let allowed: Vec<_> = group
        .iter()
        .zip(&refusals)
        .filter(|(_, refusal)| refusal.is_none())
        .map(|(creation, _)| (&creation.record, &creation.by))
        .collect();
    if !allowed.is_empty() {
        insert(connection, &allowed).await?;
    }
    let outcome = |refusal: Option<_>| refusal.map_or(KeyCreated::Done, KeyCreated::Refused);
    Ok(refusals.into_iter().map(outcome).collect())
}

/// For each of the group why it may not be made, if so: asked of the keyspaces as they are within this transaction.
async fn refusals(
    connection: &mut Connection,
    group: &[&CreateKey],
) -> Result<Vec<Option<Refusal>>, Failure> {
    let names: BTreeSet<_> = group
        .iter()
        .map(|creation| &creation.record.key.keyspace)
        .collect();
    let mut held = BTreeMap::new();
    for name in names {
        // Where there is none, the database refuses the key for the reference that leads nowhere.
        if let Some(keyspace) = keyspaces::find_and_hold(connection, name).await? {
            held.insert(name, keyspace);
        }
    }
    let refusal = |creation: &&CreateKey| {
        let key = &creation.record.key;
        let keyspace = held.get(&key.keyspace)?;
        may_create(&creation.caller, keyspace, key.grants).err()
    };
    Ok(group.iter().map(refusal).collect())
}

/// Makes a service key if there is none of any status.
pub(super) struct CreateFirstServiceKey {
    pub(super) record: KeyRecord,
    pub(super) by: Attribution,
}

impl Change for CreateFirstServiceKey {
    type Outcome = bool;

    async fn make(&self, connection: &mut Connection) -> Result<Made<bool>, Failure> {
        // Of several nodes that start at once, the others wait here and then see the key.
        users::lock(connection, &UserId::reserved()).await?;
        if keys::any_service_key(connection).await? {
            return Ok(Made::unrecorded(false));
        }
        insert(connection, &[(&self.record, &self.by)]).await?;
        Ok(Made::unrecorded(true))
    }
}

/// Writes keys with their owners and their audit entries.
async fn insert(
    connection: &mut Connection,
    made: &[(&KeyRecord, &Attribution)],
) -> Result<(), Failure> {
    let records: Vec<_> = made.iter().map(|(record, _)| *record).collect();
    let entries: Vec<_> = made.iter().map(|(record, by)| entry(record, by)).collect();
    insert_created(connection, &owners(made), &records, &entries).await
}

/// Whose keys are made, in the order of ids.
fn owners(made: &[(&KeyRecord, &Attribution)]) -> Vec<Owner> {
    let mut owners: BTreeMap<&UserId, Owner> = BTreeMap::new();
    for (record, by) in made {
        let id = &record.key.user_id;
        let owner = owners.entry(id).or_insert_with(|| Owner {
            id: id.clone(),
            known_since: by.at,
            more_keys: 0,
        });
        owner.more_keys += 1;
    }
    owners.into_values().collect()
}

/// The audit entry of a key that is made.
fn entry(record: &KeyRecord, by: &Attribution) -> AuditEntry {
    let after = snapshot_of_key(record);
    keys::entry(record, by, Action::KeyCreated, Value::Null, after)
}
