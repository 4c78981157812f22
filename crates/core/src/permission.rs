//! Catalogues of permissions, and what a key was granted of them.
//!
//! A grant is stored as a bit whose number is the permission's place in its catalogue. A catalogue only ever grows
//! at its end, so a number, once given, means the same for good.

use crate::identifier::PermissionName;
use crate::text::Description;

/// A permission, as its catalogue describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Its name; case counts.
    pub name: PermissionName,
    /// What it allows, for people.
    pub description: Option<Description>,
}

/// The permissions that keys of one keyspace can hold: at most 64, in the order they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue(Vec<Permission>);

/// A set of permissions of one catalogue: bit *n* is its *n*-th permission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Grants(pub u64);

/// A permission asked for that cannot be granted, by its place in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ungrantable {
    /// The catalogue does not know this name.
    Unknown(usize),
    /// The name stood further up already.
    Repeated(usize),
}

/// A catalogue would have held a name twice, or more than 64 names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The name is in the catalogue already.
    #[error("the permission {0} is named twice")]
    Repeated(PermissionName),
    /// There would be more than 64.
    #[error("a keyspace has at most 64 permissions")]
    Full,
}

impl Grants {
    /// No permission at all.
    pub const NONE: Self = Self(0);

    /// Whether every permission of `other` is among these.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// What of `other` is not among these.
    #[must_use]
    pub const fn lacking(self, other: Self) -> Self {
        Self(other.0 & !self.0)
    }
}

impl Catalogue {
    /// The greatest number of permissions: the bits of a grant.
    pub const MAX: usize = 64;

