//! `POST /api/api-keys`

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use keywright_api::{CreateKey, CreatedKey};
use keywright_core::audit::Attribution;
use keywright_core::authority::{Caller, may_create};
use keywright_core::identifier::{KeyId, time_ordered_id};
use keywright_core::key::{KeyRecord, Metadata};
use keywright_core::key_text::KeyText;
use keywright_core::keyspace::DEFAULT;
use keywright_core::permission::Grants;
use keywright_store::KeyCreated;

use super::{ActingFor, refused};
use crate::attribution::Provenance;
use crate::authority::{KeysWrite, UserOrService};
use crate::extract::Json;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// Make a key
///
/// The answer holds the text of the key, this once. An answer that was not received leaves a key that nobody holds:
/// list and revoke it.
#[utoipa::path(
    post,
    path = "/api/api-keys",
    tag = "API keys",
    params(ActingFor),
    request_body = CreateKey,
    responses(
        (status = 200, description = "The key, with its text", body = CreatedKey,
            headers(("Cache-Control" = String, description = "`no-store`"))),
        (status = 403, description = "`insufficient_scope`, `service_key_required`, `not_self_service`"),
    )
)]
pub(crate) async fn generate_api_key(
    authority: UserOrService<KeysWrite>,
    State(state): State<AppState>,
    provenance: Provenance,
    Json(wanted): Json<CreateKey>,
) -> Result<impl IntoResponse, Problem> {
    let minted = mint(authority, wanted, provenance, &state).await?;
    let created = minted.keep(&state).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Answer(created)))
}

/// A key that was asked for rightly and is stored nowhere yet.
pub(crate) struct Minted {
    text: KeyText,
    record: KeyRecord,
    caller: Caller,
    by: Attribution,
}

/// Checks what is asked for, and mints the key.
pub(crate) async fn mint(
    authority: UserOrService<KeysWrite>,
    wanted: CreateKey,
    provenance: Provenance,
    state: &AppState,
) -> Result<Minted, Problem> {
    let mut validation = Validation::default();
    let name = wanted.keyspace.unwrap_or_else(|| DEFAULT.to_owned());
    let Some(name) = validation.keyspace_name("/keyspace", name) else {
        return Err(stop(validation));
    };
    let Some((keyspace, tag_keys)) = state.mints.read(name).await? else {
        validation.refuse(
            "/keyspace",
            "names no keyspace that there is; GET /api/keyspaces lists them",
        );
        return Err(stop(validation));
    };
    may_create(&authority.caller, &keyspace, Grants::NONE).map_err(|refusal| refused(&refusal))?;
    let user_id = authority.owner(keyspace.is_service())?;

    let name = validation.text("/name", wanted.name);
    let grants = validation.grants(&wanted.permissions, &keyspace.catalogue);
    let description = wanted
        .description
        .map(|text| validation.text("/description", text));
    let expires_at = wanted
        .expires_at
        .map(|text| validation.expiry("/expires_at", &text, &*state.clock));
    let metadata = wanted
        .metadata
        .map(|object| validation.metadata("/metadata", &object));
    validation.done()?;
    let (Some(name), Some(grants)) = (name, grants) else {
        return Err(Problem::internal());
    };
    may_create(&authority.caller, &keyspace, grants).map_err(|refusal| refused(&refusal))?;

    let text = KeyText::mint(&keyspace.prefix, tag_keys.newest(), &*state.entropy)?;
    let by = provenance.of(authority.actor, state)?;
    let id = KeyId(time_ordered_id(&*state.clock, &*state.entropy)?);
    let mut record = KeyRecord::minted(&text, id, keyspace, user_id, name, grants, by.at);
    record.key.description = description.flatten();
    record.key.expires_at = expires_at.flatten();
    record.key.metadata = metadata.flatten().unwrap_or_else(Metadata::empty);
    Ok(Minted {
        text,
        record,
        caller: authority.caller,
        by,
    })
}

impl Minted {
    /// Stores it; from then on it is a key.
    pub(crate) async fn keep(self, state: &AppState) -> Result<CreatedKey, Problem> {
        let Self {
            text,
            record,
            caller,
            by,
        } = self;
        let made = state.store.create_key(record.clone(), caller, by).await?;
        if let KeyCreated::Refused(refusal) = made {
            return Err(refused(&refusal));
        }
        Ok(CreatedKey {
            api_key: wire::key(&record),
            plain_text_key: text.expose().to_owned(),
        })
    }
}

/// Ends in what was refused so far.
fn stop(validation: Validation) -> Problem {
    validation.done().err().unwrap_or_else(Problem::internal)
}
