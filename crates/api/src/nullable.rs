//! A field of a PATCH that tells null, which clears, from absence, which keeps.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads a field that is there: null becomes `Some(None)`. With `#[serde(default)]`, absence becomes `None`.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Writes a field that is there; absent ones are skipped by `skip_serializing_if`.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn serialize<S, T>(field: &Option<Option<T>>, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
{
    field
        .as_ref()
        .and_then(Option::as_ref)
        .serialize(serializer)
}
