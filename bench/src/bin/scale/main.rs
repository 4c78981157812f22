//! How a database of many keys is served: from the start of the process to readiness, the first verification of each
//! key, the keys that are asked for again and again, and what memory and disk a key takes.

mod asking;
mod bare;
mod cold;
mod hot;
mod hot_http;
mod memory;
mod open_loop;
mod restart;
mod verifying;

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::{Database, Kind, durable_cluster};
use keywright_bench::loader::load;
use keywright_bench::options::CommonOptions;
use keywright_bench::population::Population;
use keywright_bench::report::{Report, Table, grouped, progress};
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Runtime;

#[derive(Parser)]
#[command(about = "Many keys: readiness, cold and hot verification, memory, disk")]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// On which store
    #[arg(long, value_enum, default_value = "sqlite")]
    store: Kind,
    /// How many keys: 10000, 1000000, 10000000 [default: 1000000]
    #[arg(long)]
    keys: Option<u64>,
    /// Keep the database, or what a server on PostgreSQL keeps beside its own, in this folder for the next time
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Use this PostgreSQL database, empty or filled by an earlier run, instead of one that goes with the program
    #[arg(long, value_name = "URL", requires = "keep")]
    database: Option<String>,
    /// How many rounds of cold and of hot verifications [default: 9]
    #[arg(long)]
    rounds: Option<usize>,
    /// How many verifications each round of cold ones has [default: 40000]
    #[arg(long)]
    cold: Option<u64>,
    /// Cold verifications at once
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// For how many seconds the open loop asks for 1,000 keys per second [default: 20]
    #[arg(long)]
    seconds: Option<u64>,
    /// How many keys are cached to see what memory each takes [default: 5000000, at most half of all]
    #[arg(long)]
    cached: Option<u64>,
}

/// How often one key in a hot set stands for it.
const HOT_KEYS: u64 = 10_000;

fn main() -> Outcome {
    let options = Options::parse();
    let common = options.common;
    let count = common.size(options.keys, 1_000_000, 2_000);
    let rounds = common.size(options.rounds, 9, 1);
    let cached = common
        .size(options.cached, 5_000_000, 500)
        .min(count / 2)
        .max(1);
    let runtime = Runtime::new()?;
    let mut table = Table::new(["what", "figure"]);

    let stage = Stage::new(&options)?;
    let database = &stage.database;
    let loaded = fill(&runtime, database, count)?;
    if let Some(seconds) = loaded {
        table.row(["load, s".to_owned(), format!("{seconds:.0}")]);
    }
    table.row([
        "size on disk per key, B".to_owned(),
        grouped(as_figure(size(&runtime, database)?) / as_figure(count)),
    ]);

    progress("restart to ready");
    let ready = restart::measure(database, common.size(None, 5, 1))?;
    table.row([
        "start of the process to ready, ms".to_owned(),
        format!("{ready:.0}"),
    ]);

    progress("cold verification");
    let sizes = cold::Sizes {
        keys: count,
        round: common
            .size(options.cold, 40_000, 100)
            .min(count / (as_count(rounds) + 1)),
        rounds,
        concurrency: options.concurrency,
    };
    let cold = runtime.block_on(cold::measure(database, sizes))?;
    cold.tell(&mut table);

    progress("cold verification, 1,000 per second");
    let seconds = common.size(options.seconds, 20, 1);
    let latencies = open_loop::measure(&runtime, database, count, seconds)?;
    latencies.tell(&mut table);

    progress("hot verification");
    let small = stage.another()?;
    let hot_keys = HOT_KEYS.min(count / 2);
    fill(&runtime, &small, hot_keys)?;
    let others = common.size(None, 500_000, 1_000).min(count - hot_keys);
    let sizes = hot::Sizes {
        hot: hot_keys,
        others,
        keys: count,
        rounds,
        round: common.size(None, 1_000_000, 1_000),
        seconds: common.size(None, 2, 1),
        usage_interval: common.size(None, 10, 1),
    };
    let hot = runtime.block_on(hot::measure(&small, database, sizes))?;
    hot.tell(&mut table);
    // On PostgreSQL the server does not answer from memory.
    if options.store == Kind::Sqlite {
        progress("hot verification over HTTP");
        let hot = hot_http::measure(&runtime, &small, database, sizes)?;
        hot.tell(&mut table);
        progress("memory per cached key");
        let memory = memory::measure(&runtime, database, count, cached)?;
        memory.tell(&mut table);
    }

    Report::new(format!(
        "{} keys on {}",
        grouped(as_figure(count)),
        options.store.name()
    ))
    .table(&table)
    .note(
        "Cold: each key is verified once, in an order that looks like none, in process, with the server's defaults; \
         beside it the bare look-up of the same row by its hash through the same driver, with the same connections and \
         the same concurrency, round by round in turn. The open loop begins one every millisecond whatever became of \
         those before; latencies count from when each was meant to begin; beside verifications stand bare look-ups and \
         tasks that do nothing, begun in the same way and in turn, whose latencies are the machine's. Hot: the same keys again and again, \
         from memory, where they are all there is, and out of all others, many of which are in memory too: in process on \
         one thread, and over HTTP with one worker and wrk with 32 connections, the two servers in turn, once the uses \
         of all keys in memory are written. Files are in \
         the page cache; of the audit log nothing is loaded.",
    )
    .print()
}

/// The database, and where another of its kind can be made.
struct Stage {
    database: Database,
    cluster: Option<std::sync::Arc<keywright_testkit::TemporaryPostgres>>,
}

impl Stage {
    fn new(options: &Options) -> Outcome<Self> {
        let keep = options.keep.as_deref();
        Ok(match (options.store, &options.database) {
            (Kind::Sqlite, _) => Self {
                database: Database::sqlite(keep)?,
                cluster: None,
            },
            (Kind::Postgres, Some(url)) => Self {
                database: Database::postgres_at(url, keep)?,
                cluster: None,
            },
            (Kind::Postgres, None) => {
                let cluster = durable_cluster();
                Self {
                    database: Database::postgres_in(&cluster)?,
                    cluster: Some(cluster),
                }
            }
        })
    }

    /// A small one of the same kind. (What is verified from memory does not know of which kind it came.)
    fn another(&self) -> Outcome<Database> {
        match &self.cluster {
            Some(cluster) => Database::postgres_in(cluster),
            None => Database::sqlite(None),
        }
    }
}

/// Fills an empty database, and tells in how many seconds; `None` where it was filled already.
fn fill(runtime: &Runtime, database: &Database, count: u64) -> Outcome<Option<f64>> {
    runtime.block_on(async {
        let store = database.open().await?;
        let population = Population::of(&*store).await?;
        let last = population.text(count - 1)?.digest();
        let is_filled = store.find_key_by_digest(&last).await?.is_some();
        store.close().await;
        drop(store);
        if is_filled {
            return Ok(None);
        }
        progress(format!("loading {} keys", grouped(as_figure(count))));
        let watch = Stopwatch::start();
        load(database, &population, count).await?;
        let seconds = watch.elapsed().as_secs_f64();
        progress(format!("loaded in {seconds:.0} s"));
        Ok(Some(seconds))
    })
}

/// What the database takes on the disk, in bytes.
fn size(runtime: &Runtime, database: &Database) -> Outcome<u64> {
    let Some(url) = database.url() else {
        return Ok(fs::metadata(database.file())?.len());
    };
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        let size: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(u64::try_from(size)?)
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and sizes, far below 2⁵²"
)]
fn as_figure(count: u64) -> f64 {
    count as f64
}

fn as_count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
