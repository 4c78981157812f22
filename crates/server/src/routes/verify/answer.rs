//! A decision as JSON: [`keywright_api::Verification`], written straight from memory.

use std::fmt;

use keywright_core::decision::Code;
use keywright_core::identifier::PermissionName;
use keywright_core::permission::{Catalogue, Grants};
use keywright_core::timestamp::Timestamp;
use keywright_engine::{Decision, Found};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

/// Appends the answer to a verification that asked for `asked`.
pub(crate) fn write<S: AsRef<str>>(decision: Decision<'_>, asked: &[S], into: &mut Vec<u8>) {
    let Decision { code, found } = decision;
    let written = match found {
        None => serde_json::to_writer(
            into,
            &NotFound {
                valid: false,
                code: Code::NotFound.as_str(),
            },
        ),
        Some(found) => serde_json::to_writer(into, &Answer::new(code, found, asked)),
    };
    // infallible: memory takes what is written, and text and numbers are JSON
    written.expect("a decision is written as JSON");
}

#[derive(Serialize)]
struct NotFound {
    valid: bool,
    code: &'static str,
}

/// The fields of [`keywright_api::FoundKey`], in its order.
#[derive(Serialize)]
#[serde(bound = "S: AsRef<str>")]
struct Answer<'a, S> {
    valid: bool,
    code: &'static str,
    key_id: Uuid,
    user_id: &'a str,
    name: &'a str,
    keyspace: &'a str,
    permissions: Names<'a>,
    expires_at: Option<Shown>,
    metadata: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_permissions: Option<Missing<'a, S>>,
}

impl<'a, S: AsRef<str>> Answer<'a, S> {
    fn new(code: Code, Found { key, keyspace }: Found<'a>, asked: &'a [S]) -> Self {
        let held = Names {
            catalogue: &keyspace.catalogue,
            grants: key.grants(),
        };
        Self {
            valid: code == Code::Valid,
            code: code.as_str(),
            key_id: key.id().0,
            user_id: key.user_id(),
            name: key.name(),
            keyspace: keyspace.name.as_str(),
            permissions: held,
            expires_at: key.expires_at().map(Shown),
            // infallible: it was JSON when it was stored, and when it was read
            metadata: serde_json::from_str(key.metadata_json()).expect("metadata is JSON"),
            missing_permissions: (code == Code::InsufficientPermissions)
                .then_some(Missing { held, asked }),
        }
    }
}

/// The names of what a key may do.
#[derive(Clone, Copy)]
struct Names<'a> {
    catalogue: &'a Catalogue,
    grants: Grants,
}

impl Serialize for Names<'_> {
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        serializer.collect_seq(
            self.catalogue
                .names(self.grants)
                .map(PermissionName::as_str),
        )
    }
}

/// What was asked for and is not held, in the order asked.
struct Missing<'a, S> {
    held: Names<'a>,
    asked: &'a [S],
}

impl<S: AsRef<str>> Serialize for Missing<'_, S> {
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        let Names { catalogue, grants } = self.held;
        let mut names = serializer.serialize_seq(None)?;
        for name in self.asked.iter().map(AsRef::as_ref) {
            if !catalogue.has_permission(grants, name) {
                names.serialize_element(name)?;
            }
        }
        names.end()
    }
}

/// A time as the wire writes it.
struct Shown(Timestamp);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Shown {
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        serializer.collect_str(self)
    }
}