    /// A catalogue of `permissions`, numbered in this order.
    ///
    /// # Errors
    /// [`CatalogueError`] where a name stands twice or there are more than 64.
    pub fn new(permissions: impl IntoIterator<Item = Permission>) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        for permission in permissions {
            catalogue.add(permission)?;
        }
        Ok(catalogue)
    }

    /// Adds one at the end.
    ///
    /// # Errors
    /// [`CatalogueError`] where it is there already or the catalogue is full.
    pub fn add(&mut self, permission: Permission) -> Result<(), CatalogueError> {
        if self.number_of(permission.name.as_str()).is_some() {
            return Err(CatalogueError::Repeated(permission.name));
        }
        if self.0.len() == Self::MAX {
            return Err(CatalogueError::Full);
        }
        self.0.push(permission);
        Ok(())
    }

    /// Describes a permission anew; `false` where the catalogue does not know it.
    pub fn describe(&mut self, name: &PermissionName, description: Option<Description>) -> bool {
        let Some(known) = self.0.iter_mut().find(|known| known.name == *name) else {
            return false;
        };
        known.description = description;
        true
    }

    /// All permissions, in their order.
    pub fn permissions(&self) -> &[Permission] {
        &self.0
    }

    /// The bit number of a name.
    pub fn number_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known.name.as_str() == name)
    }

    /// Whether it knows every one of these numbers. Where it does not, it is older than the grants.
    pub fn holds(&self, grants: Grants) -> bool {
        grants
            .0
            .checked_shr(u32::try_from(self.0.len()).unwrap_or(u32::MAX))
            .unwrap_or(0)
            == 0
    }

    /// The grant of every permission there is.
    pub fn everything(&self) -> Grants {
        Grants((0..self.0.len()).fold(0, |bits, number| bits | 1 << number))
    }

    /// The grant of the named permissions.
    ///
    /// # Errors
    /// Every name that is unknown or repeated.
    pub fn grant<S: AsRef<str>>(&self, names: &[S]) -> Result<Grants, Vec<Ungrantable>> {
        let mut bits = 0_u64;
        let mut refused = Vec::new();
        for (place, name) in names.iter().enumerate() {
            match self.number_of(name.as_ref()) {
                None => refused.push(Ungrantable::Unknown(place)),
                Some(number) if bits & (1 << number) != 0 => {
                    refused.push(Ungrantable::Repeated(place));
                }
                Some(number) => bits |= 1 << number,
            }
        }
        if refused.is_empty() {
            Ok(Grants(bits))
        } else {
            Err(refused)
        }
    }

    /// The names that `grants` stands for, in the catalogue's order.
    pub fn names(&self, grants: Grants) -> impl Iterator<Item = &PermissionName> {
        self.0
            .iter()
            .enumerate()
            .filter(move |(number, _)| grants.0 & (1 << number) != 0)
            .map(|(_, permission)| &permission.name)
    }

    /// Whether `grants` holds the permission of this name. A name that the catalogue does not know is never held.
    pub fn has_permission(&self, grants: Grants, name: &str) -> bool {
        self.number_of(name)
            .is_some_and(|number| grants.0 & (1 << number) != 0)
    }

    /// The names of `asked` that `grants` does not hold, in the order asked; empty when it holds them all.
    pub fn missing<'a, S: AsRef<str>>(&self, grants: Grants, asked: &'a [S]) -> Vec<&'a str> {
        asked
            .iter()
            .map(AsRef::as_ref)
            .filter(|name| !self.has_permission(grants, name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;

    fn permission(name: &str) -> Permission {
        Permission {
            name: PermissionName::new(name).unwrap(),
            description: None,
        }
    }

    fn numbered(count: usize) -> Catalogue {
        Catalogue::new((0..count).map(|n| permission(&format!("P{n}")))).unwrap()
    }

    fn all_names(catalogue: &Catalogue) -> Vec<String> {
        catalogue
            .permissions()
            .iter()
            .map(|known| known.name.to_string())
            .collect()
    }

    #[test]
    fn a_catalogue_holds_64_and_no_more() {
        let mut full = numbered(64);
        assert_eq!(full.everything(), Grants(u64::MAX));
        assert_eq!(full.add(permission("one-more")), Err(CatalogueError::Full));
    }

    #[test]
    fn a_name_stands_once() {
        let again = Catalogue::new([permission("A"), permission("A")]);
        assert_eq!(
            again,
            Err(CatalogueError::Repeated(PermissionName::new("A").unwrap()))
        );
    }

    #[test]
    fn case_counts() {
        let catalogue = Catalogue::new([permission("Read")]).unwrap();
        assert_eq!(
            catalogue.grant(&["READ"]),
            Err(vec![Ungrantable::Unknown(0)])
        );
    }

    #[test]
    fn every_ungrantable_name_is_told() {
        let refused = numbered(2).grant(&["P0", "nope", "P0", "P1"]);
        assert_eq!(
            refused,
            Err(vec![Ungrantable::Unknown(1), Ungrantable::Repeated(2)])
        );
    }

    #[test]
    fn missing_names_keep_the_order_asked() {
        let catalogue = numbered(3);
        let grants = catalogue.grant(&["P1"]).unwrap();
        assert_eq!(
            catalogue.missing(grants, &["P2", "P1", "unheard-of", "P0"]),
            ["P2", "unheard-of", "P0"]
        );
    }

    proptest! {
        #[test]
        fn what_was_granted_is_held_and_nothing_else(
            granted in subsequence((0..64).map(|n| format!("P{n}")).collect::<Vec<_>>(), 0..=64).prop_shuffle(),
        ) {
            let catalogue = numbered(64);
            let grants = catalogue.grant(&granted).unwrap();
            for name in all_names(&catalogue) {
                prop_assert_eq!(catalogue.has_permission(grants, &name), granted.contains(&name));
            }
            let names: BTreeSet<_> = catalogue.names(grants).map(ToString::to_string).collect();
            prop_assert_eq!(names, granted.iter().cloned().collect());
        }

        #[test]
        fn all_of_means_nothing_is_missing(held: u64, asked: u64) {
            let catalogue = numbered(64);
            let asked_names: Vec<_> = catalogue.names(Grants(asked)).map(ToString::to_string).collect();
            let nothing_missing = catalogue.missing(Grants(held), &asked_names).is_empty();
            prop_assert_eq!(nothing_missing, Grants(held).contains_all(Grants(asked)));
        }

        #[test]
        fn a_number_means_the_same_after_the_catalogue_grew(before in 1_usize..64, held: u64) {
            let small = numbered(before);
            let held = Grants(held & small.everything().0);
            let names: Vec<_> = small.names(held).cloned().collect();
            let grown = numbered(64);
            prop_assert_eq!(grown.names(held).cloned().collect::<Vec<_>>(), names);
        }
    }
}
