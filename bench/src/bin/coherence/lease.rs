//! What a lease costs a verification: processor time beside the same program on SQLite, whose lease has no end.

use std::sync::Arc;

use keywright_bench::Outcome;
use keywright_bench::database::Database;
use keywright_bench::keys;
use keywright_bench::process::{Keywright, scratch};
use keywright_bench::report::{Table, progress};
use keywright_bench::rounds::{Spread, median, order};
use keywright_bench::wrk::{KeyFile, Load};
use keywright_testkit::TemporaryPostgres;
use tokio::runtime::Runtime;

use crate::Sizes;

const CONNECTIONS: usize = 32;

/// Processor time for each request, in microseconds.
pub(crate) struct Cost {
    sqlite: f64,
    postgres: f64,
    ratio: Spread,
}

impl Cost {
    pub(crate) fn tell(&self, table: &mut Table) {
        table.row([
            "a verification on SQLite, CPU µs".to_owned(),
            format!("{:.2}", self.sqlite),
        ]);
        table.row([
            "a verification on a node with a lease, CPU µs".to_owned(),
            format!("{:.2}", self.postgres),
        ]);
        table.row(["ratio, by rounds".to_owned(), format!("{:.3}", self.ratio)]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn measure(
    runtime: &Runtime,
    cluster: &Arc<TemporaryPostgres>,
    sizes: Sizes,
) -> Outcome<Cost> {
    let databases = [Database::sqlite(None)?, Database::postgres_in(cluster)?];
    let folder = scratch()?;
    let mut tried = Vec::new();
    for (number, database) in databases.iter().enumerate() {
        let keywright = database.serve(["--workers", "1"])?;
        let texts = runtime.block_on(keys::create(&keywright, sizes.keys))?;
        let file = folder.path().join(number.to_string());
        let load = Load {
            service_key: keywright.service_key().to_owned(),
            keys: KeyFile::write(file, &texts)?,
            first: 0,
            connections: CONNECTIONS,
            pause_ms: 0,
            seconds: sizes.seconds,
            count_answers: false,
        };
        tried.push((keywright, load));
    }
    let mut costs: [Vec<f64>; 2] = Default::default();
    for round in 0..=sizes.rounds {
        progress(format!("round {round} of {}", sizes.rounds));
        for index in order(round, 2) {
            let (keywright, load): &(Keywright, Load) = &tried[index];
            let server = keywright.server();
            let before = server.cpu_time()?;
            let measured = load.run(server.address(), folder.path())?;
            if measured.refused + measured.failures > 0 {
                return Err(format!("not every answer was VALID: {measured:?}").into());
            }
            let used = server.cpu_time()?.since(before).total();
            // The first round fills memories.
            if round > 0 {
                costs[index].push(used * 1e6 / measured.requests as f64);
            }
        }
    }
    let ratios = costs[0].iter().zip(&costs[1]);
    Ok(Cost {
        ratio: Spread::of(ratios.map(|(sqlite, postgres)| postgres / sqlite)),
        sqlite: median(costs[0].iter().copied()),
        postgres: median(costs[1].iter().copied()),
    })
}
