//! What look-ups may cost that find nothing.
//!
//! A key that is there is looked up once and remembered. Texts that are none can be new each time, and each costs the
//! store as much as a key: whoever has a tag key, or a list of keys that are gone, could keep it busy with them. So
//! each look-up that finds nothing uses up a place, and places come back at a steady rate; who finds none waits in
//! line. Look-ups that find keys use up none, however many they are: there are as many places as may go on at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, counter};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::lane::{EachLane, Lane};
use crate::loads::LoadBounds;

/// No timer is more exact.
const SHORTEST: Duration = Duration::from_millis(1);

/// The places of all lanes.
pub(crate) struct Absences {
    places: EachLane<Arc<Places>>,
    delayed: Counter,
}

impl Absences {
    pub(crate) fn new(bounds: LoadBounds) -> Self {
        Self {
            places: EachLane::of(|lane| {
                Arc::new(Places::new(bounds.of(lane), bounds.absent_interval))
            }),
            delayed: counter!("keywright_cache_delayed_loads_total"),
        }
    }

    /// Waits for a place. It comes back when this is dropped, unless it was used up.
    pub(crate) async fn place(&self, lane: Lane) -> Place<'_> {
        let places = &self.places[lane];
        let permit = if let Ok(permit) = places.free.try_acquire() {
            permit
        } else {
            self.delayed.increment(1);
            let acquired = places.free.acquire().await;
            // infallible: it is never closed
            acquired.expect("places are never closed")
        };
        Place { permit, places }
    }
}

/// A place, for one look-up.
pub(crate) struct Place<'p> {
    permit: SemaphorePermit<'p>,
    places: &'p Arc<Places>,
}

impl Place<'_> {
    /// The look-up found nothing.
    pub(crate) fn use_up(self) {
        self.permit.forget();
        self.places.note_used_up();
    }
}

/// The places of a lane.
struct Places {
    /// Fair: who waits gets them in turn.
    free: Semaphore,
    used_up: Mutex<usize>,
    /// How many come back at once, and after what time.
    amount: usize,
    period: Duration,
}

impl Places {
    fn new(count: usize, interval: Duration) -> Self {
        let amount = SHORTEST.as_nanos() / interval.as_nanos().max(1);
        Self {
            free: Semaphore::new(count),
            used_up: Mutex::new(0),
            amount: usize::try_from(amount).unwrap_or(usize::MAX).max(1),
            period: interval.max(SHORTEST),
        }
    }

    fn note_used_up(self: &Arc<Self>) {
        let mut used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        *used_up += 1;
        if *used_up == 1 {
            let places = self.clone();
            tokio::spawn(async move {
                // Ticks that come late are made up for.
                let mut ticks = tokio::time::interval(places.period);
                ticks.tick().await;
                loop {
                    ticks.tick().await;
                    if places.bring_back() {
                        break;
                    }
                }
            });
        }
    }

    /// Brings some back; tells whether those were all.
    fn bring_back(&self) -> bool {
        let mut used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.amount.min(*used_up);
        *used_up -= count;
        self.free.add_permits(count);
        *used_up == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_at_the_rate_that_was_asked_for() {
        for (interval, amount, period) in [
            (Duration::from_secs(1), 1, Duration::from_secs(1)),
            (SHORTEST, 1, SHORTEST),
            (Duration::from_micros(20), 50, SHORTEST),
            (Duration::ZERO, 1_000_000, SHORTEST),
        ] {
            let places = Places::new(1, interval);
            assert_eq!((places.amount, places.period), (amount, period));
        }
    }
}
