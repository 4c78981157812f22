//! Changes over HTTP: how long they take beside the null program, and how many there can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use keywright_api::CreatedKey;
use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::cluster::Cluster;
use keywright_bench::report::{Table, progress};
use keywright_bench::rounds::{Spread, order};
use keywright_bench::wrk::{KeyFile, Load, Measured, PERMISSION};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Sizes;
use crate::null::Null;

/// Keys to verify, and as many others.
pub(crate) struct Keys {
    /// What verifications ask about.
    pub(crate) file: KeyFile,
    /// Of those.
    pub(crate) asked: Arc<[String]>,
    /// Of the others.
    pub(crate) others: Arc<[String]>,
}

/// Makes so many of each, a few at a time.
pub(crate) async fn make(cluster: &Cluster, count: usize) -> Outcome<Keys> {
    const AT_ONCE: usize = 16;
    let client = reqwest::Client::new();
    let mut makers = JoinSet::new();
    for first in 0..AT_ONCE {
        let (client, url) = (client.clone(), cluster.at(0, "/api/api-keys"));
        let service_key = cluster.service_key.clone();
        makers.spawn(async move {
            let mut made = Vec::new();
            for number in (first..2 * count).step_by(AT_ONCE) {
                let body = json!({
                    "name": format!("key {number:08}"),
                    "permissions": [PERMISSION],
                });
                let answer = client
                    .post(&url)
                    .bearer_auth(&service_key)
                    .header("Keywright-User", format!("user-{:07}", number / 10))
                    .header("Content-Type", "application/json")
                    .body(body.to_string())
                    .send()
                    .await?;
                let text = answer.error_for_status()?.bytes().await?;
                made.push(serde_json::from_slice::<CreatedKey>(&text)?);
            }
            Outcome::Ok(made)
        });
    }
    let mut all = Vec::new();
    while let Some(made) = makers.join_next().await {
        all.extend(made??);
    }
    let (asked, others) = all.split_at(count);
    let ids = |keys: &[CreatedKey]| {
        let ids = keys.iter().map(|created| created.api_key.id.to_string());
        ids.collect()
    };
    let file = cluster.folder().join("keys");
    let texts = asked.iter().map(|created| created.plain_text_key.as_str());
    Ok(Keys {
        file: KeyFile::write(file, texts)?,
        asked: ids(asked),
        others: ids(others),
    })
}

/// Somebody who changes keys on one node, one after the other.
#[derive(Clone)]
pub(crate) struct Changer {
    client: reqwest::Client,
    service_key: String,
    url: String,
    ids: Arc<[String]>,
    next: usize,
    stride: usize,
}

impl Changer {
    /// Takes every `stride`th of these keys from `first` on.
    pub(crate) fn on(
        cluster: &Cluster,
        node: usize,
        ids: &Arc<[String]>,
        first: usize,
        stride: usize,
    ) -> Self {
        Self {
            client: reqwest::Client::new(),
            service_key: cluster.service_key.clone(),
            url: cluster.at(node, "/api/api-keys"),
            ids: ids.clone(),
            next: first,
            stride,
        }
    }

    /// Leaves one out.
    pub(crate) fn skip(&mut self) {
        self.next += self.stride;
    }

    /// Gives a key a name that it never had; tells how long that took.
    pub(crate) async fn change(&mut self) -> Outcome<Duration> {
        static NAMES: AtomicUsize = AtomicUsize::new(0);
        let id = &self.ids[self.next % self.ids.len()];
        self.next += self.stride;
        // As long as the names that keys are made with.
        let name = format!("new {:08}", NAMES.fetch_add(1, Ordering::Relaxed));
        let watch = Stopwatch::start();
        let answer = self
            .client
            .patch(format!("{}/{id}", self.url))
            .bearer_auth(&self.service_key)
            .header("Content-Type", "application/json")
            .body(json!({ "name": name }).to_string())
            .send()
            .await?;
        answer.error_for_status()?.bytes().await?;
        Ok(watch.elapsed())
    }
}

/// Verifications on every node while something else is measured: begun, then waited for.
pub(crate) fn beside<T>(
    cluster: &Cluster,
    keys: &Keys,
    sizes: Sizes,
    measured: impl FnOnce() -> Outcome<T>,
) -> Outcome<(T, Vec<Measured>)> {
    const CONNECTIONS: usize = 4;
    let load = Load {
        service_key: cluster.service_key.clone(),
        keys: keys.file.clone(),
        first: 0,
        connections: CONNECTIONS,
        pause_ms: (1_000 * CONNECTIONS as u64 / sizes.verifications.max(1)).max(1),
        seconds: sizes.seconds,
        count_answers: false,
    };
    thread::scope(|scope| {
        let loads: Vec<_> = cluster
            .nodes
            .iter()
            .map(|node| {
                let load = &load;
                scope.spawn(move || load.run(node.address(), cluster.folder()))
            })
            .collect();
        let outcome = measured()?;
        let loads: Outcome<Vec<_>> = loads
            .into_iter()
            .map(|load| load.join().map_err(|_| "a load panicked")?)
            .collect();
        Ok((outcome, loads?))
    })
}

