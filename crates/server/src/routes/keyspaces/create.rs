//! `POST /api/keyspaces`

use axum::Json as Answer;
use axum::extract::State;
use keywright_api::{CreateKeyspace, ErrorCode, Keyspace};
use keywright_core::identifier::KeyPrefix;
use keywright_core::key_text::{TagKey, TagKeys};
use keywright_core::keyspace::{self, KeyspaceRefusal};
use keywright_core::permission::{Catalogue, Permission};
use keywright_store::{KeyspaceCreated, MAX_KEYSPACES};

use super::refused;
use crate::attribution::Provenance;
use crate::authority::{KeyspacesWrite, Service};
use crate::extract::Json;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// Make a keyspace
#[utoipa::path(
    post,
    path = "/api/keyspaces",
    tag = "Keyspaces",
    request_body = CreateKeyspace,
    responses(
        (status = 200, description = "The keyspace", body = Keyspace),
        (status = 409, description = "`keyspace_exists`, `prefix_overlaps`, `too_many_keyspaces`"),
    )
)]
pub(crate) async fn create_keyspace(
    authority: Service<KeyspacesWrite>,
    State(state): State<AppState>,
    provenance: Provenance,
    Json(wanted): Json<CreateKeyspace>,
) -> Result<Answer<Keyspace>, Problem> {
    let mut validation = Validation::default();
    let name = validation.keyspace_name("/name", wanted.name);
    let prefix = validation.take("/prefix", KeyPrefix::new(wanted.prefix));
    let description = wanted
        .description
        .map(|text| validation.text("/description", text));
    let permissions = validation.new_permissions(wanted.permissions);
    validation.done()?;
    let (Some(name), Some(prefix)) = (name, prefix) else {
        return Err(Problem::internal());
    };

    let permissions = permissions.into_iter().map(|edit| Permission {
        name: edit.name,
        description: edit.description.flatten(),
    });
    let catalogue =
        Catalogue::new(permissions).map_err(|error| refused(&KeyspaceRefusal::Catalogue(error)))?;
    let by = provenance.of(authority.actor(), &state)?;
    let keyspace = keyspace::Keyspace {
        name,
        prefix,
        description: description.flatten(),
        self_service: wanted.self_service,
        catalogue,
        created_at: by.at,
    };
    let tag_keys = TagKeys::new(TagKey::generate(&*state.entropy)?);
    match state
        .store
        .create_keyspace(keyspace.clone(), tag_keys, by)
        .await?
    {
        KeyspaceCreated::Done => Ok(Answer(wire::keyspace(&keyspace))),
        KeyspaceCreated::NameTaken => Err(Problem::new(
            ErrorCode::KeyspaceExists,
            "there is a keyspace of this name: choose another, or change that one",
        )),
        KeyspaceCreated::PrefixOverlaps(other) => Err(Problem::new(
            ErrorCode::PrefixOverlaps,
            format!(
                "the prefix begins with that of the keyspace {other}, or the other way round: choose another"
            ),
        )),
        KeyspaceCreated::TooMany => Err(Problem::new(
            ErrorCode::TooManyKeyspaces,
            format!("there are {MAX_KEYSPACES} keyspaces, and there may be no more"),
        )),
    }
}
