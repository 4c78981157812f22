//! What a flood of keys that do not exist costs those who ask about keys that do.
//!
//! Two loads of equal weight run at the same time: the same program, as many connections, requests of the same size,
//! drawn from files of the same size. The first always asks about hot keys, and is the one that is measured. The
//! second asks about the same hot keys, or about junk. So the first run says what share of the server and of the
//! machine the measured load gets where both are legitimate, and the others, what is left of that share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use keywright_bench::Outcome;
use keywright_bench::ambient::{SystemClock, SystemEntropy};
use keywright_bench::keys;
use keywright_bench::metrics::{Metrics, label};
use keywright_bench::options::CommonOptions;
use keywright_bench::process::{self, Keywright};
use keywright_bench::report::{Report, Table, grouped, progress};
use keywright_bench::rounds::{Spread, median, order};
use keywright_bench::wrk::{KeyFile, Load, Measured};
use keywright_core::identifier::{KeyPrefix, KeyspaceName};
use keywright_core::key_text::{KeyText, TagKey};
use keywright_core::keyspace;
use keywright_store::Store as _;
use keywright_store::sqlite::{self, SqliteStore};

/// Measures a legitimate load beside junk.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// How many hot keys there are [default: 10000]
    #[arg(long)]
    keys: Option<usize>,
    /// How many different keys there are of each kind of junk; more than a negative cache holds [default: 2000000]
    #[arg(long)]
    junk: Option<usize>,
    /// How many rounds [default: 9]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds for each kind of company in each round [default: 3]
    #[arg(long)]
    seconds: Option<u64>,
}

/// Of each of the two loads: together as many as the other programs use.
const CONNECTIONS: usize = 16;

/// What the second load asks about.
const COMPANY: [&str; 5] = [
    "hot keys, too",
    "right check, wrong tag",
    "unknown, right tag",
    "hot keys, 512 connections",
    "unknown, right tag, 512 connections",
];

/// The row with which each is compared: of as many connections, and hot keys.
const BESIDE_HOT: [usize; 5] = [0, 0, 0, 3, 3];

/// As many wait for look-ups as may, and as many more are turned away and come again, together about as often as the
/// measured load asks.
const CROWD: usize = 512;
const CROWD_PAUSE_MS: u64 = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let options = Options::parse();
    let common = options.common;
    let hot = common.size(options.keys, 10_000, 50);
    let junk = common.size(options.junk, 2_000_000, 2_000);
    let rounds = common.size(options.rounds, 9, 1);
    let seconds = common.size(options.seconds, 3, 1);

    let folder = process::scratch()?;
    let (prefix, tag_key) = minting(&folder.path().join("keywright.db")).await?;
    let keywright = Keywright::start(folder.path(), [""; 0])?;
    progress(format!("making {hot} keys"));
    let texts = keys::create(&keywright, hot).await?;

    progress(format!("making up {junk} keys, twice"));
    let file = |name: &str| folder.path().join(name);
    let made_up = TagKey::generate(&SystemEntropy)?;
    let [hot_keys, wrong_tags, unknown] = [
        KeyFile::write(file("hot"), texts.iter().cycle().take(junk))?,
        KeyFile::write(file("wrong-tag"), mint(&prefix, &made_up, junk))?,
        KeyFile::write(file("unknown"), mint(&prefix, &tag_key, junk))?,
    ];
    let measured = Load {
        service_key: keywright.service_key().to_owned(),
        keys: KeyFile::write(file("measured"), &texts)?,
        first: 0,
        connections: CONNECTIONS,
        pause_ms: 0,
        seconds,
        count_answers: false,
    };
    let others = |keys: KeyFile| Load {
        keys,
        count_answers: true,
        ..measured.clone()
    };
    let crowd = |keys: KeyFile| Load {
        first: junk / 2,
        connections: CROWD,
        pause_ms: CROWD_PAUSE_MS,
        ..others(keys)
    };
    let mut company = [
        others(hot_keys.clone()),
        others(wrong_tags),
        others(unknown.clone()),
        crowd(hot_keys),
        crowd(unknown),
    ];

    progress("warming up");
    company[0].run(keywright.server().address(), folder.path())?;
    let mut results: [Vec<Sample>; 5] = Default::default();
    for round in 0..rounds {
        progress(format!("round {} of {rounds}", round + 1));
        for index in order(round, company.len()) {
            let second = &mut company[index];
            let sample = Sample::take(&keywright, &measured, second, folder.path()).await?;
            // Goes on where it stopped, so that a key is asked about again only when all have been.
            second.first += usize::try_from(sample.second.requests)? + second.connections;
            second.first %= second.keys.count();
            results[index].push(sample);
        }
    }
    keywright.stop()?;
    report(&results, hot, junk, rounds, seconds).print()
}

/// What keys of the keyspace `default` are made with: read where the server keeps it, before it is started.
async fn minting(database: &Path) -> Outcome<(KeyPrefix, TagKey)> {
    let store = SqliteStore::open(
        database,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        sqlite::Options::default(),
    )
    .await?;
    let name = KeyspaceName::new(keyspace::DEFAULT)?;
    let found = store.find_keyspace(&name).await?;
    store.close().await;
    let (keyspace, tag_keys) = found.ok_or("a new database has a keyspace `default`")?;
    Ok((keyspace.prefix, tag_keys.newest().clone()))
}

/// So many new keys that nobody has stored.
fn mint(prefix: &KeyPrefix, tag_key: &TagKey, count: usize) -> impl Iterator<Item = String> {
    (0..count).map_while(move |_| {
        let text = KeyText::mint(prefix, tag_key, &SystemEntropy).ok()?;
        Some(text.expose().to_owned())
    })
}

