//! Durable creations per second with 64 clients: through the HTTP API of a server on its default settings, and through
//! the store alone, beside what the same disk does with one row per commit.
//!
//! On SQLite that is one connection that inserts into the same table with the same indexes, in the default journal and
//! in WAL, both with `synchronous=FULL`. On PostgreSQL it is pgbench with as many clients, prepared statements and
//! `synchronous_commit=on`. A creation of ours writes more than that one row: the owner and the audit entry.

mod api;
mod bare;
mod store;

use std::time::Duration;

use clap::Parser;
use keywright_bench::Outcome;
use keywright_bench::database::{Database, Kind, durable_cluster};
use keywright_bench::options::CommonOptions;
use keywright_bench::report::{Report, Table, grouped, progress};
use keywright_bench::rounds::{Spread, median, order};
use sqlx::sqlite::SqliteJournalMode;

use crate::api::Api;
use crate::bare::{Commits, Pgbench};
use crate::store::InProcess;

#[derive(Parser)]
#[command(about = "Durable creations per second")]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// On which store [default: both]
    #[arg(long, value_enum)]
    store: Option<Kind>,
    /// Rounds [default: 7]
    #[arg(long)]
    rounds: Option<usize>,
    /// How long each program runs in each round, in seconds [default: 4]
    #[arg(long)]
    seconds: Option<u64>,
    /// Clients, each with one creation at a time
    #[arg(long, default_value_t = 64)]
    clients: usize,
}

/// What is measured, for some seconds at a time: how many were made per second.
trait Contestant {
    fn name(&self) -> String;
    fn run(&mut self, time: Duration) -> Outcome<f64>;
}

fn main() -> Outcome {
    let options = Options::parse();
    let rounds = options.common.size(options.rounds, 7, 1);
    let time = Duration::from_secs(options.common.size(options.seconds, 4, 1));
    let mut report = Report::new(format!(
        "Durable creations per second, {} clients",
        options.clients
    ));
    for kind in [Kind::Sqlite, Kind::Postgres] {
        if options.store.is_some_and(|chosen| chosen != kind) {
            continue;
        }
        let mut contestants = match kind {
            Kind::Sqlite => on_sqlite(options.clients)?,
            Kind::Postgres => on_postgres(options.clients)?,
        };
        let figures = measure(&mut contestants, rounds, time)?;
        report = report.table(&table(kind, &contestants, &figures));
    }
    report
        .note(format!(
            "Creations per second in {rounds} rounds of {} s each, one program after the other in turn: median (least … \
             quartiles … greatest). The ratios are medians of the rounds' ratios to the last row. wrk sends the \
             requests, on the same machine.",
            time.as_secs()
        ))
        .print()
}

fn on_sqlite(clients: usize) -> Outcome<Vec<Box<dyn Contestant>>> {
    Ok(vec![
        Box::new(Api::start(Database::sqlite(None)?, clients)?),
        Box::new(InProcess::open(Database::sqlite(None)?, clients)?),
        Box::new(Commits::open(SqliteJournalMode::Wal)?),
        Box::new(Commits::open(SqliteJournalMode::Delete)?),
    ])
}

fn on_postgres(clients: usize) -> Outcome<Vec<Box<dyn Contestant>>> {
    let cluster = durable_cluster();
    let database = || Database::postgres_in(&cluster);
    Ok(vec![
        Box::new(Api::start(database()?, clients)?),
        Box::new(InProcess::open(database()?, clients)?),
        Box::new(Pgbench::on(database()?, clients)?),
    ])
}

/// For each contestant its figures, round by round.
fn measure(
    contestants: &mut [Box<dyn Contestant>],
    rounds: usize,
    time: Duration,
) -> Outcome<Vec<Vec<f64>>> {
    let mut figures = vec![Vec::new(); contestants.len()];
    for round in 0..rounds {
        for place in order(round, contestants.len()) {
            let contestant = &mut contestants[place];
            let figure = contestant.run(time)?;
            progress(format!(
                "round {}: {}: {}",
                round + 1,
                contestant.name(),
                grouped(figure)
            ));
            figures[place].push(figure);
        }
    }
    Ok(figures)
}

fn table(kind: Kind, contestants: &[Box<dyn Contestant>], figures: &[Vec<f64>]) -> Table {
    let mut table = Table::new([kind.name(), "per second", "ratio"]);
    let Some(last) = figures.last() else {
        return table;
    };
    for (contestant, own) in contestants.iter().zip(figures) {
        let ratio = median(own.iter().zip(last).map(|(own, last)| own / last));
        table.row([
            contestant.name(),
            format!("{:.0}", Spread::of(own.iter().copied())),
            format!("{ratio:.2}"),
        ]);
    }
    table
}
