//! What a secret looks like wherever it has leaked to.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use keywright_core::digest::Digest;

/// How many characters in a row of a secret are a leak.
const FRAGMENT: usize = 16;

/// The length of a key's secret part.
const SECRET_CHARS: usize = 32;

/// A secret, and every form in which to look for it.
pub(super) struct Secret {
    name: String,
    /// Pieces of the text itself.
    fragments: Vec<String>,
    /// The hash in the forms in which it is written.
    hashes: Vec<String>,
    hash_in_hex: String,
}

impl Secret {
    /// A text of which no fragment may be anywhere.
    pub(super) fn text(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            fragments: fragments(text),
            hashes: Vec::new(),
            hash_in_hex: String::new(),
        }
    }

    /// A key, of which prefix and postfix may be shown.
    pub(super) fn key(name: &str, text: &str) -> Self {
        let begin = text.find('_').expect("a prefix") + 1;
        let digest = Digest::of(text);
        let hash = digest.as_bytes();
        let hex = hash.map(|byte| format!("{byte:02x}")).concat();
        Self {
            name: name.to_owned(),
            fragments: fragments(&text[begin..begin + SECRET_CHARS]),
            hashes: vec![
                hex.to_uppercase(),
                hex.clone(),
                STANDARD_NO_PAD.encode(hash),
                URL_SAFE_NO_PAD.encode(hash),
                as_text(hash),
                // As Rust writes a list of bytes.
                format!("{hash:?}"),
                format!("{hash:x?}"),
            ],
            hash_in_hex: hex,
        }
    }

    /// The same, to be looked for where its hash may be.
    pub(super) fn without_hash(&self) -> Self {
        Self {
            name: self.name.clone(),
            fragments: self.fragments.clone(),
            hashes: Vec::new(),
            hash_in_hex: String::new(),
        }
    }

    #[track_caller]
    pub(super) fn is_in_none_of(&self, places: &[(String, String)]) {
        for (place, content) in places {
            self.is_not_in(place, content);
        }
    }

    #[track_caller]
    pub(super) fn is_not_in(&self, place: &str, content: &str) {
        for needle in self.fragments.iter().chain(&self.hashes) {
            if let Some(found) = content.find(needle) {
                let begin = content.floor_char_boundary(found.saturating_sub(200));
                let end = content.ceil_char_boundary(content.len().min(found + 200));
                panic!("{} is in {place}: …{}…", self.name, &content[begin..end]);
            }
        }
    }

    pub(super) fn hash_in_hex(&self) -> &str {
        &self.hash_in_hex
    }

    /// How often the hash stands in a dump, in whatever form.
    pub(super) fn hashes_in(&self, dump: &str) -> usize {
        self.hashes
            .iter()
            .map(|form| dump.matches(form.as_str()).count())
            .sum()
    }
}

fn fragments(text: &str) -> Vec<String> {
    assert!(text.is_ascii() && text.len() >= FRAGMENT, "{text}");
    (0..=text.len() - FRAGMENT)
        .map(|at| text[at..at + FRAGMENT].to_owned())
        .collect()
}

/// Bytes as a text with one character for each, so that anything can be looked for in it.
pub(super) fn as_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
