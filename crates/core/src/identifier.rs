//! Names and ids: which are well-formed (CONTRACT §1).

use std::fmt;

use uuid::Uuid;

use crate::ambient::{Clock, Entropy, EntropyError};
use crate::text::{self, TextError};
use crate::timestamp::Timestamp;

macro_rules! display_inner {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// Makes a `UUIDv7` (RFC 9562): ids sort by the millisecond they were made in.
///
/// # Errors
/// [`EntropyError`] where the generator gives no bytes.
pub fn time_ordered_id(clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Uuid, EntropyError> {
    let mut random = [0; 10];
    entropy.fill(&mut random)?;
    Ok(time_ordered_id_at(clock.now(), &random))
}

/// The `UUIDv7` of this moment with these random bytes.
pub fn time_ordered_id_at(now: Timestamp, random: &[u8; 10]) -> Uuid {
    let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid()
}

/// The public id of a key: a `UUIDv7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub Uuid);
display_inner!(KeyId);

/// Whose key it is: an id taken from the identity provider, or the reserved owner of service keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);
display_inner!(UserId);

impl UserId {
    /// The greatest length of an id, in characters.
    pub const MAX_CHARS: usize = 255;

    /// Takes an identity provider's `sub`: 1 to 255 characters, none of them a control character, neither the first
    /// nor the last white space. A header (`Keywright-User`) carries no other: HTTP would trim `"ada "` to `"ada"`,
    /// and whoever acts for the one would act for the other.
    ///
    /// # Errors
    /// [`TextError`], which says what is wrong.
    pub fn new(sub: impl Into<String>) -> Result<Self, TextError> {
        let sub = sub.into();
        text::check(&sub, 1, Self::MAX_CHARS)?;
        if sub.starts_with(char::is_whitespace) || sub.ends_with(char::is_whitespace) {
            return Err(TextError::OuterSpace);
        }
        if sub.contains(char::is_control) {
            return Err(TextError::Control);
        }
        Ok(Self(sub))
    }

    /// The owner of service keys: the empty id, which no identity provider's `sub` can be.
    pub const fn reserved() -> Self {
        Self(String::new())
    }

    /// Takes an id back that was an id before, such as from another type that keeps it as text.
    ///
    /// # Panics
    /// Where it never was one.
    pub fn from_stored(id: &str) -> Self {
        if id.is_empty() {
            Self::reserved()
        } else {
            Self::new(id).expect("this was a user's id before")
        }
    }

    /// Whether this is the owner of service keys.
    pub fn is_reserved(&self) -> bool {
        self.0.is_empty()
    }

    /// The id as text; empty for the reserved owner.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name does not have the form that names of its kind have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must match {pattern}")]
pub struct BadName {
    /// The regular expression that a name must match.
    pub pattern: &'static str,
}

/// A name that matches a pattern, kept as text.
macro_rules! patterned_name {
    ($(#[$documentation:meta])* $name:ident, $pattern:literal, $is_well_formed:expr) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);
        display_inner!($name);

        impl $name {
            /// What it must match.
            pub const PATTERN: &str = $pattern;

            /// Takes what matches [`Self::PATTERN`].
            ///
            /// # Errors
            /// [`BadName`] for anything else.
            pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
                let name = name.into();
                if Self::is_well_formed(&name) {
                    Ok(Self(name))
                } else {
                    Err(BadName { pattern: Self::PATTERN })
                }
            }

            /// Whether a text matches [`Self::PATTERN`].
            pub(crate) fn is_well_formed(name: &str) -> bool {
                let is_well_formed: fn(&[u8]) -> bool = $is_well_formed;
                is_well_formed(name.as_bytes())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

patterned_name!(
    /// The name of a keyspace.
    KeyspaceName,
    "^[a-z][a-z0-9-]{0,31}$",
    |name| matches!(name, [b'a'..=b'z', rest @ ..]
        if rest.len() <= 31 && rest.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')))
);

patterned_name!(
    /// The name of a permission; case counts.
    PermissionName,
    "^[A-Za-z][A-Za-z0-9_.:-]{0,63}$",
    |name| matches!(name, [b'A'..=b'Z' | b'a'..=b'z', rest @ ..]
        if rest.len() <= 63
            && rest.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-')))
);

patterned_name!(
    /// The visible beginning of every key of a keyspace: 2 to 16 characters.
    KeyPrefix,
    "^[a-z][a-z0-9_]{0,14}_$",
    |prefix| matches!(prefix, [b'a'..=b'z', middle @ .., b'_']
        if middle.len() <= 14 && middle.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')))
);

impl KeyPrefix {
    /// Whether a text could begin with both: one is the beginning of the other. No two keyspaces may have such
    /// prefixes.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyspace_names_follow_their_pattern() {
        for good in ["a", "default", "live-2", &format!("a{}", "-".repeat(31))] {
            assert!(KeyspaceName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "2live",
            "-a",
            "a_b",
            "a\n",
            "ä",
            &format!("a{}", "b".repeat(32)),
        ] {
            assert!(KeyspaceName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn permission_names_follow_their_pattern() {
        for good in [
            "A",
            "READ_GRAPH",
            "keys:verify",
            "a.b-c",
            &format!("a{}", "9".repeat(63)),
        ] {
            assert!(PermissionName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            ":a",
            "a b",
            "a\0",
            "ä",
            &format!("a{}", "9".repeat(64)),
        ] {
            assert!(PermissionName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_follow_their_pattern() {
        for good in [
            "a_",
            "agpt_",
            "sk_live_",
            "a______________",
            "abcdefghijklmno_",
        ] {
            assert!(KeyPrefix::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "_",
            "a",
            "1_",
            "A_",
            "agpt",
            "sk-live_",
            "abcdefghijklmnop_",
            "a_\n",
        ] {
            assert!(KeyPrefix::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_overlap_when_one_begins_the_other() {
        let prefix = |text| KeyPrefix::new(text).unwrap();
        assert!(prefix("sk_").overlaps(&prefix("sk_live_")));
        assert!(prefix("sk_live_").overlaps(&prefix("sk_")));
        assert!(prefix("sk_").overlaps(&prefix("sk_")));
        assert!(!prefix("sk_live_").overlaps(&prefix("sk_test_")));
    }

    #[test]
    fn an_id_is_one_that_a_header_carries_unchanged() {
        for bad in [" ada", "ada ", "ada\t", "\u{a0}ada"] {
            assert_eq!(UserId::new(bad), Err(TextError::OuterSpace), "{bad:?}");
        }
        assert_eq!(UserId::new("a\u{7f}b"), Err(TextError::Control));
        assert!(UserId::new("ada lovelace|ä/ö %41").is_ok());
    }

    #[test]
    fn no_id_from_outside_is_the_reserved_owner() {
        assert_eq!(
            UserId::new(""),
            Err(TextError::Length {
                min: 1,
                max: 255,
                found: 0
            })
        );
        assert!(UserId::reserved().is_reserved());
        assert!(!UserId::new("keywright").unwrap().is_reserved());
    }
}
