//! Every fuzz target, with random and with nearly right input.

use keywright_fuzz as target;
use proptest::prelude::*;

const KEY: &str = "[a-z][a-z0-9_]{0,14}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}";
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
    fn texts_that_look_like_keys(text in KEY) {
        target::key_text(text.as_bytes());
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
