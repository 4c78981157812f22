//! Values within the text of a statement: for the few that must go with others in one message, where there are no
//! places for values.

use std::fmt::Write as _;

/// Bytes, whatever they are.
pub(super) fn bytes(value: &[u8]) -> String {
    let mut literal = String::from("decode('");
    for byte in value {
        // infallible: text grows
        write!(literal, "{byte:02x}").expect("a longer text");
    }
    literal + "', 'hex')"
}

/// A text, whatever is in it.
pub(super) fn text(value: &str) -> String {
    format!("convert_from({}, 'UTF8')", bytes(value.as_bytes()))
}

/// One of these, or none.
pub(super) fn optional<T>(value: Option<T>, literal: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "NULL".to_owned(), literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_value_is_read_as_a_statement() {
        assert_eq!(
            text("'; \\"),
            "convert_from(decode('273b205c', 'hex'), 'UTF8')"
        );
        assert_eq!(optional(None, text), "NULL");
    }
}
