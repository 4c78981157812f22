//! What a program takes from its surroundings, passed in so that every test can choose it.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// The time, as one process sees it.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It may jump either way; expiry is compared with it (CONTRACT §5).
    fn now(&self) -> Timestamp;

    /// Time since some moment before this process started, on a clock that never goes back and that goes on
    /// while the machine sleeps (`CLOCK_BOOTTIME`). Never compared with another process's.
    fn uptime(&self) -> Duration;
}

/// The operating system's generator of secrets.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `buffer` with unpredictable bytes.
    ///
    /// # Errors
    /// [`EntropyError`] where the operating system gives none; nothing may be minted then.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;
}

/// The operating system's generator gave no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator gave no bytes")]
pub struct EntropyError;
