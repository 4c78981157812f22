//! `keywright doctor`.

mod checks;

use clap::Args;
use comfy_table::Cell;

use crate::configuration::{Configuration, ServeOptions};
use crate::failure::Failure;
use crate::table;

/// Check configuration, files and database, and say what to do
#[derive(Debug, Args)]
#[command(after_help = "\
Takes the options of `keywright serve`, and may be run beside a running server: it changes nothing.

Exit codes: 0 nothing fails (there may be warnings), 1 something does.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    options: ServeOptions,
}

/// What a check found.
struct Finding {
    verdict: Verdict,
    about: &'static str,
    /// What is so, and what to do where it should not be.
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let findings = match Configuration::resolve(self.options) {
            Ok(configuration) => super::wait_for(async { Ok(checks::all(&configuration).await) })?,
            Err(Failure::Usage(text) | Failure::Refused(text)) => {
                vec![Finding::fail("configuration", text)]
            }
            Err(failure) => return Err(failure),
        };
        let mut rows = table::with_headings(&[]);
        for finding in &findings {
            rows.add_row([
                finding.verdict.cell(),
                Cell::new(finding.about),
                table::text(&finding.text),
            ]);
        }
        table::print(rows)?;
        if findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Fail)
        {
            return Err(Failure::No);
        }
        Ok(())
    }
}

impl Finding {
    fn ok(about: &'static str, text: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, about, text)
    }

    fn warn(about: &'static str, text: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, about, text)
    }

    fn fail(about: &'static str, text: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, about, text)
    }

    fn new(verdict: Verdict, about: &'static str, text: impl Into<String>) -> Self {
        Self {
            verdict,
            about,
            text: text.into(),
        }
    }
}

impl Verdict {
    fn cell(self) -> Cell {
        match self {
            Self::Ok => table::good("ok"),
            Self::Warn => table::doubtful("warn"),
            Self::Fail => table::bad("FAIL"),
        }
    }
}