/// Of many durations, in milliseconds: the half and the hundredth that took longer.
fn quantiles(durations: &mut [f64]) -> (f64, f64) {
    durations.sort_by(f64::total_cmp);
    let at = |hundredth: usize| {
        let place = durations.len().saturating_sub(1) * hundredth / 100;
        durations.get(place).copied().unwrap_or(f64::NAN)
    };
    (at(50), at(99))
}

/// Of changes, and of the null program's, in milliseconds.
pub(crate) struct Beside {
    /// p50 and p99 of each.
    ours: (f64, f64),
    null: (f64, f64),
    /// Of the medians, and of the p99, of the rounds.
    p50: Spread,
    p99: Spread,
    count: usize,
}

impl Beside {
    pub(crate) fn tell(&self, table: &mut Table) {
        let pair = |(p50, p99): (f64, f64)| format!("{p50:.2} / {p99:.2}");
        table.row([
            format!("a change, of {}: p50 / p99, ms", self.count),
            pair(self.ours),
        ]);
        table.row([
            "the null program: p50 / p99, ms".to_owned(),
            pair(self.null),
        ]);
        table.row(["ratio of p50, by rounds".to_owned(), self.p50.to_string()]);
        table.row(["ratio of p99, by rounds".to_owned(), self.p99.to_string()]);
    }
}

pub(crate) fn measure(
    runtime: &Runtime,
    cluster: &Cluster,
    keys: &Keys,
    sizes: Sizes,
) -> Outcome<Beside> {
    let mut null = runtime.block_on(Null::start(&cluster.url, cluster.nodes.len()))?;
    let mut changer = Changer::on(cluster, 0, &keys.others, 0, 1);
    let mut all: [Vec<f64>; 2] = Default::default();
    let mut ratios: [Vec<f64>; 2] = Default::default();
    for round in 0..=sizes.rounds {
        progress(format!("round {round} of {}", sizes.rounds));
        let mut quantile = [(0.0, 0.0); 2];
        for which in order(round, 2) {
            let (mut durations, _) = beside(cluster, keys, sizes, || {
                let time = Duration::from_secs(sizes.seconds);
                let watch = Stopwatch::start();
                let mut durations = Vec::new();
                runtime.block_on(async {
                    while watch.elapsed() < time {
                        let took = if which == 0 {
                            changer.change().await?
                        } else {
                            null.change().await?
                        };
                        durations.push(took.as_secs_f64() * 1e3);
                    }
                    Outcome::Ok(())
                })?;
                Ok(durations)
            })?;
            quantile[which] = quantiles(&mut durations);
            // The first one fills memories.
            if round > 0 {
                all[which].append(&mut durations);
            }
        }
        if round > 0 {
            ratios[0].push(quantile[0].0 / quantile[1].0);
            ratios[1].push(quantile[0].1 / quantile[1].1);
        }
    }
    let [p50, p99] = ratios.map(Spread::of);
    Ok(Beside {
        count: all[0].len(),
        ours: quantiles(&mut all[0]),
        null: quantiles(&mut all[1]),
        p50,
        p99,
    })
}

/// How many changes a second there were.
pub(crate) struct Most {
    clients: usize,
    rate: f64,
    p50: f64,
}

impl Most {
    pub(crate) fn tell(&self, table: &mut Table) {
        table.row([
            format!(
                "changes per second by {} clients, no verifications; p50 of each, ms",
                self.clients
            ),
            format!("{:.0}; {:.1}", self.rate, self.p50),
        ]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) async fn as_many_as_there_can_be(
    cluster: &Cluster,
    keys: &Keys,
    sizes: Sizes,
) -> Outcome<Most> {
    let time = Duration::from_secs(sizes.seconds * 2);
    let done = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    let watch = Stopwatch::start();
    for number in 0..sizes.clients {
        let node = number % cluster.nodes.len();
        let mut changer = Changer::on(cluster, node, &keys.others, number, sizes.clients);
        let done = done.clone();
        clients.spawn(async move {
            let mut durations = Vec::new();
            while watch.elapsed() < time {
                durations.push(changer.change().await?.as_secs_f64() * 1e3);
                done.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Ok(durations)
        });
    }
    let mut durations = Vec::new();
    while let Some(client) = clients.join_next().await {
        durations.append(&mut client??);
    }
    let rate = done.load(Ordering::Relaxed) as f64 / watch.elapsed().as_secs_f64();
    Ok(Most {
        clients: sizes.clients,
        rate,
        p50: quantiles(&mut durations).0,
    })
}
