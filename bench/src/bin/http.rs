//! What a cached verification costs over HTTP, beside answering HTTP at all: a null axum handler and nginx's
//! `return 200`, each with one worker.
//!
//! The client shares the machine with the server and can be the limit, so what is compared is the processor time that
//! the server uses for a request, of all its threads and of all that it does in the background.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::keys::{self, Answer};
use keywright_bench::metrics::{Metrics, label};
use keywright_bench::options::CommonOptions;
use keywright_bench::process::{self, CpuTime, Keywright, Server};
use keywright_bench::report::{Report, Table, grouped, progress};
use keywright_bench::rounds::{Spread, median, order};
use keywright_bench::wrk::{KeyFile, Load, Measured};
use keywright_bench::{Outcome, nginx};
use keywright_core::keyspace;

/// Measures `/api/verify` beside a null axum handler and nginx.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// How many keys the questions rotate over [default: 10000]
    #[arg(long)]
    keys: Option<usize>,
    /// How many rounds [default: 15]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds for each server in each round [default: 2]
    #[arg(long)]
    seconds: Option<u64>,
}

const CONNECTIONS: usize = 32;

/// How long the server may take to count.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server in question comes first, and the others in the order of the columns that compare it with them.
const NAMES: [&str; 3] = ["Keywright", "nginx `return 200`", "null axum handler"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let options = Options::parse();
    let common = options.common;
    let count = common.size(options.keys, 10_000, 50);
    let rounds = common.size(options.rounds, 15, 2);
    let seconds = common.size(options.seconds, 2, 1);

    let folder = process::scratch()?;
    let keywright = Keywright::start(folder.path(), ["--workers", "1"])?;
    progress(format!("making {count} keys"));
    let texts = keys::create(&keywright, count).await?;
    let Answer { body, .. } = keys::verify(&keywright, &texts[0]).await?;
    let nginx = nginx::start(folder.path(), &body)?;
    let null_axum = start_null_axum(&body)?;
    let servers = [keywright.server(), &nginx, &null_axum];

    let load = Load {
        service_key: keywright.service_key().to_owned(),
        keys: KeyFile::write(folder.path().join("keys"), &texts)?,
        first: 0,
        connections: CONNECTIONS,
        pause_ms: 0,
        seconds,
        count_answers: false,
    };
    let address = keywright.server().address();
    let before = Metrics::of(address).await?;
    let mut asked = warm_up(&load, servers, folder.path())?;
    let mut results: [Vec<Sample>; 3] = Default::default();
    for round in 0..rounds {
        progress(format!("round {} of {rounds}", round + 1));
        for index in order(round, servers.len()) {
            results[index].push(Sample::take(servers[index], &load, folder.path())?);
        }
    }
    let of_keywright = &results[0];
    asked += of_keywright
        .iter()
        .map(|sample| sample.load.requests)
        .sum::<u64>();
    all_were_valid(address, &before, asked).await?;
    report(&results, body.len(), count, rounds, seconds).print()
}

fn start_null_axum(answer: &str) -> Outcome<Server> {
    let address: SocketAddr = process::free_address()?;
    let mut command = Command::new(process::program("null_axum")?);
    command.args(["--listen", &address.to_string(), "--answer", answer]);
    Server::start(&mut command, address)
}

/// Asks about every key at least once, looks at every answer, and sees to it that each server has run for a while.
/// Gives how often Keywright was asked.
fn warm_up(load: &Load, servers: [&Server; 3], folder: &Path) -> Outcome<u64> {
    let mut keywright_asked = 0;
    for (name, server) in NAMES.iter().zip(servers) {
        progress(format!("warming up {name}"));
        let mut asked = 0;
        while asked < load.keys.count() {
            let checked = Load {
                first: asked,
                count_answers: true,
                ..load.clone()
            };
            let measured = checked.run(server.address(), folder)?;
            let valid = measured.answers.get("200 VALID").copied().unwrap_or(0);
            if measured.failures > 0 || measured.answers.len() != 1 || valid == 0 {
                return Err(format!("{name} answered otherwise than VALID: {measured:?}").into());
            }
            asked += usize::try_from(valid)?;
            if *name == NAMES[0] {
                keywright_asked += valid;
            }
        }
    }
    Ok(keywright_asked)
}

