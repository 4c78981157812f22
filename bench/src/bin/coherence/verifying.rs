//! Verifications while keys change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::cluster::Cluster;
use keywright_bench::report::Table;
use keywright_bench::rounds::{Spread, median, order};
use keywright_bench::wrk::Measured;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Sizes;
use crate::changing::{Changer, Keys, beside};

const CHANGES_PER_SECOND: u32 = 200;

/// What goes on beside verifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// Keys change that nobody asks about.
    OtherKeys,
    /// The keys change that are asked about: after each change, each node reads the key again when it is asked.
    TheSameKeys,
}

const ALL: [Beside; 3] = [Beside::Nothing, Beside::OtherKeys, Beside::TheSameKeys];

/// What was measured beside one of them, by rounds.
#[derive(Default)]
struct Figures {
    /// Of verifications, in microseconds.
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Changes that were made a second.
    rates: Vec<f64>,
}

pub(crate) struct Verifying([Figures; 3]);

impl Verifying {
    pub(crate) fn tell(&self, table: &mut Table) {
        let Self(figures) = self;
        for (what, figures) in ALL.iter().zip(figures) {
            let rate = median(figures.rates.iter().copied());
            let what = match what {
                Beside::Nothing => "no changes".to_owned(),
                Beside::OtherKeys => format!("{rate:.0} changes per second of other keys"),
                Beside::TheSameKeys => format!("{rate:.0} changes per second of the same keys"),
            };
            let [p50, p99] = [&figures.p50, &figures.p99].map(|all| median(all.iter().copied()));
            table.row([
                format!("a verification, {what}: p50 / p99, µs"),
                format!("{p50:.0} / {p99:.0}"),
            ]);
        }
        let [nothing, other, same] = figures;
        for (what, figures) in [("other", other), ("the same", same)] {
            let ratios = figures.p99.iter().zip(&nothing.p99);
            table.row([
                format!("ratio of p99 beside changes of {what} keys, by rounds"),
                Spread::of(ratios.map(|(changing, nothing)| changing / nothing)).to_string(),
            ]);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn measure(
    runtime: &Runtime,
    cluster: &Cluster,
    keys: &Keys,
    sizes: Sizes,
) -> Outcome<Verifying> {
    let mut all: [Figures; 3] = Default::default();
    for round in 0..=sizes.rounds {
        for which in order(round, ALL.len()) {
            let time = Duration::from_secs(sizes.seconds);
            let (rate, loads) = beside(cluster, keys, sizes, || {
                let watch = Stopwatch::start();
                let made = runtime.block_on(async {
                    match ALL[which] {
                        Beside::Nothing => {
                            tokio::time::sleep(time).await;
                            Ok(0)
                        }
                        Beside::OtherKeys => change_steadily(cluster, &keys.others, time).await,
                        Beside::TheSameKeys => change_steadily(cluster, &keys.asked, time).await,
                    }
                })?;
                Ok(made as f64 / watch.elapsed().as_secs_f64())
            })?;
            // The first round fills memories.
            if round > 0 {
                let mean = |of: fn(&Measured) -> f64| {
                    loads.iter().map(of).sum::<f64>() / loads.len() as f64
                };
                all[which].p50.push(mean(|load| load.p50));
                all[which].p99.push(mean(|load| load.p99));
                all[which].rates.push(rate);
            }
        }
    }
    Ok(Verifying(all))
}

/// Begins so many a second, on all nodes in turn, whatever became of those before.
async fn change_steadily(cluster: &Cluster, ids: &Arc<[String]>, time: Duration) -> Outcome<u64> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / CHANGES_PER_SECOND);
    let nodes = cluster.nodes.len();
    let mut changers: Vec<_> = (0..nodes)
        .map(|node| Changer::on(cluster, node, ids, node, nodes))
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
