//! A cluster of real processes under faults, and who judges what it answers.
//!
//! Several nodes run on one PostgreSQL, each reaching it through a [`proxy`] that can stall, slow or cut it. Keys change
//! and are verified all the time, on every node, while processes are stopped and killed and the database is restarted.
//! For every answer the [`history`] of its key says which states were allowed: those that no change which had answered
//! before the verification began had replaced (CONTRACT §5). Any other is a [`Stale`] one, and ends the trial.
//!
//! For tests and benchmarks only. Times are this process's own, from one clock.

mod changes;
mod client;
mod clock;
mod faults;
mod history;
mod key;
mod node;
mod outcome;
mod proxy;
mod trial;
mod verifications;

pub use faults::Fault;
pub use key::Stale;
pub use outcome::{NodeAnswers, Outcome, SlowChange};
pub use trial::{Length, Settings, run};
