//! Several keys at once: they are selected in a list, and suspended or revoked together.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use futures::future::join_all;
use keywright_api::ErrorCode;
use keywright_core::authority::KeyEdit;
use keywright_core::identifier::KeyId;
use keywright_core::key::KeyRecord;
use keywright_core::lifecycle::Transition;
use uuid::Uuid;

use super::page::{Frame, Section, page, page_with};
use super::posted::{Fields, Posted};
use super::shown::{Shown, shown_with_uses};
use super::theme::is_own_path;
use super::visitor::Visitor;
use crate::attribution::Provenance;
use crate::authority::{KeysRead, KeysWrite};
use crate::problem::Problem;
use crate::routes::api_keys::{change, visible};
use crate::state::AppState;

/// How many keys can be selected.
const MOST: usize = 100;

#[derive(Template)]
#[template(path = "console/revoke_selected.html")]
struct Confirm {
    frame: Frame,
    keys: Vec<Shown>,
    /// What is to be typed.
    words: String,
    uses_of_day: u64,
    back: String,
    error: &'static str,
}

#[derive(Template)]
#[template(path = "console/selected_outcome.html")]
struct Outcomes {
    frame: Frame,
    done: usize,
    what: &'static str,
    /// Those that were not changed, and why.
    refused: Vec<(String, Uuid, String)>,
    back: String,
}

/// `POST /keys/selected`: suspends the keys, or asks once more before they are revoked.
pub(super) async fn choose(
    State(state): State<AppState>,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let keys = selected(&visitor, &fields, &state).await?;
    if keys.is_empty() {
        return Ok(back_with(&fields, "none"));
    }
    if fields.one("action") == "revoke" {
        visitor.may::<KeysWrite>(None)?;
        let confirm = confirm(&visitor, &fields, &keys, "", &state).await?;
        return Ok(page(&confirm));
    }
    change_all(
        &visitor,
        &fields,
        keys,
        Transition::Suspend,
        &provenance,
        &state,
    )
    .await
}

/// `POST /keys/selected/revoke`: of whoever typed what it asks for.
pub(super) async fn revoke(
    State(state): State<AppState>,
    provenance: Provenance,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    let keys = selected(&visitor, &fields, &state).await?;
    if keys.is_empty() {
        return Ok(back_with(&fields, "none"));
    }
    if fields.one("confirm").trim() != words(keys.len()) {
        let error = "must be exactly what stands above";
        let confirm = confirm(&visitor, &fields, &keys, error, &state).await?;
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &confirm));
    }
    change_all(
        &visitor,
        &fields,
        keys,
        Transition::Revoke,
        &provenance,
        &state,
    )
    .await
}

fn words(keys: usize) -> String {
    format!("revoke {keys}")
}

/// The keys of the form that the visitor may see, each once. Those that went meanwhile can be refused no more.
async fn selected(
    visitor: &Visitor,
    fields: &Fields,
    state: &AppState,
) -> Result<Vec<KeyRecord>, Problem> {
    let caller = visitor.may::<KeysRead>(None)?.caller;
    let mut ids: Vec<Uuid> = fields
        .all("key")
        .filter_map(|id| Uuid::try_parse(id).ok())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MOST {
        let detail = format!("at most {MOST} keys can be selected");
        return Err(Problem::invalid_field("/key", detail));
    }
    let found = ids
        .into_iter()
        .rev()
        .map(|id| visible(&caller, KeyId(id), state));
    let found = join_all(found).await.into_iter();
    found
        .filter(|found| !matches!(found, Err(problem) if problem.code() == ErrorCode::NotFound))
        .collect()
}

async fn confirm(
    visitor: &Visitor,
    fields: &Fields,
    keys: &[KeyRecord],
    error: &'static str,
    state: &AppState,
) -> Result<Confirm, Problem> {
    let shown = shown_with_uses(keys, state).await?;
    let uses = shown.iter().filter_map(|key| key.last_day.as_ref());
    Ok(Confirm {
        frame: Frame::of(visitor, "Revoke keys", Section::Keys),
        words: words(keys.len()),
        uses_of_day: uses.map(|line| line.sum).sum(),
        keys: shown,
        back: back(fields).to_owned(),
        error,
    })
}

async fn change_all(
    visitor: &Visitor,
    fields: &Fields,
    keys: Vec<KeyRecord>,
    to: Transition,
    provenance: &Provenance,
    state: &AppState,
) -> Result<Response, Problem> {
    visitor.may::<KeysWrite>(None)?;
    let changed = keys.into_iter().map(|record| async move {
        let authority = visitor.may::<KeysWrite>(None)?;
        let edit = KeyEdit::Transition(to);
        let changed = change(authority, record.key.id, edit, provenance.clone(), state).await;
        Ok::<_, Problem>((record, changed.map(drop)))
    });
    let outcomes: Vec<_> = join_all(changed)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    let what = match to {
        Transition::Revoke => "revoked",
        Transition::Suspend | Transition::Reactivate => "suspended",
    };
    let refused: Vec<_> = outcomes
        .iter()
        .filter_map(|(record, changed)| {
            let problem = changed.as_ref().err()?;
            let name = record.key.name.to_string();
            Some((name, record.key.id.0, problem.detail().to_owned()))
        })
        .collect();
    let done = outcomes.len() - refused.len();
    if refused.is_empty() {
        let done = visitor.signed(&format!("{what}-{done}"));
        return Ok(back_with(fields, &done));
    }
    let outcomes = Outcomes {
        frame: Frame::of(visitor, "Not all keys were changed", Section::Keys),
        done,
        what,
        refused,
        back: back(fields).to_owned(),
    };
    Ok(page_with(StatusCode::CONFLICT, &outcomes))
}

/// The list that the keys were selected in.
fn back(fields: &Fields) -> &str {
    let back = fields.one("back");
    let is_list = back == "/keys" || back.starts_with("/keys?");
    if is_own_path(back) && is_list {
        back
    } else {
        "/keys"
    }
}

fn back_with(fields: &Fields, done: &str) -> Response {
    let back = back(fields);
    let and = if back.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{back}{and}done={done}")).into_response()
}
