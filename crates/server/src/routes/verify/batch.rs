//! `POST /api/verify/batch`

use axum::extract::State;
use axum::response::Response;
use futures::{StreamExt, TryStreamExt, stream};
use keywright_api::{VerifyBatch, VerifyBatchResult, VerifyKey};
use keywright_engine::Decision;

use super::{answer, asked, check, json};
use crate::authority::{KeysVerify, Service};
use crate::extract::LargeJson;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;

/// How many questions a batch may hold.
const MAX_QUESTIONS: usize = 1000;

/// How many of a batch's questions are with the database at once: it has other callers.
const AT_ONCE: usize = 4;

/// What stands around the answers: [`VerifyBatchResult`].
const BEFORE: &[u8] = b"{\"results\":[";
const AFTER: &[u8] = b"]}";

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
) -> Result<Response, Problem> {
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
    let answers = decide(&batch.requests, &state).await?;
    let length: usize = answers.iter().map(|answer| answer.len() + 1).sum();
    let mut body = Vec::with_capacity(BEFORE.len() + length + AFTER.len());
    body.extend_from_slice(BEFORE);
    for (number, answer) in answers.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend_from_slice(answer);
    }
    body.extend_from_slice(AFTER);
    Ok(json(body))
}

/// The answers, in the order of the questions: at once where memory can tell, and the rest a few at a time.
async fn decide(questions: &[VerifyKey], state: &AppState) -> Result<Vec<Vec<u8>>, Problem> {
    let mut answers = vec![Vec::new(); questions.len()];
    let mut unknown = Vec::new();
    for (number, (question, answer)) in questions.iter().zip(&mut answers).enumerate() {
        let write = |decision: Decision<'_>| answer::write(decision, &question.permissions, answer);
        let verifier = &state.verifier;
        if verifier
            .decide_from_memory(&question.key, &asked(question), write)
            .is_none()
        {
            unknown.push(number);
        }
    }
    let found_out = unknown.into_iter().map(|number| async move {
        let question = &questions[number];
        let write = |decision: Decision<'_>| {
            let mut answer = Vec::new();
            answer::write(decision, &question.permissions, &mut answer);
            (number, answer)
        };
        state
            .verifier
            .verify(&question.key, &asked(question), write)
            .await
    });
    let mut found_out = stream::iter(found_out).buffer_unordered(AT_ONCE);
    while let Some((number, answer)) = found_out.try_next().await? {
        answers[number] = answer;
    }
    drop(found_out);
    Ok(answers)
}
