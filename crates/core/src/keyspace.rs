//! Keyspaces: named families of keys, each with one prefix and one catalogue (CONTRACT §1).

use crate::identifier::{KeyPrefix, KeyspaceName, PermissionName};
use crate::permission::{Catalogue, CatalogueError, Grants, Permission};
use crate::text::Description;
use crate::timestamp::Timestamp;

/// A named family of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace {
    /// Its name, unique.
    pub name: KeyspaceName,
    /// How the text of its keys begins; never the beginning of another keyspace's.
    pub prefix: KeyPrefix,
    /// What it is for, for people.
    pub description: Option<Description>,
    /// Whether users make keys in it and change what those may do, or only service keys do.
    pub self_service: bool,
    /// What its keys can be allowed.
    pub catalogue: Catalogue,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The name of the keyspace that is meant when none is named.
pub const DEFAULT: &str = "default";

/// The name of the keyspace of service keys.
pub const SERVICE: &str = "keywright";

impl Keyspace {
    /// Whether its keys are service keys.
    pub fn is_service(&self) -> bool {
        self.name.as_str() == SERVICE
    }

    /// The keyspaces that every database begins with: `default`, with the origin's prefix and permissions, and
    /// `keywright`, whose permissions are the server's own operations.
    pub fn built_in(created_at: Timestamp) -> [Self; 2] {
        let origin = ["EXECUTE_GRAPH", "READ_GRAPH", "EXECUTE_BLOCK", "READ_BLOCK"];
        let operations = Operation::ALL.map(Operation::name);
        [
            Self::of_constants(DEFAULT, "agpt_", "Keys of users", true, &origin, created_at),
            Self::of_constants(
                SERVICE,
                "kw_",
                "Service keys: the server's own operations",
                false,
                &operations,
                created_at,
            ),
        ]
    }

    fn of_constants(
        name: &str,
        prefix: &str,
        description: &str,
        self_service: bool,
        permissions: &[&str],
        created_at: Timestamp,
    ) -> Self {
        let permissions = permissions.iter().map(|&name| Permission {
            name: PermissionName::new(name).expect("a built-in permission's name is well-formed"),
            description: None,
        });
        Self {
            name: KeyspaceName::new(name).expect("a built-in keyspace's name is well-formed"),
            prefix: KeyPrefix::new(prefix).expect("a built-in prefix is well-formed"),
            description: Some(
                Description::new(description).expect("a built-in description is short"),
            ),
            self_service,
            catalogue: Catalogue::new(permissions)
                .expect("built-in permissions are few and distinct"),
            created_at,
        }
    }
}

/// What of a keyspace changes; `None` keeps a field, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyspaceEdit {
    /// A new description.
    pub description: Option<Option<Description>>,
    /// Whether users make keys in it.
    pub self_service: Option<bool>,
    /// Permissions to add, or to describe anew. None is ever removed.
    pub permissions: Vec<PermissionEdit>,
}

/// A permission to add to a catalogue, or to describe anew where it is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionEdit {
    /// Its name.
    pub name: PermissionName,
    /// Its new description; `None` keeps what there is.
    pub description: Option<Option<Description>>,
}

/// Why a keyspace cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyspaceRefusal {
    /// The catalogue of `keywright` is the server's own, and its keys are never made by users.
    #[error(
        "the permissions and self_service of the built-in keyspace {SERVICE} cannot be changed"
    )]
    BuiltIn,
    /// The catalogue cannot take what was to be added.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl Keyspace {
    /// The keyspace after `edit`; equal to this one where it held already.
    ///
    /// # Errors
    /// [`KeyspaceRefusal`].
    pub fn edited(&self, edit: &KeyspaceEdit) -> Result<Self, KeyspaceRefusal> {
        if self.is_service() && (edit.self_service.is_some() || !edit.permissions.is_empty()) {
            return Err(KeyspaceRefusal::BuiltIn);
        }
        let mut after = self.clone();
        if let Some(description) = &edit.description {
            after.description.clone_from(description);
        }
        if let Some(self_service) = edit.self_service {
            after.self_service = self_service;
        }
        for permission in &edit.permissions {
            if after
                .catalogue
                .number_of(permission.name.as_str())
                .is_none()
            {
                let description = permission.description.clone().flatten();
                after.catalogue.add(Permission {
                    name: permission.name.clone(),
                    description,
                })?;
            } else if let Some(description) = &permission.description {
                after
                    .catalogue
                    .describe(&permission.name, description.clone());
            }
        }
        Ok(after)
    }
}

