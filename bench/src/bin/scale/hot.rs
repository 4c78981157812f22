//! The same keys again and again, from memory: where they are all there is, and where there are many others.

use std::sync::Arc;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::Database;
use keywright_bench::population::shuffled;
use keywright_bench::report::Table;
use keywright_bench::rounds::{Spread, median, order};
use keywright_core::key_text::KeyText;
use tokio::task::JoinSet;

use crate::verifying::Verifying;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Hot keys.
    pub(crate) hot: u64,
    /// Keys of the large database that are in memory beside them.
    pub(crate) others: u64,
    /// All keys of the large database.
    pub(crate) keys: u64,
    pub(crate) rounds: usize,
    /// Verifications in a round.
    pub(crate) round: u64,
    /// Over HTTP, how long a round is, in seconds.
    pub(crate) seconds: u64,
    /// How often the servers write what was counted, in seconds.
    pub(crate) usage_interval: u64,
}

/// Nanoseconds per verification, round by round.
pub(crate) struct Hot {
    alone: Vec<f64>,
    among_others: Vec<f64>,
    sizes: Sizes,
}

impl Hot {
    pub(crate) fn tell(&self, table: &mut Table) {
        let row = |figures: &[f64]| format!("{:.0}", Spread::of(figures.iter().copied()));
        table.row([
            format!("hot verification, {} keys in all, ns", self.sizes.hot),
            row(&self.alone),
        ]);
        table.row([
            format!(
                "the same out of {}, {} of them in memory, ns",
                self.sizes.keys, self.sizes.others
            ),
            row(&self.among_others),
        ]);
        let throughputs = self.alone.iter().zip(&self.among_others);
        let ratio = median(throughputs.map(|(alone, among)| alone / among));
        table.row(["ratio of throughputs".to_owned(), format!("{ratio:.2}")]);
    }
}

pub(crate) async fn measure(small: &Database, large: &Database, sizes: Sizes) -> Outcome<Hot> {
    let contestants = [
        Contestant::prepare(small, sizes.hot, sizes.hot, 0).await?,
        Contestant::prepare(large, sizes.keys, sizes.hot, sizes.others).await?,
    ];
    let mut figures = [Vec::new(), Vec::new()];
    for round in 0..sizes.rounds {
        for which in order(round, 2) {
            figures[which].push(contestants[which].nanoseconds(sizes.round)?);
        }
    }
    for contestant in &contestants {
        contestant.verifying.store.close().await;
    }
    let [alone, among_others] = figures;
    Ok(Hot {
        alone,
        among_others,
        sizes,
    })
}

struct Contestant {
    verifying: Verifying,
    texts: Vec<KeyText>,
}

impl Contestant {
    /// With `others` in memory first, and then the hot ones.
    async fn prepare(database: &Database, keys: u64, hot: u64, others: u64) -> Outcome<Self> {
        let verifying = Verifying::on(database, 2 * (hot + others)).await?;
        let texts = |places: std::ops::Range<u64>| -> Outcome<Vec<KeyText>> {
            places
                .map(|place| verifying.population.text(shuffled(place, keys)))
                .collect()
        };
        remember(&verifying, texts(hot..hot + others)?).await?;
        remember(&verifying, texts(0..hot)?).await?;
        Ok(Self {
            texts: texts(0..hot)?,
            verifying,
        })
    }

    /// Of one verification, among so many one after the other.
    fn nanoseconds(&self, count: u64) -> Outcome<f64> {
        let number = u64::try_from(self.texts.len())?;
        let mut good = 0_u64;
        let watch = Stopwatch::start();
        for place in 0..count {
            let text = &self.texts[usize::try_from(shuffled(place, number))?];
            good += u64::from(self.verifying.is_good_from_memory(text.expose()));
        }
        let nanoseconds = watch.elapsed().as_secs_f64() * 1_000_000_000.0;
        // A few may have been evicted by others.
        if good < count / 100 * 99 {
            return Err(format!("of {count} hot keys only {good} were in memory").into());
        }
        Ok(nanoseconds / crate::as_figure(count))
    }
}

/// Verifications at once, to bring keys into memory.
const AT_ONCE: usize = 16;

/// Verifies each once, and so brings it into memory.
async fn remember(verifying: &Verifying, texts: Vec<KeyText>) -> Outcome {
    let texts: Arc<[KeyText]> = texts.into();
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE {
        let (verifying, texts) = (verifying.clone(), texts.clone());
        tasks.spawn(async move {
            for text in texts.iter().skip(first).step_by(AT_ONCE) {
                verifying.verify(text.expose()).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}
