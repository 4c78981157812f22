//! What a program prints on standard output: Markdown, with all that is needed to repeat it.

use std::env;
use std::fmt::{self, Display, Write as _};
use std::fs;
use std::io::{self, Write as _};
use std::thread;

use keywright_core::ambient::Clock;

use crate::Outcome;
use crate::ambient::SystemClock;

/// A title, where and when it was measured, tables, and notes on how to read them.
#[derive(Debug)]
pub struct Report {
    title: String,
    parts: Vec<String>,
}

impl Report {
    /// An empty report.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            parts: Vec::new(),
        }
    }

    /// Adds a table.
    #[must_use]
    pub fn table(mut self, table: &Table) -> Self {
        self.parts.push(table.to_string());
        self
    }

    /// Adds a paragraph, in Markdown.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.parts.push(text.into() + "\n");
        self
    }

    /// Writes it all to standard output.
    pub fn print(&self) -> Outcome {
        let mut out = io::stdout().lock();
        writeln!(out, "**{}**\n\n{}", self.title, Circumstances::now()?)?;
        for part in &self.parts {
            writeln!(out, "\n{}", part.trim_end())?;
        }
        Ok(out.flush()?)
    }
}

/// Rows of cells. The first column names the row, the others are figures and stand on the right.
#[derive(Debug)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            columns: columns.into_iter().map(str::to_owned).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }
}

impl Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| {} |", self.columns.join(" | "))?;
        let figures = "---:|".repeat(self.columns.len().saturating_sub(1));
        writeln!(out, "|---|{figures}")?;
        for cells in &self.rows {
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

/// Where, when, on what, and by which command something was measured.
struct Circumstances {
    machine: String,
    date: String,
    commit: String,
    command: String,
}

impl Circumstances {
    fn now() -> Outcome<Self> {
        let date = SystemClock.now().to_string();
        Ok(Self {
            machine: machine()?,
            date: date.chars().take("2026-11-22".len()).collect(),
            // bench/run knows both; without it they are not worth a guess.
            commit: env::var("KEYWRIGHT_BENCH_COMMIT").unwrap_or_else(|_| "unknown".to_owned()),
            command: env::var("KEYWRIGHT_BENCH_COMMAND").unwrap_or_else(|_| {
                let words: Vec<String> = env::args().collect();
                words.join(" ")
            }),
        })
    }
}

impl Display for Circumstances {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| | |\n|---|---|")?;
        writeln!(out, "| machine | {} |", self.machine)?;
        writeln!(out, "| date | {} |", self.date)?;
        writeln!(out, "| commit | {} |", self.commit)?;
        write!(out, "| command | `{}` |", self.command)
    }
}

/// `AMD EPYC, 2 cores, 7.8 GiB of memory, Linux 6.1.0`.
fn machine() -> Outcome<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = field(&cpus, "model name").unwrap_or("unknown processor");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kibibytes: f64 = field(&memory, "MemTotal")
        .and_then(|total| total.strip_suffix(" kB"))
        .ok_or("/proc/meminfo has no MemTotal")?
        .parse()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut machine = String::new();
    write!(
        machine,
        "{model}, {} cores, {:.1} GiB of memory, Linux {}",
        thread::available_parallelism()?,
        kibibytes / (1024.0 * 1024.0),
        kernel.trim()
    )?;
    Ok(machine)
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// Says on standard error what is being done, so that nobody wonders whether it hangs.
pub fn progress(what: impl Display) {
    // Where nobody listens, there is nobody to tell.
    let _ = writeln!(io::stderr(), "  {what}");
}

/// A whole number in groups of three: `1 234 567`.
pub fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_its_names_on_the_left() {
        let mut table = Table::new(["", "a", "b"]);
        table.row(["x".to_owned(), "1".to_owned(), "2".to_owned()]);
        assert_eq!(
            table.to_string(),
            "|  | a | b |\n|---|---:|---:|\n| x | 1 | 2 |\n"
        );
    }

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!(grouped(999.6), "1\u{202f}000");
        assert_eq!(grouped(12.0), "12");
        assert_eq!(grouped(1_234_567.0), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn this_machine_can_be_described() {
        let machine = machine().unwrap();
        assert!(machine.contains(" cores, "), "{machine}");
    }
}