/// What a service key can be allowed: the server's own operations, in the order of their bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Ask whether a key is good.
    KeysVerify,
    /// See keys.
    KeysRead,
    /// Make and change keys.
    KeysWrite,
    /// See users.
    UsersRead,
    /// Delete users.
    UsersWrite,
    /// See keyspaces.
    KeyspacesRead,
    /// Make and change keyspaces.
    KeyspacesWrite,
    /// See the audit log and usage.
    AuditRead,
    /// See the cluster.
    ClusterRead,
}

impl Operation {
    /// All of them, in the order of their bit numbers: add at the end only.
    pub const ALL: [Self; 9] = [
        Self::KeysVerify,
        Self::KeysRead,
        Self::KeysWrite,
        Self::UsersRead,
        Self::UsersWrite,
        Self::KeyspacesRead,
        Self::KeyspacesWrite,
        Self::AuditRead,
        Self::ClusterRead,
    ];

    /// Its name in the catalogue of `keywright`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeysVerify => "keys:verify",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::KeyspacesRead => "keyspaces:read",
            Self::KeyspacesWrite => "keyspaces:write",
            Self::AuditRead => "audit:read",
            Self::ClusterRead => "cluster:read",
        }
    }

    /// What it lets its holder do, for people.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::KeysVerify => "Ask whether a key is good, and what it may do",
            Self::KeysRead => "See everybody's keys, and sign in to the console",
            Self::KeysWrite => "Make, change, suspend and revoke keys, service keys too",
            Self::UsersRead => "See users and their keys",
            Self::UsersWrite => "Delete users, and their keys with them",
            Self::KeyspacesRead => "See keyspaces and their permissions",
            Self::KeyspacesWrite => "Make keyspaces, and add permissions to them",
            Self::AuditRead => "See the audit log, and how much keys are used",
            Self::ClusterRead => "See the nodes of the cluster",
        }
    }

    /// The grant of this one operation.
    pub const fn grant(self) -> Grants {
        Grants(1 << self as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_the_permission_of_its_name() {
        let [_, service] = Keyspace::built_in(Timestamp::from_micros(0));
        for operation in Operation::ALL {
            assert_eq!(
                service.catalogue.grant(&[operation.name()]),
                Ok(operation.grant())
            );
        }
    }

    fn permission(name: &str, description: Option<Option<&str>>) -> PermissionEdit {
        let description = description.map(|text| text.map(|text| Description::new(text).unwrap()));
        PermissionEdit {
            name: PermissionName::new(name).unwrap(),
            description,
        }
    }

    #[test]
    fn an_edit_adds_and_describes_but_never_removes_or_renumbers() {
        let [before, _] = Keyspace::built_in(Timestamp::from_micros(0));
        let permissions = vec![
            permission("READ_BLOCK", Some(Some("see blocks"))),
            permission("NEW", None),
        ];
        let after = before
            .edited(&KeyspaceEdit {
                permissions,
                ..KeyspaceEdit::default()
            })
            .unwrap();
        let names: Vec<_> = after
            .catalogue
            .permissions()
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "EXECUTE_GRAPH",
                "READ_GRAPH",
                "EXECUTE_BLOCK",
                "READ_BLOCK",
                "NEW"
            ]
        );
        assert_eq!(
            after.catalogue.permissions()[3].description,
            Some(Description::new("see blocks").unwrap())
        );
    }

    #[test]
    fn a_bare_name_keeps_the_description_there_is() {
        let [before, _] = Keyspace::built_in(Timestamp::from_micros(0));
        let describe = |description| KeyspaceEdit {
            permissions: vec![permission("READ_BLOCK", description)],
            ..KeyspaceEdit::default()
        };
        let described = before.edited(&describe(Some(Some("see blocks")))).unwrap();
        assert_eq!(described.edited(&describe(None)), Ok(described.clone()));
        assert_eq!(described.edited(&describe(Some(None))), Ok(before));
    }

    #[test]
    fn the_catalogue_of_service_keys_is_fixed() {
        let [_, service] = Keyspace::built_in(Timestamp::from_micros(0));
        let added = KeyspaceEdit {
            permissions: vec![permission("x", None)],
            ..KeyspaceEdit::default()
        };
        let opened = KeyspaceEdit {
            self_service: Some(true),
            ..KeyspaceEdit::default()
        };
        for edit in [added, opened] {
            assert_eq!(service.edited(&edit), Err(KeyspaceRefusal::BuiltIn));
        }
    }

    #[test]
    fn built_in_prefixes_do_not_overlap() {
        let [default, service] = Keyspace::built_in(Timestamp::from_micros(0));
        assert!(!default.prefix.overlaps(&service.prefix));
    }
}
