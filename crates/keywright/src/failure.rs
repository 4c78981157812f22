//! How a command fails, and which exit code that is (CONTRACT §6).

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use crate::output;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was refused, or could not be done: exit code 1. The text says what to do.
    Refused(String),
    /// It was asked for wrongly, on the command line or in the configuration: exit code 2. The text says what would
    /// be right.
    Usage(String),
    /// The answer is no, and has been printed: exit code 1.
    No,
    /// Whoever read our output has stopped reading, as `head` does: nobody is there to be told. Exit code 0.
    Unheard,
}

impl Failure {
    /// It was refused, or could not be done.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// It was asked for wrongly.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A file or folder could not be read or written.
    pub(crate) fn file(path: &std::path::Path, error: impl Display) -> Self {
        Self::Refused(format!("{}: {error}", path.display()))
    }

    /// Tells the one who ran the command.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Refused(text) => {
                output::error(&text);
                ExitCode::from(1)
            }
            Self::Usage(text) => {
                output::error(&text);
                ExitCode::from(2)
            }
            Self::No => ExitCode::from(1),
            Self::Unheard => ExitCode::SUCCESS,
        }
    }
}

/// What writing to standard output gives.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Unheard
        } else {
            Self::Refused(format!("standard output cannot be written: {error}"))
        }
    }
}
