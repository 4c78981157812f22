//! The first verification of each key, beside the bare look-up of its row.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::Database;
use keywright_bench::population::{Population, shuffled};
use keywright_bench::report::Table;
use keywright_bench::rounds::{Spread, median, order};
use keywright_core::key_text::KeyText;
use tokio::task::JoinSet;

use crate::bare::Bare;
use crate::verifying::Verifying;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) keys: u64,
    /// Verifications in a round.
    pub(crate) round: u64,
    pub(crate) rounds: usize,
    /// Verifications at once.
    pub(crate) concurrency: usize,
}

/// Per second, round by round.
pub(crate) struct Cold {
    verified: Vec<f64>,
    looked_up: Vec<f64>,
    /// Of the verifier, in milliseconds.
    latencies: Vec<f64>,
}

impl Cold {
    pub(crate) fn tell(&self, table: &mut Table) {
        let row = |figures: &[f64]| format!("{:.0}", Spread::of(figures.iter().copied()));
        table.row([
            "cold verifications per second".to_owned(),
            row(&self.verified),
        ]);
        table.row(["bare look-ups per second".to_owned(), row(&self.looked_up)]);
        let ratios = self.verified.iter().zip(&self.looked_up);
        let ratio = median(ratios.map(|(verified, bare)| verified / bare));
        table.row(["ratio".to_owned(), format!("{ratio:.2}")]);
        let spread = crate::open_loop::Latencies::of(self.latencies.clone());
        table.row([
            "their p50 / p99 at that rate, ms".to_owned(),
            format!("{:.2} / {:.2}", spread.p50, spread.p99),
        ]);
    }
}

pub(crate) async fn measure(database: &Database, sizes: Sizes) -> Outcome<Cold> {
    let verifying = Verifying::on(database, sizes.keys).await?;
    let bare = Bare::on(database).await?;
    let mut cold = Cold {
        verified: Vec::new(),
        looked_up: Vec::new(),
        latencies: Vec::new(),
    };
    // Each has opened its connections and prepared its statements.
    for warm_up in [true, false] {
        let rounds = if warm_up { 1 } else { sizes.rounds };
        for round in 0..rounds {
            let number = u64::try_from(round)? + u64::from(!warm_up);
            let texts = texts(&verifying.population, sizes, number)?;
            for which in order(round, 2) {
                let (rate, latencies) = if which == 0 {
                    let verifying = verifying.clone();
                    let verify = move |text: Arc<KeyText>| {
                        let verifying = verifying.clone();
                        async move { verifying.verify(text.expose()).await }
                    };
                    rate(&texts, sizes.concurrency, verify).await?
                } else {
                    let bare = bare.clone();
                    let look_up = move |text: Arc<KeyText>| {
                        let bare = bare.clone();
                        async move { bare.look_up(&text).await }
                    };
                    rate(&texts, sizes.concurrency, look_up).await?
                };
                match (warm_up, which) {
                    (true, _) => {}
                    (false, 0) => {
                        cold.verified.push(rate);
                        cold.latencies.extend(latencies);
                    }
                    (false, _) => cold.looked_up.push(rate),
                }
            }
        }
    }
    bare.close().await;
    verifying.store.close().await;
    Ok(cold)
}

/// The texts of a round: no round has one of another's, as long as there are enough.
fn texts(population: &Population, sizes: Sizes, round: u64) -> Outcome<Vec<Arc<KeyText>>> {
    let places = round * sizes.round..(round + 1) * sizes.round;
    places
        .map(|place| Ok(Arc::new(population.text(shuffled(place, sizes.keys))?)))
        .collect()
}

/// Does something with each text, so many at once; how many per second, and how long each took in milliseconds.
async fn rate<F: Future<Output = Outcome> + Send>(
    texts: &[Arc<KeyText>],
    concurrency: usize,
    action: impl Fn(Arc<KeyText>) -> F + Clone + Send + Sync + 'static,
) -> Outcome<(f64, Vec<f64>)> {
    let texts: Arc<[Arc<KeyText>]> = texts.into();
    let next = Arc::new(AtomicUsize::new(0));
    let watch = Stopwatch::start();
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        let (texts, next, action) = (texts.clone(), next.clone(), action.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
                let watch = Stopwatch::start();
                action(text.clone()).await?;
                latencies.push(watch.elapsed().as_secs_f64() * 1_000.0);
            }
            Outcome::Ok(latencies)
        });
    }
    let mut latencies = Vec::with_capacity(texts.len());
    while let Some(task) = tasks.join_next().await {
        latencies.extend(task??);
    }
    let done = crate::as_figure(u64::try_from(latencies.len())?);
    Ok((done / watch.elapsed().as_secs_f64(), latencies))
}
