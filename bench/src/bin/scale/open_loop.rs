//! A thousand cold verifications per second, begun whatever became of those before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::Database;
use keywright_bench::population::shuffled;
use keywright_bench::report::Table;
use keywright_engine::VerifyError;
use tokio::runtime::Runtime;

use crate::verifying::Verifying;

const PER_SECOND: u64 = 1_000;

/// Of many durations, in milliseconds.
pub(crate) struct Latencies {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    max: f64,
    /// How many were turned away: as many keys were being looked up as may be at once.
    turned_away: usize,
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
            turned_away: 0,
        }
    }

    pub(crate) fn tell(&self, table: &mut Table) {
        table.row([
            "cold, 1,000 per second: p50 / p99 / longest, ms".to_owned(),
            format!("{:.2} / {:.2} / {:.1}", self.p50, self.p99, self.max),
        ]);
        table.row([
            "of them turned away".to_owned(),
            self.turned_away.to_string(),
        ]);
    }
}

pub(crate) fn measure(
    runtime: &Runtime,
    database: &Database,
    keys: u64,
    seconds: u64,
) -> Outcome<Latencies> {
    let verifying = runtime.block_on(Verifying::on(database, keys))?;
    let asked = (seconds * PER_SECOND).min(keys / 2);
    let texts = (0..asked)
        .map(|place| {
            // Not those of the rounds before, as long as there are others.
            let number = shuffled(keys - 1 - place, keys);
            verifying.population.text(number)
        })
        .collect::<Outcome<Vec<_>>>()?;
    // Connections are open and the keyspaces read, as they are in a server that runs.
    let first = verifying.population.text(shuffled(0, keys))?;
    runtime.block_on(verifying.verify(first.expose()))?;

    let latencies = Arc::new(Mutex::new(Vec::with_capacity(texts.len())));
    let failed = Arc::new(Mutex::new(None));
    let turned_away = Arc::new(AtomicUsize::new(0));
    let watch = Stopwatch::start();
    let mut tasks = Vec::with_capacity(texts.len());
    for (number, text) in texts.into_iter().enumerate() {
        let intended = Duration::from_micros(u64::try_from(number)? * 1_000_000 / PER_SECOND);
        // A thread of its own: the timers of the runtime go by whole milliseconds.
        thread::sleep(intended.saturating_sub(watch.elapsed()));
        let (verifying, latencies, failed) = (verifying.clone(), latencies.clone(), failed.clone());
        let turned_away = turned_away.clone();
        tasks.push(runtime.spawn(async move {
            match verifying.verify(text.expose()).await {
                Ok(()) => {
                    let taken = watch.elapsed().saturating_sub(intended);
                    let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
                    latencies.push(taken.as_secs_f64() * 1_000.0);
                }
                Err(error) if error.downcast_ref() == Some(&VerifyError::Busy) => {
                    turned_away.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        }));
    }
    runtime.block_on(async {
        for task in tasks {
            task.await?;
        }
        verifying.store.close().await;
        Outcome::Ok(())
    })?;
    if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let measured = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Latencies {
        turned_away: turned_away.load(Ordering::Relaxed),
        ..Latencies::of(measured)
    })
}
