//! `/api/api-keys`: management (CONTRACT §4.1).

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod permissions;
pub(crate) mod reactivate;
pub(crate) mod revoke;
pub(crate) mod show;
pub(crate) mod suspend;
pub(crate) mod update;
pub(crate) mod usage;

use axum::Json;
use keywright_api::{ErrorCode, Key};
use keywright_core::authority::{Caller, KeyEdit, Refusal, may_see};
use keywright_core::identifier::KeyId;
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::Operation;
use keywright_core::lifecycle::Status;
use keywright_store::{KeyEdited, KeySelector};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::attribution::Provenance;
use crate::authority::UserOrService;
use crate::extract::no_such_key;
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire;

/// Which key is meant.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "for the document; the extractor is KeyIdPath")]
struct KeyPath {
    /// The key's id.
    key_id: Uuid,
}

/// For whom a service key acts.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document; the extractor is UserOrService")]
struct ActingFor {
    /// With a service key: the user it acts for. For creation and lists it is required, unless service keys
    /// themselves are meant; elsewhere it confines the service key to this user's keys.
    #[param(
        rename = "Keywright-User",
        required = false,
        min_length = 1,
        max_length = 255
    )]
    keywright_user: Option<String>,
}

/// The key with this id, if the caller may know that it exists.
pub(crate) async fn visible(
    caller: &Caller,
    key: KeyId,
    state: &AppState,
) -> Result<KeyRecord, Problem> {
    let record = state.store.find_key(key).await?.ok_or_else(no_such_key)?;
    may_see(caller, &record).map_err(|refusal| refused(&refusal))?;
    Ok(record)
}

/// The same, if it can still be changed: on a key that nobody can change any more, what is refused is the change, not a
/// field of it.
pub(crate) async fn changeable(
    caller: &Caller,
    key: KeyId,
    state: &AppState,
) -> Result<KeyRecord, Problem> {
    let found = match visible(caller, key, state).await {
        Ok(record) if record.key.lifecycle.status() == Status::Revoked => {
            Err(refused(&Refusal::Revoked))
        }
        found => found,
    };
    if found.is_err() {
        // As every change that finds nothing to do: what it rests on may not be known everywhere yet (CONTRACT §5).
        state.store.settle().await?;
    }
    found
}

/// Changes a key, and answers the key as it is then.
pub(crate) async fn change<O>(
    authority: UserOrService<O>,
    key: KeyId,
    edit: KeyEdit,
    provenance: Provenance,
    state: &AppState,
) -> Result<Json<Key>, Problem> {
    let by = provenance.of(authority.actor, state)?;
    let edited = state
        .store
        .edit_key(KeySelector::Id(key), authority.caller, edit, by)
        .await?;
    answer(edited)
}

/// The answer to an edit. One that held already is answered like one that was made: it means the same.
pub(crate) fn answer(edited: KeyEdited) -> Result<Json<Key>, Problem> {
    match edited {
        KeyEdited::Done(record) | KeyEdited::Unchanged(record) => Ok(Json(wire::key(&record))),
        KeyEdited::Refused(refusal) => Err(refused(&refusal)),
    }
}

/// What a client hears of a refusal.
pub(crate) fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => no_such_key(),
        Refusal::Revoked => Problem::new(
            ErrorCode::KeyRevoked,
            "this key is revoked, which is final: make a new one",
        ),
        Refusal::ServiceKeysOnly => Problem::new(
            ErrorCode::ServiceKeyRequired,
            "service keys are made and changed only by service keys: authenticate with one",
        ),
        Refusal::NotSelfService => Problem::new(
            ErrorCode::NotSelfService,
            "in this keyspace a user may see, rename, suspend, reactivate and revoke own keys; \
             creation, permissions, expiry and metadata need a service key",
        ),
        Refusal::InsufficientScope { missing } => {
            let lacks = |operation: &Operation| missing.contains_all(operation.grant());
            let names: Vec<_> = Operation::ALL
                .into_iter()
                .filter(lacks)
                .map(Operation::name)
                .collect();
            Problem::insufficient_scope(&names)
        }
        Refusal::LastServiceKey => Problem::new(
            ErrorCode::LastServiceKey,
            "no active service key that holds keys:write for as long would be left: make another one first",
        ),
    }
}
