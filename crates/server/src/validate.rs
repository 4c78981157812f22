//! From what was asked to what the rules take, every refused field with its place.

use keywright_api::{FieldError, NewPermission};
use keywright_core::ambient::Clock;
use keywright_core::identifier::{KeyspaceName, PermissionName};
use keywright_core::key::Metadata;
use keywright_core::keyspace::PermissionEdit;
use keywright_core::permission::{Catalogue, Grants, Ungrantable};
use keywright_core::text::BoundedText;
use keywright_core::timestamp::Timestamp;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Collects what is refused, so that a client hears of everything at once.
#[derive(Default)]
pub(crate) struct Validation(Vec<FieldError>);

impl Validation {
    /// Refuses the field at `pointer`. A long list of nonsense is answered in a few lines.
    pub(crate) fn refuse(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() >= MAX_ERRORS {
            return;
        }
        self.0.push(FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        });
    }

    /// Takes the value of a field, or refuses the field.
    pub(crate) fn take<T, E: ToString>(
        &mut self,
        pointer: impl Into<String>,
        outcome: Result<T, E>,
    ) -> Option<T> {
        outcome
            .map_err(|error| self.refuse(pointer, error.to_string()))
            .ok()
    }

    /// Ends in what was refused, if anything was.
    pub(crate) fn done(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(self.0))
        }
    }

    pub(crate) fn text<const MIN: usize, const MAX: usize>(
        &mut self,
        pointer: &str,
        text: String,
    ) -> Option<BoundedText<MIN, MAX>> {
        self.take(pointer, BoundedText::new(text))
    }

    /// A field that null clears: `Some(None)` for null.
    pub(crate) fn clearable<T, U>(
        &mut self,
        field: Option<Option<T>>,
        take: impl FnOnce(&mut Self, T) -> Option<U>,
    ) -> Option<Option<U>> {
        match field? {
            None => Some(None),
            Some(value) => Some(Some(take(self, value)?)),
        }
    }

    /// An expiry, which must lie in the future.
    pub(crate) fn expiry(
        &mut self,
        pointer: &str,
        text: &str,
        clock: &dyn Clock,
    ) -> Option<Timestamp> {
        let expires_at = self.take(pointer, Timestamp::parse(text))?;
        let now = clock.now();
        if expires_at <= now {
            self.refuse(pointer, format!("must lie in the future; it is {now} now"));
            return None;
        }
        Some(expires_at)
    }

    pub(crate) fn metadata(
        &mut self,
        pointer: &str,
        object: &Map<String, Value>,
    ) -> Option<Metadata> {
        self.take(pointer, Metadata::new(object))
    }

    pub(crate) fn keyspace_name(&mut self, pointer: &str, name: String) -> Option<KeyspaceName> {
        self.take(pointer, KeyspaceName::new(name))
    }

    /// Permissions to grant: names of the catalogue, each once.
    pub(crate) fn grants(&mut self, names: &[String], catalogue: &Catalogue) -> Option<Grants> {
        match catalogue.grant(names) {
            Ok(grants) => Some(grants),
            Err(refused) => {
                let known = catalogue
                    .permissions()
                    .iter()
                    .map(|known| known.name.as_str())
                    .collect::<Vec<_>>();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                for ungrantable in refused {
                    match ungrantable {
                        Ungrantable::Unknown(place) => self.refuse(
                            format!("/permissions/{place}"),
                            format!("is no permission of this keyspace; there are: {known}"),
                        ),
                        Ungrantable::Repeated(place) => self.refuse(
                            format!("/permissions/{place}"),
                            format!("stands twice; each may stand once; there are: {known}"),
                        ),
                    }
                }
                None
            }
        }
    }

    /// Permissions to add to a catalogue, each named once.
    pub(crate) fn new_permissions(
        &mut self,
        permissions: Vec<NewPermission>,
    ) -> Vec<PermissionEdit> {
        let mut edits: Vec<PermissionEdit> = Vec::new();
        for (place, permission) in permissions.into_iter().enumerate() {
            let (name, description, pointer) = match permission {
                NewPermission::Name(name) => (name.0, None, format!("/permissions/{place}")),
                NewPermission::Described(described) => (
                    described.name,
                    described.description,
                    format!("/permissions/{place}/name"),
                ),
            };
            let description = self.clearable(description, |validation, text| {
                validation.text(&format!("/permissions/{place}/description"), text)
            });
            let Some(name) = self.take(&*pointer, PermissionName::new(name)) else {
                continue;
            };
            if edits.iter().any(|edit| edit.name == name) {
                self.refuse(pointer, "stands twice; each may stand once");
                continue;
            }
            edits.push(PermissionEdit { name, description });
        }
        edits
    }

    /// A number within bounds, or the default.
    pub(crate) fn limit(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return MAX_LIMIT };
        if let Ok(limit @ 1..=MAX_LIMIT) = text.parse() {
            return limit;
        }
        self.refuse(
            "?limit",
            format!("must be a whole number from 1 to {MAX_LIMIT}"),
        );
        MAX_LIMIT
    }
}

/// How many refused fields are told at most.
const MAX_ERRORS: usize = 20;

/// The greatest number of entries in a page, and how many there are when none is asked for.
pub(crate) const MAX_LIMIT: u32 = 500;
