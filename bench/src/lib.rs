//! What the programs that measure Keywright share. `bench/run` lists and runs them; docs/benchmarks.md says what each
//! one measures and holds the tables they print.
//!
//! To add a program: a file in `bin/` that prints a [`report::Report`], and a line in `bench/run`.

pub mod ambient;
pub mod cluster;
pub mod database;
pub mod keys;
pub mod loader;
pub mod metrics;
pub mod nginx;
pub mod options;
pub mod population;
pub mod process;
pub mod report;
pub mod rounds;
pub mod wrk;

/// What a program's parts answer: a benchmark that cannot go on says why and stops.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
