//! Verification and what belongs to it: the verifier, and the write-behind of use.
//!
//! The verifier asks the store for every key, so that every change is seen by the next verification on every node
//! (CONTRACT §5).

pub mod usage;
pub mod verifier;

pub use usage::UseLog;
pub use verifier::{Verified, Verifier};
