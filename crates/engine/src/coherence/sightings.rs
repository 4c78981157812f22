//! Which nodes have gone: those whose renewals nobody saw move for longer than a lease may be used.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use keywright_store::cluster::{LeaseTerms, NodeId, NodeRow};

/// When this process first saw each node at its present renewal.
#[derive(Default)]
pub(super) struct Sightings(HashMap<NodeId, Sighting>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sighting {
    renewal: u64,
    since: Duration,
}

impl Sightings {
    /// Notes what was read of all nodes; `read_at` is a time, by this process's own clock, after the reading ended.
    pub(super) fn note(&mut self, nodes: &[NodeRow], read_at: Duration) {
        self.0
            .retain(|id, _| nodes.iter().any(|node| node.card.id == *id));
        for node in nodes {
            let sighting = self.0.entry(node.card.id).or_insert(Sighting {
                renewal: node.renewal,
                since: read_at,
            });
            // Two tasks read, and the older reading may be noted later.
            if node.renewal > sighting.renewal {
                *sighting = Sighting {
                    renewal: node.renewal,
                    since: read_at,
                };
            }
        }
    }

    /// Forgets what was seen: what a database says after it broke off may be older than what it said before.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The most that can be left of this node's lease; `None` where it was not seen before, or at a later renewal. It
    /// used its lease from before its renewal could be read, and its clock is a margin apart at most at the end.
    pub(super) fn left_at_most(
        &self,
        node: &NodeRow,
        now: Duration,
        terms: LeaseTerms,
    ) -> Option<Duration> {
        let seen = self.0.get(&node.card.id)?;
        match node.renewal.cmp(&seen.renewal) {
            Ordering::Less => None,
            Ordering::Equal => Some((seen.since + terms.lease).saturating_sub(now)),
            // It was renewed since this process looked last.
            Ordering::Greater => Some(terms.lease),
        }
    }

    /// The nodes whose leases have run out, with the renewals that they had. A lease was asked for before its renewal
    /// could be read, so it is used no more once it is outwaited from then on.
    pub(super) fn gone(&self, now: Duration, terms: LeaseTerms) -> Vec<(NodeId, u64)> {
        self.0
            .iter()
            .filter(|(_, sighting)| now.saturating_sub(sighting.since) >= terms.outwaited())
            .map(|(id, sighting)| (*id, sighting.renewal))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::timestamp::Timestamp;
    use keywright_store::cluster::{NodeCard, NodeFigures};
    use uuid::Uuid;

    use super::*;

    const TERMS: LeaseTerms = LeaseTerms {
        lease: Duration::from_secs(10),
        margin: Duration::from_secs(1),
    };

    fn node(id: u128, renewal: u64) -> NodeRow {
        NodeRow {
            card: NodeCard {
                id: NodeId(Uuid::from_u128(id)),
                name: String::new(),
                version: String::new(),
                address: String::new(),
                since: Timestamp::from_micros(0),
            },
            renewal,
            applied_seq: 0,
            figures: NodeFigures::default(),
        }
    }

    fn gone(sightings: &Sightings, at: u64) -> Vec<(u128, u64)> {
        let gone = sightings.gone(Duration::from_secs(at), TERMS);
        gone.into_iter()
            .map(|(id, renewal)| (id.0.as_u128(), renewal))
            .collect()
    }

    #[test]
    fn a_node_is_gone_a_lease_and_a_margin_after_its_renewal_was_first_seen() {
        let mut sightings = Sightings::default();
        sightings.note(&[node(1, 5)], Duration::from_secs(100));
        sightings.note(&[node(1, 5)], Duration::from_secs(105));
        assert_eq!(gone(&sightings, 110), []);
        assert_eq!(gone(&sightings, 111), [(1, 5)]);
    }

    #[test]
    fn a_renewal_that_moved_begins_anew_and_an_older_reading_changes_nothing() {
        let mut sightings = Sightings::default();
        sightings.note(&[node(1, 5)], Duration::from_secs(100));
        sightings.note(&[node(1, 6)], Duration::from_secs(105));
        sightings.note(&[node(1, 5)], Duration::from_secs(106));
        assert_eq!(gone(&sightings, 115), []);
        assert_eq!(gone(&sightings, 116), [(1, 6)]);
    }

    #[test]
    fn what_can_be_left_of_a_lease_is_reckoned_from_when_its_renewal_was_first_seen() {
        let mut sightings = Sightings::default();
        let left = |sightings: &Sightings, renewal, at| {
            let left = sightings.left_at_most(&node(1, renewal), Duration::from_secs(at), TERMS);
            left.map(|left| left.as_secs())
        };
        assert_eq!(left(&sightings, 5, 100), None, "never seen");
        sightings.note(&[node(1, 5)], Duration::from_secs(100));
        sightings.note(&[node(1, 5)], Duration::from_secs(105));
        assert_eq!(left(&sightings, 5, 104), Some(6));
        assert_eq!(left(&sightings, 5, 111), Some(0));
        assert_eq!(left(&sightings, 6, 111), Some(10), "renewed meanwhile");
        assert_eq!(left(&sightings, 4, 104), None, "of another history");
    }

    #[test]
    fn a_node_that_is_not_there_any_more_is_forgotten() {
        let mut sightings = Sightings::default();
        sightings.note(&[node(1, 5), node(2, 1)], Duration::from_secs(100));
        sightings.note(&[node(2, 1)], Duration::from_secs(101));
        assert_eq!(gone(&sightings, 200), [(2, 1)]);
        sightings.clear();
        assert_eq!(gone(&sightings, 200), []);
    }
}
