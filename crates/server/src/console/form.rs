//! What forms about keys have in common: permissions to choose from, an expiry, metadata, and what is wrong beside its field.

use keywright_api::FieldError;
use keywright_core::keyspace::{Keyspace, Operation};
use keywright_core::permission::Permission;
use keywright_core::timestamp::Timestamp;
use serde_json::{Map, Value};

use super::posted::Fields;
use crate::problem::Problem;

/// How long a key may live, as forms offer it: in days.
const PRESETS: [u16; 3] = [7, 30, 90];
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// A permission that can be chosen.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) is_chosen: bool,
}

/// What a permission of this keyspace allows, as far as somebody said it. Of its own operations the server says it.
pub(super) fn explanation(keyspace: &Keyspace, permission: &Permission) -> String {
    let described = permission.description.as_ref().map(ToString::to_string);
    let operation = || {
        let mut all = Operation::ALL.into_iter().filter(|_| keyspace.is_service());
        let found = all.find(|operation| operation.name() == permission.name.as_str());
        found.map(|operation| operation.explanation().to_owned())
    };
    described.or_else(operation).unwrap_or_default()
}

/// The permissions of a keyspace, of which some are chosen.
pub(super) fn choices(keyspace: &Keyspace, is_chosen: impl Fn(&str) -> bool) -> Vec<Choice> {
    let permissions = keyspace.catalogue.permissions().iter();
    permissions
        .map(|permission| Choice {
            name: permission.name.to_string(),
            description: explanation(keyspace, permission),
            is_chosen: is_chosen(permission.name.as_str()),
        })
        .collect()
}

/// Fields that were refused.
#[derive(Default)]
pub(super) struct Refused(pub(super) Vec<FieldError>);

impl Refused {
    /// What is wrong with the field at this pointer of the API's, or within it.
    pub(super) fn at(&self, pointer: &str) -> Option<&str> {
        let Self(errors) = self;
        let inside = format!("{pointer}/");
        errors
            .iter()
            .find(|error| error.pointer == pointer || error.pointer.starts_with(&inside))
            .map(|error| error.detail.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The expiry that was chosen, as the API takes it.
pub(super) fn expiry(fields: &Fields, now: Timestamp) -> Option<String> {
    let choice = fields.one("expiry");
    if let Some(days) = PRESETS.into_iter().find(|days| days.to_string() == choice) {
        let end = now.as_micros().saturating_add(i64::from(days) * DAY_MICROS);
        return Some(Timestamp::from_micros(end).to_string());
    }
    // The whole day belongs to it.
    (choice == "date").then(|| format!("{}T23:59:59Z", fields.one("expires_on")))
}

/// What was typed as metadata, if anything.
///
/// # Errors
/// What is wrong with it.
pub(super) fn metadata(fields: &Fields) -> Result<Option<Map<String, Value>>, Problem> {
    let typed = fields.given("metadata").map(serde_json::from_str);
    typed.transpose().map_err(|_| {
        let detail = "must be a JSON object, such as {\"team\": \"search\"}";
        Problem::invalid_field("/metadata", detail)
    })
}
