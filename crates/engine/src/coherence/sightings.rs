//! Which nodes have gone: those whose renewals nobody saw move for longer than a lease may be used.

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
    fn a_node_that_is_not_there_any_more_is_forgotten() {
        let mut sightings = Sightings::default();
        sightings.note(&[node(1, 5), node(2, 1)], Duration::from_secs(100));
        sightings.note(&[node(2, 1)], Duration::from_secs(101));
        assert_eq!(gone(&sightings, 200), [(2, 1)]);
        sightings.clear();
        assert_eq!(gone(&sightings, 200), []);
    }
}
