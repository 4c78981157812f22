//! The verifier over real stores that can be held, made to fail and counted (CONTRACT §4.2 and §5).
//!
//! A case is an `async fn` that takes a [`World`]: an empty database of its own with a verifier in front of it.
//! `on_both_stores!` makes a test of it for each store.

/// Makes a test of each case for each store.
macro_rules! on_both_stores {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case($crate::world::World::on_sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case($crate::world::World::on_postgres().await).await; })*
        }
    };
}

mod ambient;
mod changes;
mod figures;
mod keyspaces;
mod leases;
mod loads;
mod memory;
mod nodes;
mod pausable;
mod uses;
mod world;
