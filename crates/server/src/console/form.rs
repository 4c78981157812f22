//! What forms about keys have in common: permissions to choose from, and what is wrong beside its field.

use keywright_api::FieldError;
use keywright_core::permission::Catalogue;

/// A permission that can be chosen.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) is_chosen: bool,
}

/// The permissions of a catalogue, of which some are chosen.
pub(super) fn choices(catalogue: &Catalogue, is_chosen: impl Fn(&str) -> bool) -> Vec<Choice> {
    let permissions = catalogue.permissions().iter();
    permissions
        .map(|permission| Choice {
            name: permission.name.to_string(),
            description: permission
                .description
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
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
