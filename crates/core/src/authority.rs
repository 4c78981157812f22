//! Who may make and change which key (CONTRACT §1 and §4.1): pure rules, asked inside the transaction that makes
//! the change, so that no two requests can pass them one by one and break them together.
//!
//! That a caller holds the operation itself (`keys:write`) is asked before, by the route.

use crate::audit::Action;
use crate::identifier::UserId;
use crate::key::{ApiKey, KeyRecord, Metadata};
use crate::keyspace::{Keyspace, Operation};
use crate::lifecycle::{AlreadyRevoked, Status, Transition};
use crate::permission::Grants;
use crate::text::{Description, KeyName};
use crate::timestamp::Timestamp;

/// On whose authority a key is made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user, by a JWT.
    User(UserId),
    /// A service key.
    ServiceKey {
        /// What it may do.
        grants: Grants,
        /// The user it acts for, if it named one.
        acting_for: Option<UserId>,
    },
    /// Whoever holds the text of the key itself: may revoke it, whatever its state, and nothing else.
    Holder,
    /// Somebody who has the database itself, or the server at its first start.
    Operator,
}

/// What is to be done to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEdit {
    /// Suspend, reactivate or revoke it.
    Transition(Transition),
    /// Replace its permissions.
    Permissions(Grants),
    /// Change what describes it.
    Details(DetailsEdit),
}

/// What of a key's description changes; `None` keeps a field, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DetailsEdit {
    /// A new name.
    pub name: Option<KeyName>,
    /// A new description.
    pub description: Option<Option<Description>>,
    /// New metadata, replacing the old whole.
    pub metadata: Option<Metadata>,
    /// A new expiry.
    pub expires_at: Option<Option<Timestamp>>,
}

/// What an edit comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// It held already: nothing is written, and the answer means the same.
    Unchanged,
    /// The key becomes this.
    To {
        /// The key after the edit.
        key: Box<ApiKey>,
        /// How the audit log calls it.
        action: Action,
    },
}

/// Why somebody may not make or change a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such key, as far as this caller may know.
    NotFound,
    /// The key is REVOKED.
    Revoked,
    /// Service keys are the business of service keys.
    ServiceKeysOnly,
    /// The keyspace leaves this to service keys.
    NotSelfService,
    /// The caller lacks permissions that the service key holds, before or after.
    InsufficientScope {
        /// Those permissions, in the numbers of the catalogue of service keys.
        missing: Grants,
    },
    /// No service key that holds `keys:write` would be left.
    LastServiceKey,
}

/// Whether `caller` may make a key with `grants` in `keyspace`.
///
/// # Errors
/// [`Refusal::ServiceKeysOnly`], [`Refusal::NotSelfService`] or [`Refusal::InsufficientScope`].
pub fn may_create(caller: &Caller, keyspace: &Keyspace, grants: Grants) -> Result<(), Refusal> {
    match caller {
        Caller::User(_) if keyspace.is_service() => Err(Refusal::ServiceKeysOnly),
        Caller::User(_) if !keyspace.self_service => Err(Refusal::NotSelfService),
        Caller::ServiceKey { grants: held, .. } if keyspace.is_service() => within(*held, grants),
        // A holder is no caller of this; it may make nothing.
        Caller::Holder => Err(Refusal::ServiceKeysOnly),
        Caller::User(_) | Caller::ServiceKey { .. } | Caller::Operator => Ok(()),
    }
}

/// Whether `caller` may know that the key of `record` exists.
///
/// # Errors
/// [`Refusal::NotFound`] where not: another user's key is answered as one that does not exist.
pub fn may_see(caller: &Caller, record: &KeyRecord) -> Result<(), Refusal> {
    let visible = match caller {
        Caller::User(user)
        | Caller::ServiceKey {
            acting_for: Some(user),
            ..
        } => record.key.user_id == *user,
        Caller::ServiceKey {
            acting_for: None, ..
        }
        | Caller::Holder
        | Caller::Operator => true,
    };
    if visible {
        Ok(())
    } else {
        Err(Refusal::NotFound)
    }
}

