//! Texts that begin alike are a range, in the order of code points.

/// The first text after all that begin with `start`; `None` where nothing comes after them.
pub(crate) fn after_all_that_begin_with(start: &str) -> Option<String> {
    let mut kept = start.to_owned();
    while let Some(last) = kept.pop() {
        if let Some(next) = successor(last) {
            kept.push(next);
            return Some(kept);
        }
    }
    None
}

/// The next character, over the gap of the surrogates.
fn successor(character: char) -> Option<char> {
    (character..=char::MAX).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_a_range_is_right_for_the_last_characters_too() {
        let end = |start| after_all_that_begin_with(start);
        assert_eq!(end("ab").as_deref(), Some("ac"));
        assert_eq!(end("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end("\u{10ffff}\u{10ffff}"), None);
        assert_eq!(end(""), None);
    }

    proptest! {
        #[test]
        fn what_begins_so_is_before_the_end_and_nothing_else_is_in_between(start in ".{0,3}", text in ".{0,5}") {
            let end = after_all_that_begin_with(&start);
            let is_within = text >= start && end.is_none_or(|end| text < end);
            prop_assert_eq!(is_within, text.starts_with(&start));
        }
    }
}
