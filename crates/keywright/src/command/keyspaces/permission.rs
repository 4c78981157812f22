//! Permissions of a keyspace, as arguments.

use std::convert::Infallible;
use std::str::FromStr;

use keywright_api::NewPermission;
use keywright_api::keyspace::{DescribedPermission, PermissionName};

/// `NAME`, or `NAME=DESCRIPTION`. Whether the name is one is for the server to say.
#[derive(Debug, Clone)]
pub(super) struct Permission(NewPermission);

impl FromStr for Permission {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(match text.split_once('=') {
            None => NewPermission::Name(PermissionName(text.to_owned())),
            Some((name, description)) => NewPermission::Described(DescribedPermission {
                name: name.to_owned(),
                description: Some(Some(description.to_owned())),
            }),
        }))
    }
}

/// As the wire has them.
pub(super) fn on_the_wire(permissions: Vec<Permission>) -> Vec<NewPermission> {
    permissions
        .into_iter()
        .map(|permission| permission.0)
        .collect()
}
