//! Verifications while keys change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::cluster::Cluster;
use keywright_bench::report::Table;
use keywright_bench::rounds::{Spread, median, order};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Sizes;
use crate::changing::{Changer, Keys, beside};

const CHANGES_PER_SECOND: u32 = 200;

/// Verifications' p50 and p99, in microseconds, with and without changes.
pub(crate) struct Verifying {
    quiet: (f64, f64),
    changing: (f64, f64),
    p99: Spread,
    /// Changes that were made a second.
    rate: f64,
}

impl Verifying {
    pub(crate) fn tell(&self, table: &mut Table) {
        let pair = |(p50, p99): (f64, f64)| format!("{p50:.0} / {p99:.0}");
        table.row([
            "a verification, no changes: p50 / p99, µs".to_owned(),
            pair(self.quiet),
        ]);
        table.row([
            format!(
                "a verification, {:.0} changes per second: p50 / p99, µs",
                self.rate
            ),
            pair(self.changing),
        ]);
        table.row(["ratio of p99, by rounds".to_owned(), self.p99.to_string()]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn measure(
    runtime: &Runtime,
    cluster: &Cluster,
    keys: &Keys,
    sizes: Sizes,
) -> Outcome<Verifying> {
    let mut figures: [Vec<(f64, f64)>; 2] = Default::default();
    let mut rates = Vec::new();
    for round in 0..=sizes.rounds {
        let mut p99 = [0.0; 2];
        for with_changes in order(round, 2) {
            let time = Duration::from_secs(sizes.seconds);
            let (made, loads) = beside(cluster, keys, sizes, || {
                let watch = Stopwatch::start();
                let made = runtime.block_on(async {
                    if with_changes == 1 {
                        change_steadily(cluster, keys, time).await
                    } else {
                        tokio::time::sleep(time).await;
                        Ok(0)
                    }
                })?;
                Ok(made as f64 / watch.elapsed().as_secs_f64())
            })?;
            // The first round fills memories.
            if round > 0 {
                let mean = |of: fn(&keywright_bench::wrk::Measured) -> f64| {
                    loads.iter().map(of).sum::<f64>() / loads.len() as f64
                };
                p99[with_changes] = mean(|load| load.p99);
                figures[with_changes].push((mean(|load| load.p50), p99[with_changes]));
                if with_changes == 1 {
                    rates.push(made);
                }
            }
        }
    }
    let medians = |figures: &[(f64, f64)]| {
        (
            median(figures.iter().map(|(p50, _)| *p50)),
            median(figures.iter().map(|(_, p99)| *p99)),
        )
    };
    let [quiet, changing] = &figures;
    Ok(Verifying {
        quiet: medians(quiet),
        changing: medians(changing),
        p99: Spread::of(
            quiet
                .iter()
                .zip(changing)
                .map(|(quiet, changing)| changing.1 / quiet.1),
        ),
        rate: median(rates),
    })
}

/// Begins so many a second, on all nodes in turn, whatever became of those before.
async fn change_steadily(cluster: &Cluster, keys: &Keys, time: Duration) -> Outcome<u64> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / CHANGES_PER_SECOND);
    let nodes = cluster.nodes.len();
    let mut changers: Vec<_> = (0..nodes)
        .map(|node| Changer::on(cluster, node, keys, node, nodes))
        .collect();
    let made = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    let watch = Stopwatch::start();
    for number in 0.. {
        if watch.elapsed() >= time {
            break;
        }
        ticks.tick().await;
        let changer = &mut changers[number % nodes];
        let mut one = changer.clone();
        changer.skip();
        let made = made.clone();
        running.spawn(async move {
            one.change().await?;
            made.fetch_add(1, Ordering::Relaxed);
            Outcome::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(made.load(Ordering::Relaxed))
}
