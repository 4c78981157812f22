//! Values within the text of a statement: for the few that must go with others in one message, where there are no
//! places for values.

use std::fmt::Write as _;

use crate::table::Given;

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

/// What a statement is given.
pub(super) fn given(value: &Given<'_>) -> String {
    match value {
        Given::Uuid(uuid) => format!("'{uuid}'"),
        Given::Text(value) => optional(*value, text),
        Given::Integer(number) => optional(*number, |number| number.to_string()),
    }
}

/// A statement with these in the places of its parameters. No literal has a `$`.
pub(super) fn filled(statement: &str, literals: &[String]) -> String {
    let mut filled = statement.to_owned();
    // The last ones first: $1 is the beginning of $10.
    for (place, literal) in literals.iter().enumerate().rev() {
        filled = filled.replace(&format!("${}", place + 1), literal);
    }
    filled
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
        let literals = [Given::Text(Some("$2 $10")), Given::Integer(None)];
        let filled = filled("$1 $2 $2", &literals.map(|given| super::given(&given)));
        let literal = text("$2 $10");
        assert_eq!(filled, format!("{literal} NULL NULL"));
    }
}
