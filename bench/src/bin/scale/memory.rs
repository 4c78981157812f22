//! What memory a cached key takes in the server's own process, beyond what the server takes empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_bench::Outcome;
use keywright_bench::database::Database;
use keywright_bench::metrics::Metrics;
use keywright_bench::population::{Population, shuffled};
use keywright_bench::report::{Table, grouped};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Keys in one request, and requests at once: little, so that what the requests themselves take does not show.
const BATCH: u64 = 250;
const AT_ONCE: usize = 4;

/// Resident set sizes, in bytes.
pub(crate) struct Memory {
    empty: u64,
    full: u64,
    /// Keys that were asked about once each, and how many of them are cached after it.
    asked: u64,
    cached: f64,
}

impl Memory {
    pub(crate) fn tell(&self, table: &mut Table) {
        let mebibytes = |bytes: u64| grouped(crate::as_figure(bytes) / (1024.0 * 1024.0));
        table.row([
            format!("RSS of the server, empty / after {} keys, MiB", self.asked),
            format!("{} / {}", mebibytes(self.empty), mebibytes(self.full)),
        ]);
        let more = crate::as_figure(self.full.saturating_sub(self.empty));
        table.row(["keys cached then".to_owned(), grouped(self.cached)]);
        table.row([
            "RSS per cached key, B".to_owned(),
            format!("{:.0}", more / self.cached),
        ]);
    }
}

pub(crate) fn measure(
    runtime: &Runtime,
    database: &Database,
    keys: u64,
    cached: u64,
) -> Outcome<Memory> {
    let population = runtime.block_on(async {
        let store = database.open().await?;
        let population = Population::of(&*store).await?;
        store.close().await;
        Outcome::Ok(population)
    })?;
    let room = cached.to_string();
    let server = database.serve(["--cache-keys", room.as_str()])?;
    let asker = Asker {
        client: Client::new(),
        url: format!("http://{}/api/verify/batch", server.server().address()),
        service_key: server.service_key().to_owned(),
        population,
        keys,
        cached,
        next: Arc::default(),
    };
    // Connections, buffers and what a request takes are there before the first figure.
    runtime.block_on(asker.ask(0..BATCH.min(cached)))?;
    let empty = server.server().rss()?;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE {
            tasks.spawn(asker.clone().ask_for_all());
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Outcome::Ok(())
    })?;
    let full = server.server().rss()?;
    // Some may have been evicted before all room was taken; a server that does not tell is believed to have them all.
    let metrics = runtime.block_on(Metrics::of(server.server().address()))?;
    let cached_then = metrics
        .value("keywright_cache_keys")
        .unwrap_or(crate::as_figure(cached));
    server.stop()?;
    Ok(Memory {
        empty,
        full,
        asked: cached,
        cached: cached_then,
    })
}

#[derive(Clone)]
struct Asker {
    client: Client,
    url: String,
    service_key: String,
    population: Population,
    keys: u64,
    cached: u64,
    next: Arc<AtomicU64>,
}

impl Asker {
    async fn ask_for_all(self) -> Outcome {
        loop {
            let first = self.next.fetch_add(BATCH, Ordering::Relaxed);
            if first >= self.cached {
                return Ok(());
            }
            self.ask(first..self.cached.min(first + BATCH)).await?;
        }
    }

    async fn ask(&self, places: std::ops::Range<u64>) -> Outcome {
        let requests = places
            .map(|place| {
                let text = self.population.text(shuffled(place, self.keys))?;
                Ok(json!({"key": text.expose()}))
            })
            .collect::<Outcome<Vec<_>>>()?;
        let asked = requests.len();
        let body = json!({ "requests": requests }).to_string();
        let answer = self
            .client
            .post(&self.url)
            .bearer_auth(&self.service_key)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let results = answer["results"].as_array();
        let good = results.map_or(0, |results| {
            results
                .iter()
                .filter(|result| result["code"] == "VALID")
                .count()
        });
        if good == asked {
            Ok(())
        } else {
            Err(format!("of {asked} good keys {good} were: {answer}").into())
        }
    }
}
