//! Asking a server about many keys, a batch at a time, so that it has them in memory.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keywright_bench::Outcome;
use keywright_bench::population::{Population, shuffled};
use keywright_bench::process::Keywright;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Keys in one request, and requests at once: little, so that what the requests themselves take does not show.
pub(crate) const BATCH: u64 = 250;
const AT_ONCE: usize = 4;

/// Asks about a population's keys, which must all be good.
#[derive(Clone)]
pub(crate) struct Asker {
    client: Client,
    url: String,
    service_key: String,
    population: Population,
    /// How many there are.
    keys: u64,
}

impl Asker {
    pub(crate) fn new(server: &Keywright, population: Population, keys: u64) -> Self {
        Self {
            client: Client::new(),
            url: format!("http://{}/api/verify/batch", server.server().address()),
            service_key: server.service_key().to_owned(),
            population,
            keys,
        }
    }

    /// Asks about each key at these places of an order that looks like none, a few batches at once.
    pub(crate) async fn ask_for_all(&self, places: Range<u64>) -> Outcome {
        let next = Arc::new(AtomicU64::new(places.start));
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (asker, next, end) = (self.clone(), next.clone(), places.end);
            tasks.spawn(async move {
                loop {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= end {
                        return Outcome::Ok(());
                    }
                    asker.ask(first..end.min(first + BATCH)).await?;
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    }

    /// Asks about the keys at these places in one request.
    pub(crate) async fn ask(&self, places: Range<u64>) -> Outcome {
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
