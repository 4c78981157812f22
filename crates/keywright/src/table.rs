//! Tables for people.

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table};

use crate::output;

/// A table with these headings, as wide as the terminal at most.
pub(crate) fn with_headings(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    // Lines for programs, and for terminals that do not say how wide they are, are as wide as they are.
    if let Some(width) = table.width().filter(|&width| width > 0) {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    if output::is_coloured() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if !headings.is_empty() {
        let heading = |text: &&str| Cell::new(text).add_attribute(Attribute::Bold);
        table.set_header(headings.iter().map(heading));
    }
    table
}

/// A table of what one thing has: a name and a value a line.
pub(crate) fn of_one(fields: &[(&str, Cell)]) -> Table {
    let mut table = with_headings(&[]);
    for (name, value) in fields {
        let name = Cell::new(name).add_attribute(Attribute::Bold);
        table.add_row([name, value.clone()]);
    }
    table
}

/// Never breaks the texts of these columns: somebody may copy them.
pub(crate) fn keep_whole(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
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

/// The first of some names, and how many more there are.
pub(crate) fn some_names(all: &[String]) -> Cell {
    const SHOWN: usize = 3;
    match all.split_at_checked(SHOWN) {
        Some((first, rest)) if rest.len() > 1 => {
            text(&format!("{} +{} more", first.join(" "), rest.len()))
        }
        _ => names(all),
    }
}

/// The day of a moment that may not have come.
pub(crate) fn optional_day(at: Option<&str>) -> Cell {
    optional(at.map(|at| at.split_once('T').map_or(at, |(day, _)| day)))
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

/// Prints a table, without spaces before or after its lines.
pub(crate) fn print(mut table: Table) -> std::io::Result<()> {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    output::line(&lines.join("\n"))
}
