//! What every store promises: one suite, run on each (DESIGN §3).
//!
//! A case is an `async fn` that takes a [`World`]: an empty database of its own, opened. `contract!` makes a test
//! of it for each store, so that `cargo test postgres::` and `cargo test sqlite::` each run all of them.

/// Makes a test of each case for each store.
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case(crate::world::World::on_sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case(crate::world::World::on_postgres().await).await; })*
        }
    };
}

mod ambient;
mod audit;
mod changes;
mod cluster;
mod coherence;
mod console;
mod creations;
mod edits;
mod edits_together;
mod embedded;
mod keys;
mod keyspaces;
mod nodes;
mod opening;
mod pages;
mod search;
mod service_keys;
mod slow_lists;
mod usage;
mod use_of_keys;
mod users;
mod world;
