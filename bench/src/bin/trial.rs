//! Nodes under faults for as long as it takes: the trial that is among the tests, with the program as it is shipped.

use std::time::Duration;

use clap::Parser;
use keywright_bench::Outcome;
use keywright_bench::options::CommonOptions;
use keywright_bench::process::program;
use keywright_bench::report::{Report, Table, grouped, progress};
use keywright_trial::{Fault, Length, Settings};
use tokio::runtime::Runtime;

#[derive(Parser)]
#[command(
    about = "Nodes under faults, until there were enough: every answer is compared with what was allowed"
)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// How many nodes
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// How many verifications there are to be, at least [default: 10000000]
    #[arg(long)]
    verifications: Option<u64>,
    /// How many faults, at least [default: 1000]
    #[arg(long)]
    faults: Option<u64>,
    /// How many keys each node keeps in memory; few, and loads and changes meet all the time
    #[arg(long)]
    cache_keys: Option<u32>,
    /// What the trial draws from [default: the process id]
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Outcome {
    let options = Options::parse();
    let common = options.common;
    let seed = options
        .seed
        .unwrap_or_else(|| u64::from(std::process::id()));
    progress(format!("seed {seed}"));
    let lease = Duration::from_millis(500);
    let settings = Settings {
        program: program("keywright")?,
        seed,
        nodes: options.nodes,
        lease,
        cache_keys: options.cache_keys,
        calm: Duration::from_secs(common.size(None, 20, 1)),
        faults: Fault::ALL.to_vec(),
        faults_at_once: 2,
        length: Length::Until {
            verifications: common.size(options.verifications, 10_000_000, 1_000),
            faults: common.size(options.faults, 1_000, 3),
        },
        changers: 8,
        verifiers: 2,
        pause: Duration::ZERO,
        variables: vec![("KEYWRIGHT_LOG".to_owned(), "warn".to_owned())],
    };
    let outcome = Runtime::new()?.block_on(keywright_trial::run(settings));
    if let Some(stale) = &outcome.stale {
        return Err(format!("seed {seed}: a stale answer: {stale}").into());
    }
    if let Some(unexpected) = outcome.unexpected.first() {
        return Err(format!("seed {seed}: {unexpected}").into());
    }
    if let Some(slow) = outcome.slow.first() {
        return Err(format!("seed {seed}: a change took too long: {slow:?}").into());
    }

    let mut table = Table::new(["what", "figure"]);
    let mut row = |what: &str, figure: String| table.row([what.to_owned(), figure]);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let whole = |count: u64| grouped(count as f64);
    row("stale answers", "0".to_owned());
    row(
        "verifications that were decided, each judged",
        whole(outcome.decided()),
    );
    let fewest = outcome.nodes.iter().map(|node| node.decided).min();
    row(
        "of those, by the node that decided the fewest",
        whole(fewest.unwrap_or(0)),
    );
    let undecided = outcome.nodes.iter().map(|node| node.undecided).sum();
    row("verifications without a decision", whole(undecided));
    row("changes that were answered", whole(outcome.changes));
    row(
        "changes of which nobody was told what became of them",
        whole(outcome.unknown),
    );
    row(
        "longest change, s",
        format!("{:.1}", outcome.slowest.as_secs_f64()),
    );
    row("faults", whole(outcome.faults()));
    for (fault, count) in &outcome.faults {
        row(&format!("· {fault:?}"), whole(*count));
    }
    row(
        "longest time until every node had its lease after the database was back, s",
        format!("{:.2}", outcome.recovered.as_secs_f64()),
    );
    let (verifications, statements) = outcome.calm;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let share = statements as f64 / verifications as f64;
    row(
        "statements for each verification, while nothing was wrong",
        format!("{share:.4}"),
    );
    row("seconds", format!("{:.0}", outcome.took.as_secs_f64()));
    row("seed", seed.to_string());

    Report::new(format!("{} nodes under faults", options.nodes))
        .table(&table)
        .note(format!(
            "Release build, a lease of {} ms{}. Two faults at a time; what each is says \
             [faults.rs](../crates/trial/src/faults.rs). No change took longer than a lease, its margin and the faults \
             that lasted meanwhile (and 5 s: the database takes 3 to end the transaction of a process that is stopped, and the machine is busy).",
            lease.as_millis(),
            options
                .cache_keys
                .map_or_else(String::new, |keys| format!(", memory for {keys} keys on each node")),
        ))
        .print()
}
