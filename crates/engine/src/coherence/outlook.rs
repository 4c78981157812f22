//! What a node can say of its lease and of those of the others.

use std::time::Duration;

use keywright_store::cluster::NodeRow;

use super::Membership;
use crate::lease::Lease;

impl Membership {
    /// Shows in the metrics how this node stands, whose lease is this.
    pub fn publish(&self, lease: &Lease) {
        let clock = &*self.shared.clock;
        let without_lease = self.shared.fence().without_lease(clock.uptime());
        metrics::counter!("keywright_fenced_seconds_total").absolute(without_lease.as_secs());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        metrics::gauge!("keywright_applied_seq").set(self.shared.applied() as f64);
        let left = lease.deadline().left(clock).unwrap_or(Duration::MAX);
        metrics::gauge!("keywright_lease_left_seconds").set(left.as_secs_f64());
    }

    /// The most that can be left of another node's lease, by this process's own clock; `None` where this process has
    /// seen none of its renewals yet. `node` was just read.
    ///
    /// It is an upper bound, since clocks of different processes are not compared: what it rests on is when this
    /// process first saw the node's present renewal, which that node had begun before.
    pub fn lease_left_at_most(&self, node: &NodeRow) -> Option<Duration> {
        let terms = self.state().terms?;
        let now = self.shared.clock.uptime();
        self.shared.sightings().left_at_most(node, now, terms)
    }
}
