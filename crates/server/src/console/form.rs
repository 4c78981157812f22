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

/// Permissions that are about the same thing, as far as their names say so: `keys` of `keys:read` and `keys:write`.
pub(super) struct Group {
    /// Empty where there is one group of all.
    pub(super) name: String,
    pub(super) choices: Vec<Choice>,
}

/// The permissions of a keyspace, of which some are chosen.
pub(super) fn groups(keyspace: &Keyspace, is_chosen: impl Fn(&str) -> bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for permission in keyspace.catalogue.permissions() {
        let choice = Choice {
            name: permission.name.to_string(),
            description: explanation(keyspace, permission),
            is_chosen: is_chosen(permission.name.as_str()),
        };
        let name = group_of(&choice.name);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.choices.push(choice),
            None => groups.push(Group {
                name: name.to_owned(),
                choices: vec![choice],
            }),
        }
    }
    // A heading for each alone would only repeat it.
    let is_grouped = groups.len() > 1 && groups.iter().any(|group| group.choices.len() > 1);
    if !is_grouped && !groups.is_empty() {
        let choices = groups.into_iter().flat_map(|group| group.choices).collect();
        return vec![Group {
            name: String::new(),
            choices,
        }];
    }
    groups
}

/// What stands before the first colon or full stop; what has none belongs to the rest.
fn group_of(permission: &str) -> &str {
    let parts = permission.split_once([':', '.']);
    parts.map_or("other", |(group, _)| group)
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
///
/// # Errors
/// What is wrong with it. A choice that is not known must not make a key that lives for ever.
pub(super) fn expiry(fields: &Fields, now: Timestamp) -> Result<Option<String>, Problem> {
    let refuse = |detail: &str| Err(Problem::invalid_field("/expires_at", detail));
    let choice = fields.one("expiry");
    if choice == "date" {
        // The whole day belongs to it.
        let end = format!("{}T23:59:59Z", fields.one("expires_on"));
        return match Timestamp::parse(&end) {
            Ok(_) => Ok(Some(end)),
            Err(_) => refuse("must be a day, such as 2027-01-31"),
        };
    }
    no_day::<()>(fields)?;
    if choice == "never" {
        return Ok(None);
    }
    let Some(days) = PRESETS.into_iter().find(|days| days.to_string() == choice) else {
        return refuse("choose how long the key lives");
    };
    let end = now.as_micros().saturating_add(i64::from(days) * DAY_MICROS);
    Ok(Some(Timestamp::from_micros(end).to_string()))
}

/// Nothing, where no day was picked.
///
/// # Errors
/// Refuses a day that was picked and not chosen: it is not clear what was meant.
pub(super) fn no_day<T>(fields: &Fields) -> Result<Option<T>, Problem> {
    match fields.given("expires_on") {
        None => Ok(None),
        Some(day) => Err(Problem::invalid_field(
            "/expires_at",
            format!(
                "{day} was picked and something else chosen: choose the day, or empty its field"
            ),
        )),
    }
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

#[cfg(test)]
mod tests {
    use keywright_core::identifier::{KeyPrefix, KeyspaceName, PermissionName};
    use keywright_core::permission::Catalogue;

    use super::*;

    fn told(permissions: &[&str]) -> Vec<(String, Vec<String>)> {
        let permissions = permissions.iter().map(|name| Permission {
            name: PermissionName::new(*name).expect("a name"),
            description: None,
        });
        let keyspace = Keyspace {
            name: KeyspaceName::new("test").expect("a name"),
            prefix: KeyPrefix::new("test_").expect("a prefix"),
            description: None,
            self_service: true,
            catalogue: Catalogue::new(permissions).expect("a catalogue"),
            created_at: Timestamp::from_micros(0),
        };
        let groups = groups(&keyspace, |_| false).into_iter();
        groups
            .map(|group| {
                let names = group.choices.into_iter().map(|choice| choice.name);
                (group.name, names.collect())
            })
            .collect()
    }

    fn group(name: &str, permissions: &[&str]) -> (String, Vec<String>) {
        let permissions = permissions.iter().map(|name| (*name).to_owned());
        (name.to_owned(), permissions.collect())
    }

    #[test]
    fn permissions_stand_together_by_what_they_are_about() {
        assert_eq!(
            told(&["keys:read", "users.read", "keys:write", "all"]),
            [
                group("keys", &["keys:read", "keys:write"]),
                group("users", &["users.read"]),
                group("other", &["all"]),
            ]
        );
    }

    #[test]
    fn where_nothing_belongs_together_there_are_no_headings() {
        for names in [
            &["READ_GRAPH", "READ_BLOCK"][..],
            &["a:b", "c:d"],
            &["a:b", "a:c"],
        ] {
            assert_eq!(told(names), [group("", names)]);
        }
        assert_eq!(told(&[]), []);
    }
}
