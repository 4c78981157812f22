//! Every fuzz target, with random and with nearly right input.

use keywright_core::ambient::{Entropy, EntropyError};
use keywright_core::identifier::KeyPrefix;
use keywright_core::key_text::{KeyText, TagKey, WellFormed};
use keywright_fuzz as target;
use proptest::prelude::*;

/// What was drawn, over and over, without the few bytes that minting draws again.
struct Drawn(Vec<u8>);

impl Entropy for Drawn {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for (byte, drawn) in buffer.iter_mut().zip(self.0.iter().cycle()) {
            *byte = drawn % 248;
        }
        Ok(())
    }
}

const TOKEN: &str = "(eyJhbGciOiJIUzI1NiJ9|eyJhbGciOiJub25lIn0|[A-Za-z0-9_-]{0,60})\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,50}";
const JSON: &str = "\\{(\"(name|permissions|key|requests|expires_at|metadata|x)\":(1|\"a\"|\\[\\]|\\[\"a\"\\]|\\{\\}|null|-1e999),?){0,4}\\}?";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_at_all(data in prop::collection::vec(any::<u8>(), 0..300)) {
        target::key_text(&data);
        target::jwt(&data);
        target::cursor(&data);
        target::permission_names(&data);
        target::json_bodies(&data);
    }

    #[test]
    fn any_text_at_all(text in ".{0,120}") {
        target::key_text(text.as_bytes());
        target::jwt(text.as_bytes());
        target::cursor(text.as_bytes());
        target::permission_names(text.as_bytes());
        target::json_bodies(text.as_bytes());
    }

    #[test]
    fn keys_that_another_server_made(random in prop::collection::vec(any::<u8>(), 64), at in 0_usize..60) {
        let drawn = Drawn(random);
        let prefix = KeyPrefix::new("sk_live_").unwrap();
        let tag_key = TagKey::generate(&drawn).unwrap();
        let key = KeyText::mint(&prefix, &tag_key, &drawn).unwrap();
        prop_assert!(WellFormed::parse(key.expose()).is_some());
        target::key_text(key.expose().as_bytes());
        let mut changed = key.expose().as_bytes().to_vec();
        let at = at % changed.len();
        changed[at] = changed[at].wrapping_add(1);
        target::key_text(&changed);
        target::json_bodies(format!("{{\"{}\": 1}}", key.expose()).as_bytes());
        target::json_bodies(format!("{{\"name\": [\"{}\"]}}", key.expose()).as_bytes());
    }

    #[test]
    fn texts_that_look_like_tokens(text in TOKEN) {
        target::jwt(text.as_bytes());
    }

    #[test]
    fn texts_that_look_like_cursors(text in "[A-Za-z0-9_-]{0,44}") {
        target::cursor(text.as_bytes());
    }

    #[test]
    fn texts_that_look_like_names(text in "([A-Za-z0-9_.:-]{0,66}\n){0,70}") {
        target::permission_names(text.as_bytes());
    }

    #[test]
    fn texts_that_look_like_bodies(text in JSON) {
        target::json_bodies(text.as_bytes());
    }
}
