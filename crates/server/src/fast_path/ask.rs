//! From a request to the decision's document, by memory alone.

use std::borrow::Cow;

use keywright_api::Object;
use keywright_core::decision::Question;
use keywright_core::keyspace::Operation;
use keywright_engine::Decision;
use serde::Deserialize;

use super::Unanswered;
use super::request::Request;
use crate::authority::Judged;
use crate::extract::names_json;
use crate::routes::verify::{MAX_KEY, answer, has_nul};
use crate::state::AppState;

/// [`keywright_api::VerifyKey`], borrowed where it holds no escapes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'b> {
    #[serde(borrow)]
    key: Cow<'b, str>,
    #[serde(borrow, default)]
    permissions: Vec<Text<'b>>,
    #[serde(borrow, default)]
    keyspace: Option<Text<'b>>,
}

/// A text; inside of other types, the library borrows only what has a type of its own.
#[derive(Deserialize)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'b> Asked<'b> {
    /// What the handler would take; `None` for all else, which the handler answers in its words.
    fn read(request: &Request<'_, 'b>) -> Option<Self> {
        if !request.value("content-type").is_some_and(names_json) {
            return None;
        }
        let Object(asked) = serde_json::from_slice::<Object<Self>>(request.body).ok()?;
        let within = asked.key.len() <= MAX_KEY
            && !asked.permissions.iter().any(|name| has_nul(&name.0))
            && !asked.keyspace.iter().any(|name| has_nul(&name.0));
        within.then_some(asked)
    }
}

/// Writes the decision's document to the end of `body`.
///
/// # Errors
/// Where memory cannot tell, and where the answer is none of 200.
pub(super) fn write_decision(
    request: &Request<'_, '_>,
    state: &AppState,
    body: &mut Vec<u8>,
) -> Result<(), Unanswered> {
    if request.value("origin").is_some() {
        // A browser's: the layers around the router say whether its page may read the answer.
        return Err(Unanswered::default());
    }
    // What notes a use comes last, and what it says goes along: nobody asks memory twice for one request.
    let credential = request.credential().ok_or_else(Unanswered::default)?;
    let asked = Asked::read(request).ok_or_else(Unanswered::default)?;
    let caller = Judged::by_memory(credential, Operation::KeysVerify, state);
    if caller.as_ref().is_none_or(|caller| caller.outcome.is_err()) {
        return Err(Unanswered { caller });
    }
    let question = Question {
        permissions: &asked.permissions,
        keyspace: asked.keyspace.as_ref().map(AsRef::as_ref),
    };
    let write = |decision: Decision<'_>| answer::write(decision, &asked.permissions, body);
    let verifier = &state.verifier;
    verifier
        .decide_from_memory(&asked.key, &question, write)
        .ok_or(Unanswered { caller })
}

#[cfg(test)]
mod tests {
    use keywright_api::VerifyKey;

    use super::*;
    use crate::extract::parse_json;

    fn both(body: &str) -> (bool, bool) {
        let headers = [httparse::Header {
            name: "Content-Type",
            value: b"application/json",
        }];
        let request = Request {
            headers: &headers,
            body: body.as_bytes(),
        };
        let borrowed = Asked::read(&request);
        let owned = parse_json::<VerifyKey>(body.as_bytes()).ok();
        if let (Some(borrowed), Some(owned)) = (&borrowed, &owned) {
            assert_eq!(borrowed.key, owned.key);
            let names: Vec<_> = borrowed.permissions.iter().map(AsRef::as_ref).collect();
            assert_eq!(names, owned.permissions);
            let keyspace = borrowed.keyspace.as_ref().map(AsRef::as_ref);
            assert_eq!(keyspace, owned.keyspace.as_deref());
        }
        (borrowed.is_some(), owned.is_some())
    }

    #[test]
    fn bodies_are_taken_as_the_handler_takes_them() {
        for body in [
            r#"{"key": "a"}"#,
            r#" {"permissions": [], "keyspace": null, "key": ""} "#,
            r#"{"key": "\u00e4\ud83d\ude00\"\\", "permissions": ["a\u0062", "ö"], "keyspace": "\u0064efault"}"#,
            r#"{"\u006bey": "a"}"#,
        ] {
            assert_eq!(both(body), (true, true), "{body}");
        }
        for body in [
            "",
            "null",
            "[]",
            r#"["a", [], null]"#,
            "{}",
            r#"{"key": 1}"#,
            r#"{"key": null}"#,
            r#"{"key": "a", "key": "a"}"#,
            r#"{"key": "a", "keys": "a"}"#,
            r#"{"key": "a", "permissions": null}"#,
            r#"{"key": "a", "permissions": {"a": "b"}}"#,
            r#"{"key": "a", "keyspace": ["a"]}"#,
            r#"{"key": "a"} x"#,
            r#"{"key": "\ud83d"}"#,
            r#"{"key": "a",}"#,
        ] {
            assert_eq!(both(body), (false, false), "{body}");
        }
        // What the handler refuses by a rule of its own, after it was read.
        for body in [
            format!(r#"{{"key": "{}"}}"#, "a".repeat(513)),
            r#"{"key": "a", "permissions": ["a\u0000"]}"#.to_owned(),
            r#"{"key": "a", "keyspace": "a\u0000"}"#.to_owned(),
        ] {
            assert_eq!(both(&body), (false, true), "{body}");
        }
    }

    #[test]
    fn borrowed_text_is_borrowed() {
        let asked: Asked<'_> =
            serde_json::from_str(r#"{"key": "a", "permissions": ["b"], "keyspace": "c"}"#).unwrap();
        assert!(matches!(asked.key, Cow::Borrowed(_)));
        assert!(matches!(asked.permissions[0].0, Cow::Borrowed(_)));
        assert!(matches!(asked.keyspace.unwrap().0, Cow::Borrowed(_)));
    }
}
