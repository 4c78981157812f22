//! What the metrics show of verification. The names are listed in docs/operations.md.

use std::cell::Cell;
use std::time::Duration;

use keywright_core::ambient::Clock;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::lane::{EachLane, Lane};
use crate::memory::Occupancy;
use crate::tally::Tally;

/// One decision in so many is timed.
const SAMPLED: u32 = 1024;

/// Handles of the metrics, so that counting looks nothing up.
pub(crate) struct Figures {
    /// Made-up texts, refused without a query.
    pub(crate) refused: Counter,
    /// Texts that were known to be no keys.
    pub(crate) known_absent: Counter,
    /// Verifications that memory could not decide.
    pub(crate) misses: Tally,
    /// Verifications that waited for a load that others had begun.
    pub(crate) waits: Counter,
    /// Verifications that were turned away, since too many keys were being looked up.
    pub(crate) turned_away: Counter,
    /// Verifications that asked the store for want of a lease.
    pub(crate) asked: Counter,
    loads: EachLane<Counter>,
    seconds: Histogram,
    keys: Gauge,
    bytes: Gauge,
    absent: Gauge,
    loading: Gauge,
    evictions: Counter,
}

impl Figures {
    pub(crate) fn register() -> Self {
        Self {
            refused: counter!("keywright_verify_refused_total"),
            known_absent: counter!("keywright_cache_absent_hits_total"),
            misses: Tally::shown_as(counter!("keywright_cache_misses_total")),
            waits: counter!("keywright_cache_waits_total"),
            turned_away: counter!("keywright_verify_turned_away_total"),
            asked: counter!("keywright_verify_without_lease_total"),
            loads: EachLane::of(
                |lane| counter!("keywright_cache_loads_total", "lane" => lane.as_str()),
            ),
            seconds: histogram!("keywright_decision_seconds"),
            keys: gauge!("keywright_cache_keys"),
            bytes: gauge!("keywright_cache_bytes"),
            absent: gauge!("keywright_cache_absent"),
            loading: gauge!("keywright_cache_loading"),
            evictions: counter!("keywright_cache_evictions_total"),
        }
    }

    pub(crate) fn begun(&self, lane: Lane) {
        self.loads[lane].increment(1);
    }

    /// Notes how long a decision took that was drawn as a sample.
    pub(crate) fn decided(&self, sample: &Sample, clock: &dyn Clock) {
        let took = clock.uptime().saturating_sub(sample.0);
        self.seconds.record(took.as_secs_f64());
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a double, and these stay below 2^52"
    )]
    pub(crate) fn publish(&self, occupancy: Occupancy, loading: usize) {
        self.keys.set(occupancy.keys as f64);
        self.bytes.set(occupancy.bytes as f64);
        self.absent.set(occupancy.absent as f64);
        self.loading.set(loading as f64);
        self.evictions.absolute(occupancy.evictions);
    }
}

/// When a decision began that is timed.
pub(crate) struct Sample(Duration);

impl Sample {
    /// Begins one, once in [`SAMPLED`] times on each thread.
    pub(crate) fn draw(clock: &dyn Clock) -> Option<Self> {
        thread_local! {
            static COUNT: Cell<u32> = const { Cell::new(0) };
        }
        COUNT.with(|count| {
            let next = count.get().wrapping_add(1);
            count.set(next);
            next.is_multiple_of(SAMPLED).then(|| Self(clock.uptime()))
        })
    }
}
