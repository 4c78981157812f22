//! What memory a cached key takes in the server's own process, beyond what the server takes empty.

use keywright_bench::Outcome;
use keywright_bench::database::Database;
use keywright_bench::metrics::Metrics;
use keywright_bench::report::{Table, grouped};
use tokio::runtime::Runtime;

use crate::asking::{Asker, BATCH};

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
    let population = runtime.block_on(database.population())?;
    let room = cached.to_string();
    let server = database.serve(["--cache-keys", room.as_str()])?;
    let asker = Asker::new(&server, population, keys);
    // Connections, buffers and what a request takes are there before the first figure.
    runtime.block_on(asker.ask(0..BATCH.min(cached)))?;
    let empty = server.server().rss()?;
    runtime.block_on(asker.ask_for_all(0..cached))?;
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
