//! `/api/verify`: verification (CONTRACT §4.2).

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod one;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use keywright_api::VerifyKey;
use keywright_core::decision::Question;

use crate::validate::Validation;

/// The longest text that is taken as a key, in characters.
pub(crate) const MAX_KEY: usize = 512;

/// Whether a name holds the character that none may hold.
pub(crate) fn has_nul(name: &str) -> bool {
    name.contains('\0')
}

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
        if has_nul(name) {
            validation.refuse(
                format!("{place}/permissions/{number}"),
                "must not hold the character NUL",
            );
        }
    }
    if question.keyspace.as_ref().is_some_and(|name| has_nul(name)) {
        validation.refuse(
            format!("{place}/keyspace"),
            "must not hold the character NUL",
        );
    }
}

fn asked(question: &VerifyKey) -> Question<'_, String> {
    Question {
        permissions: &question.permissions,
        keyspace: question.keyspace.as_deref(),
    }
}

/// JSON that is written already.
fn json(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