/// What `edit` by `caller` makes of a key.
///
/// `another_writer` tells whether some other service key that is ACTIVE and lasts at least as long as this one holds
/// `keys:write`; it matters only where the key is a service key.
///
/// # Errors
/// [`Refusal`], the first that holds: not found, then what the key's state forbids, then what the caller may not do.
pub fn edit(
    caller: &Caller,
    record: &KeyRecord,
    edit: &KeyEdit,
    another_writer: bool,
    now: Timestamp,
) -> Result<Edited, Refusal> {
    may_see(caller, record)?;
    if *caller == Caller::Holder && *edit != KeyEdit::Transition(Transition::Revoke) {
        return Err(Refusal::ServiceKeysOnly);
    }
    let key = &record.key;
    if key.lifecycle.status() == Status::Revoked && *edit != KeyEdit::Transition(Transition::Revoke)
    {
        return Err(Refusal::Revoked);
    }
    if let (Caller::User(_), false) = (caller, record.keyspace.self_service)
        && !is_open_to_users(edit)
    {
        return Err(Refusal::NotSelfService);
    }
    if record.keyspace.is_service() {
        may_edit_service_key(caller, key, edit)?;
    }
    let (after, action) = apply(key, edit, now)?;
    if after == *key {
        return Ok(Edited::Unchanged);
    }
    if record.keyspace.is_service() && !another_writer && ends_a_writer(key, &after, now) {
        return Err(Refusal::LastServiceKey);
    }
    Ok(Edited::To {
        key: Box::new(ApiKey {
            updated_at: now,
            ..after
        }),
        action,
    })
}

/// What a user may do to an own key where the keyspace is not self-service: everything that gives it no more.
fn is_open_to_users(edit: &KeyEdit) -> bool {
    match edit {
        KeyEdit::Transition(_) => true,
        KeyEdit::Permissions(_) => false,
        KeyEdit::Details(details) => details.metadata.is_none() && details.expires_at.is_none(),
    }
}

/// Nobody may change or reactivate a service key that holds, before or after, a permission the caller lacks;
/// suspending and revoking need no more than `keys:write`.
fn may_edit_service_key(caller: &Caller, key: &ApiKey, edit: &KeyEdit) -> Result<(), Refusal> {
    let held = match caller {
        Caller::ServiceKey { grants, .. } => *grants,
        Caller::Holder | Caller::Operator => return Ok(()),
        Caller::User(_) => return Err(Refusal::ServiceKeysOnly),
    };
    match edit {
        KeyEdit::Transition(Transition::Suspend | Transition::Revoke) => Ok(()),
        KeyEdit::Transition(Transition::Reactivate) | KeyEdit::Details(_) => {
            within(held, key.grants)
        }
        KeyEdit::Permissions(after) => within(held, Grants(key.grants.0 | after.0)),
    }
}

fn within(held: Grants, wanted: Grants) -> Result<(), Refusal> {
    if held.contains_all(wanted) {
        Ok(())
    } else {
        Err(Refusal::InsufficientScope {
            missing: held.lacking(wanted),
        })
    }
}

/// The key after the edit, its `updated_at` untouched.
fn apply(key: &ApiKey, edit: &KeyEdit, now: Timestamp) -> Result<(ApiKey, Action), Refusal> {
    let mut after = key.clone();
    let action = match edit {
        KeyEdit::Transition(transition) => {
            after.lifecycle = key
                .lifecycle
                .after(*transition, now)
                .map_err(|AlreadyRevoked| Refusal::Revoked)?;
            match transition {
                Transition::Suspend => Action::KeySuspended,
                Transition::Reactivate => Action::KeyReactivated,
                Transition::Revoke => Action::KeyRevoked,
            }
        }
        KeyEdit::Permissions(grants) => {
            after.grants = *grants;
            Action::KeyPermissionsReplaced
        }
        KeyEdit::Details(details) => {
            details.clone().apply_to(&mut after);
            Action::KeyUpdated
        }
    };
    Ok((after, action))
}

impl DetailsEdit {
    fn apply_to(self, key: &mut ApiKey) {
        if let Some(name) = self.name {
            key.name = name;
        }
        if let Some(description) = self.description {
            key.description = description;
        }
        if let Some(metadata) = self.metadata {
            key.metadata = metadata;
        }
        if let Some(expires_at) = self.expires_at {
            key.expires_at = expires_at;
        }
    }
}

/// Whether a service key that can write keys for good stops being one: suspended, revoked, its `keys:write` taken
/// away, or an end set to it that it did not have so soon. Each would lock everybody out in the end.
fn ends_a_writer(before: &ApiKey, after: &ApiKey, now: Timestamp) -> bool {
    let writes = |key: &ApiKey| {
        key.lifecycle.status() == Status::Active
            && !key.is_expired(now)
            && key.grants.contains_all(Operation::KeysWrite.grant())
    };
    let ends_sooner = match (before.expires_at, after.expires_at) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    };
    writes(before) && (!writes(after) || ends_sooner)
}

#[cfg(test)]
mod tests;