/// One run of both loads.
struct Sample {
    measured: Measured,
    second: Measured,
    /// How often each operation of the store was done meanwhile.
    queries: BTreeMap<String, f64>,
}

impl Sample {
    async fn take(
        keywright: &Keywright,
        measured: &Load,
        second: &Load,
        folder: &Path,
    ) -> Outcome<Self> {
        let address = keywright.server().address();
        let before = Metrics::of(address).await?;
        let [measured, second] = Load::run_together([measured, second], address, folder)?;
        let after = Metrics::of(address).await?;
        if measured.failures > 0 || second.failures > 0 {
            return Err(format!("connections failed: {measured:?}, {second:?}").into());
        }
        let queries = after
            .growth(&before, "keywright_store_seconds_count")
            .map(|(labels, count)| {
                let operation = label(labels, "operation").unwrap_or(labels);
                (operation.to_owned(), count)
            })
            .collect();
        Ok(Self {
            measured,
            second,
            queries,
        })
    }

    /// Answers to the measured load that were decisions.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn useful_rate(&self) -> f64 {
        (self.measured.requests - self.measured.refused) as f64 / self.measured.seconds
    }

    fn share_of_second(&self) -> f64 {
        self.second.rate() / (self.second.rate() + self.measured.rate())
    }
}

fn report(
    results: &[Vec<Sample>; 5],
    hot: usize,
    junk: usize,
    rounds: usize,
    seconds: u64,
) -> Report {
    Report::new("Legitimate verifications beside a flood of keys that do not exist")
        .table(&legitimate(results))
        .table(&second(results))
        .note(format!(
            "Keywright on SQLite with as many workers as there are cores. Two instances of wrk, each with 1 thread and \
             {CONNECTIONS} connections, at the same time for {seconds} s; {rounds} interleaved rounds, the order \
             rotated. The first, of which the upper table speaks, asks about {hot} hot keys. The second asks about the \
             same hot keys in the first row, and about {junk} different keys that do not exist in the others; program, \
             connections, requests and the size of the file they come from are the same, so that what changes from row \
             to row is only whether the keys exist. In the last two rows it has {CROWD} connections instead, each of \
             which waits for {CROWD_PAUSE_MS} ms after an answer. Throughput and p99 beside junk are divided by those \
             beside hot keys of as many connections in the same round: median, least … quartiles … greatest."
        ))
        .note(
            "wrk is a closed loop: each load has 16 questions open at any time, and junk that is answered sooner than \
             a legitimate question makes room for more junk, up to more than half of all requests; the lower table \
             says how much it was. The latencies are those of a server and a machine that are as busy as both loads \
             can make them.",
        )
}

fn legitimate(results: &[Vec<Sample>; 5]) -> Table {
    let mut table = Table::new([
        "the other half of the load",
        "legitimate requests/s",
        "of its share",
        "goal",
        "p99 µs",
        "of p99 beside hot keys",
        "goal",
        "refused with 503",
    ]);
    for (index, (name, samples)) in COMPANY.iter().zip(results).enumerate() {
        let ratio = |figure: fn(&Sample) -> f64| {
            if BESIDE_HOT[index] == index {
                return "1".to_owned();
            }
            let pairs = samples.iter().zip(&results[BESIDE_HOT[index]]);
            let ratios =
                pairs.map(|(beside_junk, beside_hot)| figure(beside_junk) / figure(beside_hot));
            format!("{:.2}", Spread::of(ratios))
        };
        let goal = |goal: &str| {
            if BESIDE_HOT[index] == index {
                String::new()
            } else {
                goal.to_owned()
            }
        };
        let refused: u64 = samples.iter().map(|sample| sample.measured.refused).sum();
        table.row([
            (*name).to_owned(),
            grouped(median(samples.iter().map(Sample::useful_rate))),
            ratio(Sample::useful_rate),
            goal("≥ 0.9"),
            grouped(median(samples.iter().map(|sample| sample.measured.p99))),
            ratio(|sample| sample.measured.p99),
            goal("≤ 1.5"),
            refused.to_string(),
        ]);
    }
    table
}

fn second(results: &[Vec<Sample>; 5]) -> Table {
    let mut table = Table::new([
        "the other half of the load",
        "its requests/s",
        "of all requests",
        "its answers, over all rounds",
        "queries during the runs",
        "for 1000 of its requests",
        "goal",
    ]);
    let goals = ["", "0", "bounded", "", "bounded"];
    for ((name, samples), goal) in COMPANY.iter().zip(results).zip(goals) {
        let requests: f64 = samples
            .iter()
            .map(|sample| sample.second.rate() * sample.second.seconds)
            .sum();
        let mut answers: BTreeMap<&str, f64> = BTreeMap::new();
        let mut queries: BTreeMap<&str, f64> = BTreeMap::new();
        for sample in samples {
            for (answer, count) in &sample.second.answers {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let count = *count as f64;
                *answers.entry(answer).or_default() += count;
            }
            for (operation, count) in &sample.queries {
                *queries.entry(operation).or_default() += count;
            }
        }
        let share = median(samples.iter().map(Sample::share_of_second));
        table.row([
            (*name).to_owned(),
            grouped(median(samples.iter().map(|sample| sample.second.rate()))),
            format!("{:.0} %", 100.0 * share),
            listed(&answers),
            listed(&queries),
            format!("{:.1}", queries.values().sum::<f64>() * 1000.0 / requests),
            goal.to_owned(),
        ]);
    }
    table
}

/// `12 NOT_FOUND, 3 unavailable`.
fn listed(counts: &BTreeMap<&str, f64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{} × {name}", grouped(*count)))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}
