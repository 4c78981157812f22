//! The clock and the generator of the tests in this folder.

use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy, EntropyError};
use keywright_core::timestamp::Timestamp;

/// A clock that stands, and a generator that always gives the same.
pub(crate) struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1)
    }
    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for Standing {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(7);
        Ok(())
    }
}
