//! The same keys again and again over HTTP: of a server that has no others, and of one that has many others in memory.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::database::Database;
use keywright_bench::metrics::Metrics;
use keywright_bench::population::shuffled;
use keywright_bench::process::{CpuTime, Keywright, scratch};
use keywright_bench::report::Table;
use keywright_bench::rounds::{Spread, median, order};
use keywright_bench::wrk::{KeyFile, Load, Measured};
use keywright_core::key_text::KeyText;
use tokio::runtime::Runtime;

use crate::asking::Asker;
use crate::hot::Sizes;

const CONNECTIONS: usize = 32;

/// How long the uses of all keys in memory may take to be written.
const WRITING: Duration = Duration::from_mins(5);

/// What a server did in a round.
struct Sample {
    measured: Measured,
    cpu: CpuTime,
}

impl Sample {
    /// Processor time of the server for a request, in microseconds.
    fn cpu_per_request(&self) -> f64 {
        self.cpu.total() * 1e6 / crate::as_figure(self.measured.requests)
    }
}

/// Round by round.
pub(crate) struct HotHttp {
    alone: Vec<Sample>,
    among_others: Vec<Sample>,
    sizes: Sizes,
}

impl HotHttp {
    pub(crate) fn tell(&self, table: &mut Table) {
        let Sizes {
            hot, others, keys, ..
        } = self.sizes;
        for (figure, what) in [
            (Self::rate as fn(&Sample) -> f64, "requests/s"),
            (Sample::cpu_per_request, "server CPU, µs/request"),
        ] {
            let row = |samples: &[Sample]| format!("{:.2}", Spread::of(samples.iter().map(figure)));
            table.row([
                format!("hot over HTTP, {hot} keys in all, {what}"),
                row(&self.alone),
            ]);
            table.row([
                format!("the same out of {keys}, {others} of them in memory, {what}"),
                row(&self.among_others),
            ]);
        }
        let rounds = || self.alone.iter().zip(&self.among_others);
        let rates = rounds().map(|(alone, among)| Self::rate(among) / Self::rate(alone));
        table.row([
            "over HTTP, ratio of throughputs".to_owned(),
            format!("{:.2}", median(rates)),
        ]);
        let cpu = rounds().map(|(alone, among)| alone.cpu_per_request() / among.cpu_per_request());
        table.row([
            "over HTTP, ratio of requests per CPU time".to_owned(),
            format!("{:.2}", median(cpu)),
        ]);
    }

    fn rate(sample: &Sample) -> f64 {
        sample.measured.rate()
    }
}

pub(crate) fn measure(
    runtime: &Runtime,
    small: &Database,
    large: &Database,
    sizes: Sizes,
) -> Outcome<HotHttp> {
    let folder = scratch()?;
    let contestants = [
        Contestant::prepare(
            runtime,
            small,
            Sizes {
                keys: sizes.hot,
                others: 0,
                ..sizes
            },
            &folder.path().join("alone"),
        )?,
        Contestant::prepare(runtime, large, sizes, &folder.path().join("among"))?,
    ];
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..sizes.rounds {
        for which in order(round, contestants.len()) {
            samples[which].push(contestants[which].sample(folder.path())?);
        }
    }
    for contestant in contestants {
        contestant.server.stop()?;
    }
    let [alone, among_others] = samples;
    Ok(HotHttp {
        alone,
        among_others,
        sizes,
    })
}

struct Contestant {
    server: Keywright,
    load: Load,
}

impl Contestant {
    /// With `others` in memory first, and then the hot ones.
    fn prepare(runtime: &Runtime, database: &Database, sizes: Sizes, file: &Path) -> Outcome<Self> {
        let Sizes {
            hot,
            others,
            keys,
            seconds,
            ..
        } = sizes;
        let population = runtime.block_on(database.population())?;
        let texts = (0..hot)
            .map(|place| population.text(shuffled(place, keys)))
            .collect::<Outcome<Vec<_>>>()?;
        let texts = KeyFile::write(file.to_owned(), texts.iter().map(KeyText::expose))?;
        let interval = format!("{}s", sizes.usage_interval);
        let server = database.serve(["--workers", "1", "--usage-interval", &interval])?;
        let asker = Asker::new(&server, population, keys);
        runtime.block_on(asker.ask_for_all(hot..hot + others))?;
        runtime.block_on(asker.ask_for_all(0..hot))?;
        runtime.block_on(until_uses_are_written(
            server.server().address(),
            sizes.usage_interval,
        ))?;
        let load = Load {
            service_key: server.service_key().to_owned(),
            keys: texts,
            first: 0,
            connections: CONNECTIONS,
            pause_ms: 0,
            seconds,
            count_answers: false,
        };
        Ok(Self { server, load })
    }

    fn sample(&self, folder: &Path) -> Outcome<Sample> {
        let server = self.server.server();
        let before = server.cpu_time()?;
        let measured = self.load.run(server.address(), folder)?;
        let cpu = server.cpu_time()?.since(before);
        if measured.failures > 0 || measured.refused > 0 {
            return Err(format!("hot keys were not answered: {measured:?}").into());
        }
        Ok(Sample { measured, cpu })
    }
}

/// What is written of the others' uses, in the background, is not what the hot ones cost.
async fn until_uses_are_written(server: SocketAddr, interval: u64) -> Outcome {
    // The figure is renewed at each interval.
    for _ in 0..WRITING.as_secs() / interval {
        tokio::time::sleep(Duration::from_secs(interval + 1)).await;
        if Metrics::of(server).await?.value("keywright_uses_waiting") == Some(0.0) {
            return Ok(());
        }
    }
    Err("the uses of the keys in memory are not written in time".into())
}
