//! `POST /api/verify`

use axum::Json as Answer;
use axum::extract::State;
use keywright_api::{Verification, VerifyKey};

use super::{check, decide};
use crate::authority::{KeysVerify, Service};
use crate::extract::Json;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

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
) -> Result<Answer<Verification>, Problem> {
    let mut validation = Validation::default();
    check(&mut validation, "", &question);
    validation.done()?;
    decide(&question, &state).await.map(Answer)
}