/// What one server did in one round.
struct Sample {
    load: Measured,
    cpu: CpuTime,
}

impl Sample {
    fn take(server: &Server, load: &Load, folder: &Path) -> Outcome<Self> {
        let before = server.cpu_time()?;
        let load = load.run(server.address(), folder)?;
        let cpu = server.cpu_time()?.since(before);
        if load.requests == 0 || load.refused > 0 || load.failures > 0 {
            return Err(format!("not every request was answered with 200: {load:?}").into());
        }
        Ok(Self { load, cpu })
    }

    /// Microseconds for a request, of the seconds that were used for all.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn each(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.load.requests as f64
    }

    fn cpu_each(&self) -> f64 {
        self.each(self.cpu.total())
    }
}

/// The answers of the measured rounds are not looked at by the client, which would slow it down. The server counts
/// what it decided, and tells it a little later.
async fn all_were_valid(address: SocketAddr, before: &Metrics, asked: u64) -> Outcome {
    progress("waiting for the server's own count");
    let waiting = Stopwatch::start();
    loop {
        let after = Metrics::of(address).await?;
        let mut valid = 0.0;
        for (labels, count) in after.growth(before, "keywright_decisions_total") {
            if label(labels, "code") != Some("VALID") {
                return Err(format!("{count} decisions were not VALID: {labels}").into());
            }
            // The service key is decided about as well.
            if label(labels, "keyspace") == Some(keyspace::DEFAULT) {
                valid += count;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        if valid >= asked as f64 {
            return Ok(());
        }
        if waiting.elapsed() > PATIENCE {
            return Err(format!("of {asked} answers, {valid} were decided VALID").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn report(
    results: &[Vec<Sample>; 3],
    body: usize,
    keys: usize,
    rounds: usize,
    seconds: u64,
) -> Report {
    let mut figures = Table::new([
        "server, one worker",
        "CPU µs/request",
        "user",
        "system",
        "requests/s",
        "p50 µs",
        "p99 µs",
        "cores busy",
        "answer, bytes",
    ]);
    for (name, samples) in NAMES.iter().zip(results) {
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure));
        figures.row([
            (*name).to_owned(),
            format!("{:.2}", of(Sample::cpu_each)),
            format!("{:.2}", of(|sample| sample.each(sample.cpu.user))),
            format!("{:.2}", of(|sample| sample.each(sample.cpu.system))),
            grouped(of(|sample| sample.load.rate())),
            format!("{:.0}", of(|sample| sample.load.p50)),
            format!("{:.0}", of(|sample| sample.load.p99)),
            format!(
                "{:.2}",
                of(|sample| sample.cpu.total() / sample.load.seconds)
            ),
            format!("{:.0}", of(answer_size)),
        ]);
    }
    let mut ratios = Table::new([
        "CPU time per request, round by round",
        "median",
        "least",
        "quartiles",
        "greatest",
        "goal",
    ]);
    for (other, goal) in [(1, "≤ 1.10"), (2, "≤ 0.95")] {
        let pairs = results[0].iter().zip(&results[other]);
        let ratio = Spread::of(pairs.map(|(ours, theirs)| ours.cpu_each() / theirs.cpu_each()));
        ratios.row([
            format!("Keywright / {}", NAMES[other]),
            format!("**{:.2}**", ratio.median),
            format!("{:.2}", ratio.min),
            format!("{:.2} – {:.2}", ratio.lower, ratio.upper),
            format!("{:.2}", ratio.max),
            goal.to_owned(),
        ]);
    }
    Report::new("`POST /api/verify` beside answering HTTP at all")
        .table(&figures)
        .table(&ratios)
        .note(format!(
            "Medians of {rounds} interleaved rounds of {seconds} s, the order rotated, after a warm-up in which every \
             answer was checked. wrk with 1 thread and {CONNECTIONS} connections, {keys} keys in rotation, all VALID \
             (in the measured rounds by the server's own count); bodies of {body} bytes from all three. CPU time is \
             that of the server's whole process. wrk is a closed loop: its latencies are those of a server that is as \
             busy as the client can make it, not of a request that arrives at a quiet one."
        ))
}

/// Head and body together.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn answer_size(sample: &Sample) -> f64 {
    sample.load.bytes as f64 / sample.load.requests as f64
}
