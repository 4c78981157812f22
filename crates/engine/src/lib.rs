//! Verification and what belongs to it: the verifier with its memory, and the write-behind of use.
//!
//! Memory is kept coherent with the store by leases (DESIGN §5): every change that this process learns of drops what
//! it is about, and a process that might miss a change has no lease and asks the store.

mod absences;
pub mod coherence;
mod decision;
mod figures;
mod history;
mod keyspaces;
pub mod lane;
mod lease;
mod loading;
mod loads;
mod memory;
mod owner;
mod record;
pub mod rules;
mod table;
mod tally;
pub mod usage;
pub mod verifier;

pub use decision::{Decision, Found};
pub use lease::Lease;
pub use loads::LoadBounds;
pub use memory::Occupancy;
pub use record::CachedKey;
pub use usage::UseLog;
pub use verifier::{Verifier, VerifierOptions, VerifyError};
