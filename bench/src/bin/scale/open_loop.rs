//! A thousand cold verifications per second, begun whatever became of those before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::Database;
use keywright_bench::population::shuffled;
use keywright_bench::report::Table;
use keywright_bench::rounds::order;
use keywright_core::key_text::KeyText;
use keywright_engine::VerifyError;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::bare::Bare;
use crate::verifying::Verifying;

const PER_SECOND: u64 = 1_000;

/// How many keys are verified beforehand.
const WARM_UP: u64 = 200;

/// How many turns each takes.
const TURNS: usize = 4;

/// Of many durations, in milliseconds.
pub(crate) struct Latencies {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    max: f64,
}

impl Latencies {
    pub(crate) fn of(mut millis: Vec<f64>) -> Self {
        millis.sort_by(f64::total_cmp);
        let at = |thousandth: usize| {
            let place = millis.len().saturating_sub(1) * thousandth / 1_000;
            millis.get(place).copied().unwrap_or(f64::NAN)
        };
        Self {
            p50: at(500),
            p99: at(990),
            max: at(1_000),
        }
    }
}

/// What is begun a thousand times per second.
const NAMES: [&str; 3] = [
    "cold, 1,000 per second",
    "bare look-ups at that rate",
    "tasks that do nothing at that rate",
];

/// What came of it.
pub(crate) struct OpenLoop {
    /// In the order of [`NAMES`].
    latencies: [Latencies; 3],
    /// How many verifications were turned away: as many keys were being looked up as may be at once.
    turned_away: usize,
}

impl OpenLoop {
    pub(crate) fn tell(&self, table: &mut Table) {
        for (name, Latencies { p50, p99, max }) in NAMES.iter().zip(&self.latencies) {
            table.row([
                format!("{name}: p50 / p99 / longest, ms"),
                format!("{p50:.2} / {p99:.2} / {max:.1}"),
            ]);
        }
        table.row([
            "verifications turned away then".to_owned(),
            self.turned_away.to_string(),
        ]);
    }
}

pub(crate) fn measure(
    runtime: &Runtime,
    database: &Database,
    keys: u64,
    seconds: u64,
) -> Outcome<OpenLoop> {
    let verifying = runtime.block_on(Verifying::on(database, keys))?;
    let bare = runtime.block_on(Bare::on(database))?;
    let asked = (seconds * PER_SECOND).min(keys / 2);
    let texts = (0..asked)
        .map(|place| {
            // Not those of the rounds before, as long as there are others.
            let number = shuffled(keys - 1 - place, keys);
            Ok(Arc::new(verifying.population.text(number)?))
        })
        .collect::<Outcome<Vec<_>>>()?;
    // Connections are open and the keyspaces read, as they are in a server that runs.
    runtime.block_on(warm_up(&verifying, keys))?;

    let mut millis = [Vec::new(), Vec::new(), Vec::new()];
    let turned_away = Arc::new(AtomicUsize::new(0));
    for (turn, texts) in texts.chunks(texts.len().div_ceil(TURNS)).enumerate() {
        for which in order(turn, NAMES.len()) {
            millis[which].extend(match which {
                0 => {
                    let (verifying, turned_away) = (verifying.clone(), turned_away.clone());
                    begin(runtime, texts, move |text| {
                        let (verifying, turned_away) = (verifying.clone(), turned_away.clone());
                        async move {
                            match verifying.verify(text.expose()).await {
                                Err(error) if error.downcast_ref() == Some(&VerifyError::Busy) => {
                                    turned_away.fetch_add(1, Ordering::Relaxed);
                                    Ok(())
                                }
                                outcome => outcome,
                            }
                        }
                    })?
                }
                1 => {
                    let bare = bare.clone();
                    begin(runtime, texts, move |text| {
                        let bare = bare.clone();
                        async move { bare.look_up(&text).await }
                    })?
                }
                _ => begin(runtime, texts, |_| async { Ok(()) })?,
            });
        }
    }
    runtime.block_on(async {
        bare.close().await;
        verifying.store.close().await;
    });
    Ok(OpenLoop {
        latencies: millis.map(Latencies::of),
        turned_away: turned_away.load(Ordering::Relaxed),
    })
}

/// Verifies so many keys at once that every connection is needed.
async fn warm_up(verifying: &Verifying, keys: u64) -> Outcome {
    let mut tasks = JoinSet::new();
    for place in 0..(WARM_UP.min(keys / 2)) {
        let text = verifying.population.text(shuffled(place, keys))?;
        let verifying = verifying.clone();
        tasks.spawn(async move { verifying.verify(text.expose()).await });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// Begins something with each text, one every millisecond; how long after it was meant to begin each was done, in
/// milliseconds.
fn begin<F: Future<Output = Outcome> + Send + 'static>(
    runtime: &Runtime,
    texts: &[Arc<KeyText>],
    action: impl Fn(Arc<KeyText>) -> F,
) -> Outcome<Vec<f64>> {
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(texts.len())));
    let watch = Stopwatch::start();
    let mut tasks = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        let intended = Duration::from_micros(u64::try_from(number)? * 1_000_000 / PER_SECOND);
        // A thread of its own: the timers of the runtime go by whole milliseconds.
        thread::sleep(intended.saturating_sub(watch.elapsed()));
        let (done, latencies) = (action(text.clone()), latencies.clone());
        tasks.push(runtime.spawn(async move {
            done.await?;
            let taken = watch.elapsed().saturating_sub(intended);
            held(&latencies).push(taken.as_secs_f64() * 1_000.0);
            Outcome::Ok(())
        }));
    }
    for task in tasks {
        runtime.block_on(task)??;
    }
    Ok(std::mem::take(&mut *held(&latencies)))
}

fn held(latencies: &Mutex<Vec<f64>>) -> MutexGuard<'_, Vec<f64>> {
    latencies.lock().unwrap_or_else(PoisonError::into_inner)
}
