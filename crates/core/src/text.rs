//! Text that people write: bounded in characters, and without NUL (CONTRACT §1).

use std::fmt;

use crate::key_text;

/// Text of `MIN` to `MAX` characters (Unicode scalar values) without NUL, which PostgreSQL cannot store, and without
/// the text of a key, which somebody put in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoundedText<const MIN: usize, const MAX: usize>(String);

/// The name of a key.
pub type KeyName = BoundedText<1, 100>;

/// A free description: of a key, a keyspace or a permission.
pub type Description = BoundedText<0, 500>;

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Shorter or longer than the bounds, which are in characters.
    #[error("must have {min} to {max} characters, and has {found}")]
    Length {
        /// The least number of characters.
        min: usize,
        /// The greatest number of characters.
        max: usize,
        /// How many there were.
        found: usize,
    },
    /// It begins or ends with white space.
    #[error("must not begin or end with white space")]
    OuterSpace,
    /// It holds a control character.
    #[error("must not hold control characters")]
    Control,
    /// It holds the text of a key.
    #[error("must not hold the text of a key: a key is shown once and stored nowhere")]
    Key,
    /// It holds the character NUL.
    #[error("must not hold the character NUL")]
    Nul,
}

impl<const MIN: usize, const MAX: usize> BoundedText<MIN, MAX> {
    /// Takes `text` if it keeps the bounds.
    ///
    /// # Errors
    /// [`TextError`], which says what is wrong.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check(&text, MIN, MAX)?;
        if key_text::is_within(&text) {
            return Err(TextError::Key);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Display for BoundedText<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a text's length in characters, and that it holds no NUL.
pub(crate) fn check(text: &str, min: usize, max: usize) -> Result<(), TextError> {
    if text.contains('\0') {
        return Err(TextError::Nul);
    }
    let found = text.chars().count();
    if (min..=max).contains(&found) {
        Ok(())
    } else {
        Err(TextError::Length { min, max, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_characters() {
        assert!(KeyName::new("ü".repeat(100)).is_ok());
        assert_eq!(
            KeyName::new("ü".repeat(101)),
            Err(TextError::Length {
                min: 1,
                max: 100,
                found: 101
            })
        );
        assert_eq!(
            KeyName::new(""),
            Err(TextError::Length {
                min: 1,
                max: 100,
                found: 0
            })
        );
    }

    #[test]
    fn nul_is_refused() {
        assert_eq!(Description::new("a\0b"), Err(TextError::Nul));
    }
}
