//! Fills a database with keys, as fast as it goes: the rows of a [`Population`] with their owners, in the tables and
//! with the indexes that the store made. (No audit entries: there would be one for each key, and nothing that is
//! measured here reads them.)

mod postgres;
mod sqlite;

use std::thread;

use keywright_core::key::KeyRecord;
use tokio::sync::mpsc;

use crate::Outcome;
use crate::database::Database;
use crate::population::Population;
use crate::report::progress;

/// How many rows are handed over at once.
const CHUNK: u64 = 5_000;

/// Fills `database`, which the store has opened once and closed, with the keys below `count`.
pub async fn load(database: &Database, population: &Population, count: u64) -> Outcome {
    let rows = mint(population.clone(), count);
    match database.url() {
        None => sqlite::load(database.bare_sqlite(), rows).await,
        Some(url) => postgres::load(url, rows).await,
    }
}

/// Makes the keys, on a thread of its own, while others are written.
fn mint(population: Population, count: u64) -> mpsc::Receiver<Outcome<Vec<KeyRecord>>> {
    let (chunks, received) = mpsc::channel(4);
    thread::spawn(move || {
        for first in (0..count).step_by(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
            let records = (first..count.min(first + CHUNK)).map(|n| population.record(n));
            // Nobody receives any more where writing has failed.
            if chunks.blocking_send(records.collect()).is_err() {
                return;
            }
            if first > 0 && first.is_multiple_of(1_000_000) {
                progress(format!("{first} keys made"));
            }
        }
    });
    received
}

/// The owners of keys that stand in the order of their numbers: each once, with when they were first seen and how many
/// keys they have.
fn owners(records: &[KeyRecord]) -> Vec<(&str, i64, i64)> {
    let same = |one: &KeyRecord, other: &KeyRecord| one.key.user_id == other.key.user_id;
    records
        .chunk_by(same)
        .map(|own| {
            let first = &own[0].key;
            let keys = i64::try_from(own.len()).unwrap_or(i64::MAX);
            (first.user_id.as_str(), first.created_at.as_micros(), keys)
        })
        .collect()
}
