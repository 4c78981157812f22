//! The real clock and the real generator, for programs that measure.

use std::time::{Duration, Instant};

use keywright_core::ambient::{Clock, Entropy, EntropyError};
use keywright_core::timestamp::Timestamp;
use rustix::time::ClockId;

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark runs by the real clock"
    )]
    fn now(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(ClockId::Realtime);
        Timestamp::from_micros(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark runs by the real clock"
    )]
    fn uptime(&self) -> Duration {
        let now = rustix::time::clock_gettime(ClockId::Boottime);
        // Neither is ever negative for this clock.
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "keys as the server makes them")]
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(buffer).map_err(|_| EntropyError)
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[expect(clippy::disallowed_methods, reason = "measuring is what it is for")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[expect(clippy::disallowed_methods, reason = "measuring is what it is for")]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
