//! What an identity provider says of somebody beside the claims that the standard names.

use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The claims that the standard does not name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct OtherClaims(Map<String, Value>);

impl AdditionalClaims for OtherClaims {}

impl OtherClaims {
    /// The claim of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// Whether a claim, which is one group or a list of them, names `group`.
pub(super) fn is_member(groups: &Value, group: &str) -> bool {
    match groups {
        Value::String(only) => only == group,
        Value::Array(all) => all.iter().any(|one| one.as_str() == Some(group)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_group_is_named_whole_and_as_text() {
        for groups in [json!("operators"), json!(["a", 1, null, "operators"])] {
            assert!(is_member(&groups, "operators"), "{groups}");
        }
        for groups in [
            json!("operators,b"),
            json!("Operators"),
            json!([]),
            json!([["operators"]]),
            json!({"operators": true}),
            json!(true),
            json!(null),
        ] {
            assert!(!is_member(&groups, "operators"), "{groups}");
        }
    }
}
