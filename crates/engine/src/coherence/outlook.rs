//! What a node can say of the leases of the others.

use std::time::Duration;

use keywright_store::cluster::NodeRow;

use super::Membership;

impl Membership {
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
