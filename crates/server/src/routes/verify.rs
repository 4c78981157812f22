//! `/api/verify`: verification (CONTRACT §4.2).

pub(crate) mod batch;
pub(crate) mod one;

use keywright_api::{Verification, VerifyKey};
use keywright_core::decision::Question;

use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// The longest text that is taken as a key, in characters.
const MAX_KEY: usize = 512;

/// Refuses what no verification takes. `place` leads to the question in the body.
fn check(validation: &mut Validation, place: &str, question: &VerifyKey) {
    // No character is shorter than a byte, so most texts need no counting.
    if question.key.len() > MAX_KEY && question.key.chars().count() > MAX_KEY {
        validation.refuse(
            format!("{place}/key"),
            format!("may have {MAX_KEY} characters"),
        );
    }
    for (number, name) in question.permissions.iter().enumerate() {
        if name.contains('\0') {
            validation.refuse(
                format!("{place}/permissions/{number}"),
                "must not hold the character NUL",
            );
        }
    }
    if question
        .keyspace
        .as_ref()
        .is_some_and(|name| name.contains('\0'))
    {
        validation.refuse(
            format!("{place}/keyspace"),
            "must not hold the character NUL",
        );
    }
}

async fn decide(question: &VerifyKey, state: &AppState) -> Result<Verification, Problem> {
    let asked = Question {
        permissions: &question.permissions,
        keyspace: question.keyspace.as_deref(),
    };
    let verified = state.verifier.verify(&question.key, &asked).await?;
    Ok(wire::verification(&verified, &question.permissions))
}
