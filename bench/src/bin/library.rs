//! What a decision costs in process, without HTTP: the verifier over a real SQLite database, every key in memory.
//!
//! Keys are asked about in an order that looks like none. What was counted of their use is taken out between the
//! timed stretches, as a task of the server does; without that, with many keys, the queue would be full.

use std::hint::black_box;
use std::sync::Arc;

use allocation_counter::measure;
use clap::Parser;
use keywright_bench::Outcome;
use keywright_bench::ambient::{Stopwatch, SystemClock};
use keywright_bench::database::Database;
use keywright_bench::loader::load;
use keywright_bench::options::CommonOptions;
use keywright_bench::population::{Population, shuffled};
use keywright_bench::report::{Report, Table, grouped, progress};
use keywright_bench::rounds::{Spread, median};
use keywright_core::ambient::Clock;
use keywright_core::decision::{Code, Question};
use keywright_engine::{Lease, Verifier, VerifierOptions};
use tokio::task::JoinSet;

/// How many decisions are timed at once: fewer than the queue of uses takes.
const STRETCH: usize = 25_000;

/// How many keys are read from the database at once.
const READERS: usize = 32;

const QUESTION: Question<'static, &str> = Question {
    permissions: &["READ_GRAPH"],
    keyspace: None,
};

/// Measures the verifier in process.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// How many rounds [default: 15]
    #[arg(long)]
    rounds: Option<usize>,
    /// Decisions in each round [default: 1000000]
    #[arg(long)]
    decisions: Option<usize>,
}

#[tokio::main]
async fn main() -> Outcome {
    let options = Options::parse();
    let common = options.common;
    let rounds = common.size(options.rounds, 15, 2);
    let decisions = common.size(options.decisions, 1_000_000, 20_000);
    let mut table = Table::new([
        "keys in memory",
        "ns per decision",
        "lowest and highest round",
        "without noting use, ns",
        "noting use, on / off",
        "allocations per decision",
    ]);
    for keys in [
        common.size(None, 1_000, 100),
        common.size(None, 1_000_000, 1_000),
    ] {
        table.row(measured(keys, rounds, decisions).await?);
    }
    Report::new("A decision in process")
        .table(&table)
        .note(
            "Medians of the rounds; noting use is on and off in turn within each round, and the ratio is the median of \
             the rounds' ratios.",
        )
        .print()
}

/// A row of the table.
async fn measured(keys: u64, rounds: usize, decisions: usize) -> Outcome<Vec<String>> {
    progress(format!("{} keys", grouped_count(keys)));
    let database = Database::sqlite(None)?;
    let population = {
        let store = database.open().await?;
        let population = Population::of(&*store).await?;
        store.close().await;
        population
    };
    load(&database, &population, keys).await?;
    let store = database.open().await?;
    let verifier = |note_uses| {
        let options = VerifierOptions {
            cache_keys: usize::try_from(2 * keys).unwrap_or(usize::MAX),
            note_uses,
            ..VerifierOptions::default()
        };
        Verifier::new(
            store.clone(),
            Arc::new(SystemClock),
            Lease::endless(),
            options,
        )
    };
    let contestants = [verifier(true), verifier(false)];
    // In the order in which they are asked about, so that the texts themselves are read one after the other.
    let texts: Vec<String> = (0..keys)
        .map(|place| Ok(population.text(shuffled(place, keys))?.expose().to_owned()))
        .collect::<Outcome<_>>()?;
    let texts = Arc::new(texts);
    for verifier in &contestants {
        bring_into_memory(verifier, &texts).await?;
    }

    let (mut on, mut off, mut allocations) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        let mut times = [0.0; 2];
        let first = round * decisions;
        for begin in (first..first + decisions).step_by(STRETCH) {
            let some: Vec<&str> = (begin..(begin + STRETCH).min(first + decisions))
                .map(|number| texts[number % texts.len()].as_str())
                .collect();
            for turn in 0..2 {
                // Who comes first finds the texts colder, so they take turns.
                let which = (turn + round) % 2;
                let (nanoseconds, made) = timed(&contestants[which], &some);
                times[which] += nanoseconds;
                allocations += made;
                contestants[which].uses().take(SystemClock.now());
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "some millions")]
        let each = times.map(|time| time / decisions as f64);
        on.push(each[0]);
        off.push(each[1]);
    }
    store.close().await;
    let ratio = median(on.iter().zip(&off).map(|(on, off)| on / off));
    let spread = Spread::of(on.iter().copied());
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let allocations = allocations as f64 / (2 * rounds * decisions) as f64;
    Ok(vec![
        grouped_count(keys),
        format!("{:.0}", median(on.iter().copied())),
        format!("{:.0} … {:.0}", spread.min, spread.max),
        format!("{:.0}", median(off)),
        format!("{ratio:.3}"),
        format!("{allocations:.6}"),
    ])
}

/// Verifies each key once, many at a time: each has to be read from the database.
async fn bring_into_memory(verifier: &Verifier, texts: &Arc<Vec<String>>) -> Outcome {
    let mut tasks = JoinSet::new();
    for first in 0..READERS {
        let (verifier, texts) = (verifier.clone(), texts.clone());
        tasks.spawn(async move {
            for text in texts.iter().skip(first).step_by(READERS) {
                let code = verifier
                    .verify(text, &QUESTION, |decision| decision.code)
                    .await?;
                if code != Code::Valid {
                    return Err(format!("a key that was loaded is {code:?}").into());
                }
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    verifier.uses().take(SystemClock.now());
    Ok(())
}

/// Nanoseconds and allocations for deciding about all of these.
fn timed(verifier: &Verifier, texts: &[&str]) -> (f64, u64) {
    let mut nanoseconds = 0.0;
    let mut good = 0;
    let allocated = measure(|| {
        let watch = Stopwatch::start();
        for text in texts {
            let decided = verifier.decide_from_memory(black_box(text), &QUESTION, |decision| {
                black_box(decision.found);
                decision.code
            });
            good += usize::from(decided == Some(Code::Valid));
        }
        nanoseconds = watch.elapsed().as_secs_f64() * 1e9;
    });
    assert_eq!(good, texts.len(), "every key is good, and in memory");
    (nanoseconds, allocated.count_total)
}

fn grouped_count(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    grouped(count as f64)
}
