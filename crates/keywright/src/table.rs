//! Tables for people.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};

use crate::output;

/// A table with these headings, as wide as the terminal at most.
pub(crate) fn with_headings(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !output::is_terminal() {
        // Lines for programs that cut them: as wide as they are.
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if output::is_coloured() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let heading = |text: &&str| Cell::new(text).add_attribute(Attribute::Bold);
    table.set_header(headings.iter().map(heading));
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table
}

/// A table of what one thing has: a name and a value a line.
pub(crate) fn of_one(fields: &[(&str, Cell)]) -> Table {
    let mut table = with_headings(&[]);
    for (name, value) in fields {
        table.add_row([
            Cell::new(name).add_attribute(Attribute::Bold),
            value.clone(),
        ]);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table
}

/// A text that somebody else may have chosen.
pub(crate) fn text(text: &str) -> Cell {
    Cell::new(output::printable(text))
}

/// A text that may be missing.
pub(crate) fn optional(value: Option<&str>) -> Cell {
    value.map_or_else(|| Cell::new("-"), text)
}

/// Names, one after the other.
pub(crate) fn names(names: &[String]) -> Cell {
    if names.is_empty() {
        Cell::new("-")
    } else {
        text(&names.join(" "))
    }
}

/// A moment, to the second.
pub(crate) fn moment(at: &str) -> Cell {
    let to_the_second = at.split_once('.').map_or(at, |(seconds, _)| seconds);
    text(&to_the_second.replace('T', " "))
}

/// A moment that may not have come.
pub(crate) fn optional_moment(at: Option<&str>) -> Cell {
    at.map_or_else(|| Cell::new("-"), moment)
}

/// Whether something holds.
pub(crate) fn yes_or_no(holds: bool) -> Cell {
    Cell::new(if holds { "yes" } else { "no" })
}

/// Something good, green on a terminal.
pub(crate) fn good(text: &str) -> Cell {
    Cell::new(text).fg(Color::Green)
}

/// Something to look at, yellow on a terminal.
pub(crate) fn doubtful(text: &str) -> Cell {
    Cell::new(text).fg(Color::Yellow)
}

/// Something bad, red on a terminal.
pub(crate) fn bad(text: &str) -> Cell {
    Cell::new(text).fg(Color::Red)
}

/// Prints a table, without the spaces at the ends of its lines.
pub(crate) fn print(table: &Table) -> std::io::Result<()> {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    output::line(&lines.join("\n"))
}
