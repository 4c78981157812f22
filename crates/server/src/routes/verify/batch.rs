//! `POST /api/verify/batch`

use axum::Json as Answer;
use axum::extract::State;
use futures::{StreamExt, TryStreamExt, stream};
use keywright_api::{VerifyBatch, VerifyBatchResult};

use super::{check, decide};
use crate::authority::{KeysVerify, Service};
use crate::extract::LargeJson;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

/// How many questions a batch may hold.
const MAX_QUESTIONS: usize = 1000;

/// How many of a batch's questions are with the database at once: it has other callers.
const AT_ONCE: usize = 4;

/// Ask about many keys at once
///
/// The answers stand in the order of the questions.
#[utoipa::path(
    post,
    path = "/api/verify/batch",
    tag = "Verification",
    request_body = VerifyBatch,
    responses((status = 200, description = "The decisions", body = VerifyBatchResult))
)]
pub(crate) async fn validate_api_keys(
    _: Service<KeysVerify>,
    State(state): State<AppState>,
    LargeJson(batch): LargeJson<VerifyBatch>,
) -> Result<Answer<VerifyBatchResult>, Problem> {
    let mut validation = Validation::default();
    if !(1..=MAX_QUESTIONS).contains(&batch.requests.len()) {
        let detail = format!(
            "must hold 1 to {MAX_QUESTIONS} questions, and holds {}",
            batch.requests.len()
        );
        validation.refuse("/requests", detail);
    }
    for (number, question) in batch.requests.iter().enumerate() {
        check(&mut validation, &format!("/requests/{number}"), question);
    }
    validation.done()?;
    let decisions = batch.requests.into_iter().map(|question| {
        let state = state.clone();
        async move { decide(&question, &state).await }
    });
    let results = stream::iter(decisions)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Answer(VerifyBatchResult { results }))
}
