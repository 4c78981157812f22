//! `POST /api/verify`

use axum::extract::State;
use axum::response::Response;
use keywright_api::{Verification, VerifyKey};
use keywright_engine::Decision;

use super::{answer, asked, check, json};
use crate::authority::{KeysVerify, Service};
use crate::extract::Json;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

/// What most answers fit into, in bytes.
const ANSWER: usize = 512;

/// Ask whether a key is good
///
/// Answers 200 for every decision: look at `valid`, or at `code`. No answer is guessed: where the server cannot
/// know, it answers 503.
#[utoipa::path(
    post,
    path = "/api/verify",
    tag = "Verification",
    request_body = VerifyKey,
    responses((status = 200, description = "The decision", body = Verification))
)]
pub(crate) async fn validate_api_key(
    _: Service<KeysVerify>,
    State(state): State<AppState>,
    Json(question): Json<VerifyKey>,
) -> Result<Response, Problem> {
    let mut validation = Validation::default();
    check(&mut validation, "", &question);
    validation.done()?;
    let mut body = Vec::with_capacity(ANSWER);
    let write = |decision: Decision<'_>| answer::write(decision, &question.permissions, &mut body);
    state
        .verifier
        .verify(&question.key, &asked(&question), write)
        .await?;
    Ok(json(body))
}
