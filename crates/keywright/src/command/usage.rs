//! `keywright usage`, and how use is asked for and shown.

use std::collections::BTreeSet;

use clap::Args;
use comfy_table::{Cell, CellAlignment, Table};
use keywright_api::usage::{Usage as Counted, UsageCode, UsageStep};
use reqwest::Method;

use crate::client::{Answer, ConnectionOptions, Request};
use crate::command::wait_for;
use crate::failure::Failure;
use crate::{output, table};

/// Show how often keys were used
#[derive(Debug, Args)]
#[command(after_help = "\
Needs a service key with audit:read.

Examples:
  keywright usage --keyspace default
  keywright usage --user user-1 --step day --from 2026-11-01T00:00:00Z --json")]
pub(crate) struct Usage {
    /// Only that of this keyspace
    #[arg(long, value_name = "NAME", conflicts_with = "user")]
    keyspace: Option<String>,
    /// Only that of this user's keys
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    connection: ConnectionOptions,
}

/// When, and in which steps.
#[derive(Debug, Args)]
pub(super) struct Span {
    /// From this moment on, such as 2026-11-22T09:00:00Z [default: 24 hours, or 30 days, before the end]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this moment [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How long a line of the table is; days are those of UTC
    #[arg(long, value_name = "STEP", value_parser = ["hour", "day"], default_value = "hour")]
    step: String,
}

impl Span {
    /// Asks for it.
    pub(super) fn ask(&self, request: Request) -> Request {
        request
            .parameter("from", self.from.as_deref())
            .parameter("to", self.to.as_deref())
            .parameter("step", Some(&self.step))
    }
}

impl Usage {
    pub(crate) fn run(self) -> Result<(), Failure> {
        wait_for(async {
            let client = self.connection.client()?;
            let request = client
                .request(Method::GET, &["api", "usage"])?
                .parameter("keyspace", self.keyspace.as_deref())
                .parameter("user_id", self.user.as_deref());
            let answer = client.send(self.span.ask(request)).await?;
            show_usage(&answer, &self.connection)
        })
    }
}

/// Shows the use that the server answered.
pub(super) fn show_usage(answer: &Answer, connection: &ConnectionOptions) -> Result<(), Failure> {
    if connection.json {
        return Ok(output::line(answer.as_text())?);
    }
    Ok(table::print(rows(&answer.read()?))?)
}

/// A line for each bucket, and a column for each code that occurs.
fn rows(counted: &Counted) -> Table {
    let codes: BTreeSet<UsageCode> = counted
        .buckets
        .iter()
        .flat_map(|bucket| bucket.counts.keys().copied())
        .collect();
    let names: Vec<String> = codes.iter().map(|code| name(*code)).collect();
    let headings = std::iter::once("START")
        .chain(names.iter().map(String::as_str))
        .chain(["TOTAL"]);
    let mut rows = table::with_headings(&headings.collect::<Vec<_>>());
    for bucket in &counted.buckets {
        let start = match counted.step {
            UsageStep::Hour => table::moment(&bucket.start),
            UsageStep::Day => table::optional_day(Some(&bucket.start)),
        };
        let count = |code| bucket.counts.get(code).copied().unwrap_or(0);
        let total = bucket
            .counts
            .values()
            .fold(0_u64, |sum, n| sum.saturating_add(*n));
        let numbers = codes.iter().map(count).chain([total]);
        rows.add_row(std::iter::once(start).chain(numbers.map(Cell::new)));
    }
    for column in rows.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table::keep_whole(&mut rows, &[0]);
    rows
}

/// A code as the wire writes it.
fn name(code: UsageCode) -> String {
    let name = serde_json::to_value(code).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}
