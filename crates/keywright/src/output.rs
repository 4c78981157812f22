//! What the program writes to standard output and standard error: the only place that does.
//!
//! Answers go to standard output, everything said about them to standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Writes a line to standard output, at once.
///
/// # Errors
/// [`io::ErrorKind::BrokenPipe`] where the reader has gone; see `Failure::Unheard`.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Writes a value to standard output as one line of JSON.
///
/// # Errors
/// As [`line`].
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Tells the one who ran the command something that is no part of its answer.
pub(crate) fn note(text: &str) {
    // Where standard error is closed, nobody can be told so.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Tells the one who ran the command why it failed.
pub(crate) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// Whether a person reads standard output.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether to colour what a person reads: only on a terminal that can, and never against <https://no-color.org>.
pub(crate) fn is_coloured() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_terminal()
        && !is_set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// Asks a person to agree. Where standard input is no terminal, nobody is there to be asked, and it is agreed.
pub(crate) fn confirm(question: &str) -> bool {
    if !io::stdin().is_terminal() {
        return true;
    }
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// `text` with whatever could steer a terminal made visible: a stranger may have chosen it.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction(character) {
            let _ = write!(printable, "{}", character.escape_unicode());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// Characters that change the direction of what follows (Unicode TR 9), by which a text can look like another.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_made_visible() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("a\u{202e}b\n"), "a\\u{202e}b\\u{a}");
        assert_eq!(printable("Schlüssel 鍵"), "Schlüssel 鍵");
    }
}
