//! What is typed to find a key: a name, an id, or what is known of the key's text.

use keywright_core::key_text;
use keywright_store::Remembered;
use uuid::Uuid;

/// How many characters of each end of a key are kept (CONTRACT §2).
const END: usize = 8;

/// What stands between the two ends where lists show a key.
const MASK: char = '…';

/// What somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sought {
    /// Everything.
    All,
    /// The key of this id.
    Id(Uuid),
    /// Those whose text begins or ends so.
    Ends {
        prefix: Option<String>,
        postfix: Option<String>,
    },
    /// Those whose name begins so; and whose text does, or ends so, where it has as many characters as an end.
    Name(String),
}

impl Sought {
    pub(super) fn of(typed: &str) -> Self {
        let typed = typed.trim();
        if typed.is_empty() {
            return Self::All;
        }
        if let Ok(id) = Uuid::try_parse(typed) {
            return Self::Id(id);
        }
        let masked = masked(typed).replace("...", "…");
        if let Some((prefix, postfix)) = masked.split_once(MASK) {
            let (prefix, postfix) = (prefix.trim(), postfix.trim());
            let fits = |end: &str| end.is_empty() || is_end(end);
            if fits(prefix) && fits(postfix) && prefix.len() + postfix.len() > 0 {
                let end = |end: &str| (!end.is_empty()).then(|| end.to_owned());
                return Self::Ends {
                    prefix: end(prefix),
                    postfix: end(postfix),
                };
            }
        }
        Self::Name(typed.to_owned())
    }

    /// What to ask the store for beside names: whose text begins, or ends, with what was typed.
    pub(super) fn by_ends(&self) -> Vec<Remembered> {
        let by = |prefix: Option<&String>, postfix: Option<&String>| Remembered::Ends {
            prefix: prefix.cloned(),
            postfix: postfix.cloned(),
        };
        match self {
            Self::Ends { prefix, postfix } => vec![by(prefix.as_ref(), postfix.as_ref())],
            Self::Name(typed) if is_end(typed) => {
                vec![by(Some(typed), None), by(None, Some(typed))]
            }
            Self::All | Self::Id(_) | Self::Name(_) => Vec::new(),
        }
    }
}

fn is_end(text: &str) -> bool {
    text.len() == END && text.bytes().all(is_of_keys)
}

const fn is_of_keys(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What was typed, or pasted: where a key is in it, nothing but what lists show of that, so that no address holds a key.
pub(super) fn masked(typed: &str) -> String {
    let mut words =
        typed.split(|character: char| !character.is_ascii() || !is_of_keys(character as u8));
    match words.find(|word| may_be_key(word)) {
        Some(key) => format!("{}{MASK}{}", &key[..END], &key[key.len() - END..]),
        None => typed.trim().to_owned(),
    }
}

/// The same for an id, which may look like a key that was made elsewhere: only keys of this server are masked.
pub(super) fn masked_id(typed: &str) -> String {
    if key_text::is_within(typed) {
        masked(typed)
    } else {
        typed.trim().to_owned()
    }
}

/// Whether a word is a key of this server, or looks like one that was made elsewhere.
fn may_be_key(word: &str) -> bool {
    const SHORTEST: usize = 24;
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    key_text::is_within(word)
        || word.len() >= SHORTEST
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(prefix: &str, postfix: &str) -> Sought {
        let end = |end: &str| (!end.is_empty()).then(|| end.to_owned());
        Sought::Ends {
            prefix: end(prefix),
            postfix: end(postfix),
        }
    }

    #[test]
    fn what_is_typed_is_understood() {
        let id = "01a20296-0000-7000-8000-000000000000";
        assert_eq!(Sought::of(id), Sought::Id(Uuid::try_parse(id).unwrap()));
        for (typed, sought) in [
            ("  ", Sought::All),
            ("agpt_abc…12345678", ends("agpt_abc", "12345678")),
            ("agpt_abc...12345678", ends("agpt_abc", "12345678")),
            (" agpt_abc… ", ends("agpt_abc", "")),
            ("…12345678", ends("", "12345678")),
            ("…", Sought::Name("…".to_owned())),
            ("and so on…", Sought::Name("and so on…".to_owned())),
            ("backup", Sought::Name("backup".to_owned())),
            (
                "a rather long name of a key",
                Sought::Name("a rather long name of a key".to_owned()),
            ),
        ] {
            assert_eq!(Sought::of(typed), sought, "{typed}");
        }
    }

    #[test]
    fn a_key_that_is_pasted_is_masked() {
        let key = "agpt_0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijA1";
        assert_eq!(Sought::of(key), ends("agpt_012", "efghijA1"));
        for typed in [key, &format!("X-API-Key: {key}"), &format!("'{key}' ")] {
            assert_eq!(masked(typed), "agpt_012…efghijA1", "{typed}");
        }
        for name in [
            "nightly export",
            "production_backend_of_the_shop_2",
            "01a20296-0000-7000-8000-000000000000",
        ] {
            assert_eq!(masked(name), name);
        }
    }

    #[test]
    fn eight_characters_may_be_either_end_or_a_name() {
        let by_ends = Sought::of("12345678").by_ends();
        assert_eq!(by_ends.len(), 2);
        assert_eq!(Sought::of("1234567").by_ends(), []);
    }
}
