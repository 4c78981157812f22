//! The record of a key: everything about it but its text.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::identifier::{KeyId, KeyspaceName, UserId};
use crate::key_text::KeyText;
use crate::keyspace::Keyspace;
use crate::lifecycle::Lifecycle;
use crate::permission::Grants;
use crate::text::{Description, KeyName};
use crate::timestamp::Timestamp;

/// A key, without its text and without its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public id.
    pub id: KeyId,
    /// The keyspace it belongs to.
    pub keyspace: KeyspaceName,
    /// Whose it is.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: KeyName,
    /// What its owner says about it.
    pub description: Option<Description>,
    /// The first 8 characters of its text, for people to recognise it by. Not unique.
    pub prefix: String,
    /// The last 8 characters of its text, for people to recognise it by. Not unique.
    pub postfix: String,
    /// Where it stands.
    pub lifecycle: Lifecycle,
    /// What it may do, in the numbers of its keyspace's catalogue.
    pub grants: Grants,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything but its use changed last.
    pub updated_at: Timestamp,
    /// When it was used last, written with a delay.
    pub last_used_at: Option<Timestamp>,
    /// From when on it is expired.
    pub expires_at: Option<Timestamp>,
    /// What a program attached to it.
    pub metadata: Metadata,
}

impl ApiKey {
    /// Whether it is expired at `now`; `now = expires_at` is (CONTRACT §3).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }
}

/// A key with what belongs to it: what a store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key.
    pub key: ApiKey,
    /// What is stored of its text.
    pub digest: Digest,
    /// Its keyspace, whose catalogue gives its grants their names.
    pub keyspace: Arc<Keyspace>,
}

impl KeyRecord {
    /// A key that has just been minted: ACTIVE and never used, without description, expiry and metadata.
    pub fn minted(
        text: &KeyText,
        id: KeyId,
        keyspace: Arc<Keyspace>,
        user_id: UserId,
        name: KeyName,
        grants: Grants,
        at: Timestamp,
    ) -> Self {
        let key = ApiKey {
            id,
            keyspace: keyspace.name.clone(),
            user_id,
            name,
            description: None,
            prefix: text.shown_prefix().to_owned(),
            postfix: text.shown_postfix().to_owned(),
            lifecycle: Lifecycle::Active,
            grants,
            created_at: at,
            updated_at: at,
            last_used_at: None,
            expires_at: None,
            metadata: Metadata::empty(),
        };
        Self {
            key,
            digest: text.digest(),
            keyspace,
        }
    }
}

/// A JSON object that a program attached to a key: at most 4 KiB as compact JSON, kept as that text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata(String);

/// Why metadata was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Over the bound.
    #[error("must be at most {max} bytes as compact JSON, and is {found}")]
    TooLarge {
        /// The bound, in bytes.
        max: usize,
        /// How large it was, in bytes.
        found: usize,
    },
    /// Objects and lists within each other, deeper than the bound.
    #[error("may have {max} levels of objects and lists within each other")]
    TooDeep {
        /// The bound, the object itself counted.
        max: usize,
    },
    /// A name or a text in it holds NUL.
    #[error("must not hold the character NUL")]
    Nul,
    /// It is no JSON object.
    #[error("must be a JSON object")]
    NoObject,
}

impl Metadata {
    /// The greatest size as compact JSON, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// The greatest number of levels, the object itself counted. Readers of JSON have bounds of their own, often
    /// 128, and metadata stands some levels down in what they read.
    pub const MAX_DEPTH: usize = 32;

    /// No metadata: the empty object.
    pub fn empty() -> Self {
        Self("{}".to_owned())
    }

    /// Takes an object that keeps the bounds.
    ///
    /// # Errors
    /// [`MetadataError`], which says what is wrong.
    pub fn new(object: &Map<String, Value>) -> Result<Self, MetadataError> {
        let has_nul = |(name, value): (&String, &Value)| name.contains('\0') || holds_nul(value);
        if object.iter().any(has_nul) {
            return Err(MetadataError::Nul);
        }
        if object.values().any(|value| depth(value) >= Self::MAX_DEPTH) {
            return Err(MetadataError::TooDeep {
                max: Self::MAX_DEPTH,
            });
        }
        // infallible: a map of JSON values with text names is JSON
        let text = serde_json::to_string(object).expect("JSON values are written as JSON");
        if text.len() > Self::MAX_BYTES {
            return Err(MetadataError::TooLarge {
                max: Self::MAX_BYTES,
                found: text.len(),
            });
        }
        Ok(Self(text))
    }

    /// Takes the text back that [`Self::as_json`] gave.
    ///
    /// # Errors
    /// [`MetadataError::NoObject`] where it is none: a damaged row.
    pub fn from_json(text: String) -> Result<Self, MetadataError> {
        match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) if text.starts_with('{') => Ok(Self(text)),
            _ => Err(MetadataError::NoObject),
        }
    }

    /// The object as compact JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The object as a value.
    pub fn to_value(&self) -> Value {
        // infallible: both constructors checked it
        serde_json::from_str(&self.0).expect("metadata is JSON")
    }
}

/// How many levels of objects and lists a value has.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(object) => object
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(value: &Value) -> Result<Metadata, MetadataError> {
        Metadata::new(value.as_object().unwrap())
    }

    #[test]
    fn four_kibibytes_fit_and_no_more() {
        assert!(metadata(&json!({"a": "x".repeat(4096 - 8)})).is_ok());
        let found = metadata(&json!({"a": "x".repeat(4096 - 7)}));
        assert_eq!(
            found,
            Err(MetadataError::TooLarge {
                max: 4096,
                found: 4097
            })
        );
    }

    #[test]
    fn thirty_two_levels_fit_and_no_more() {
        let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
        assert!(metadata(&nested(32)).is_ok());
        assert_eq!(
            metadata(&nested(33)),
            Err(MetadataError::TooDeep { max: 32 })
        );
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        let sent = r#"{"a":5.691075034743235e-8,"b":18446744073709551615,"c":-1}"#;
        let object = serde_json::from_str::<Value>(sent).unwrap();
        assert_eq!(metadata(&object).unwrap().as_json(), sent);
    }

    #[test]
    fn nul_is_refused_however_deep() {
        for value in [
            json!({"\0": 1}),
            json!({"a": "\0"}),
            json!({"a": [{"b": ["\0"]}]}),
            json!({"a": {"\0": 1}}),
        ] {
            assert_eq!(metadata(&value), Err(MetadataError::Nul));
        }
    }

    #[test]
    fn a_damaged_row_is_noticed() {
        for text in ["", "[]", "{", "null"] {
            assert_eq!(
                Metadata::from_json(text.to_owned()),
                Err(MetadataError::NoObject)
            );
        }
    }
}
