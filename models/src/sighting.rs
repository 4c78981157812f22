//! How nodes that have gone are deleted.

use crate::bounds::MOST_NODES;
use crate::clock::{Since, Terms};
use crate::cluster::{Cluster, State};

/// What a process saw of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sighting {
    renewal: u8,
    /// When it was first read.
    since: Since,
}

/// What a process saw of all nodes, by their ids.
pub type Sightings = [Option<Sighting>; MOST_NODES];

impl Sighting {
    pub(crate) fn measures(self, terms: Terms) -> bool {
        !self.since.is_at_least(terms.outwaited())
    }

    pub(crate) fn pass(&mut self, ticks: u8, terms: Terms) {
        self.since.pass(ticks, terms.outwaited());
    }
}

/// What a process does about nodes that have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reads `nodes`.
    See,
    /// Deletes this node. What was seen of it stays until `nodes` is read again.
    Delete(usize),
}

impl Cluster {
    pub(crate) fn sighting_steps(
        &self,
        state: &State,
        process: usize,
        mut offer: impl FnMut(Step),
    ) {
        let here = &state.processes[process];
        if !self.bounds.processes[process].deletes || !state.database.is_up() {
            return;
        }
        if see(state, process) != here.sightings {
            offer(Step::See);
        }
        for (id, row) in state.database.rows().iter().enumerate() {
            let renewal = row.map(|row| row.renewal);
            if renewal.is_some() && renewal == self.renewal_when_gone(state, process, id) {
                offer(Step::Delete(id));
            }
        }
    }

    /// The renewal with which a process takes a node for gone.
    fn renewal_when_gone(&self, state: &State, process: usize, id: usize) -> Option<u8> {
        let here = &state.processes[process];
        let terms = self.terms();
        if self.rules.deletion_counts_from_reading {
            let sighting = here.sightings[id]?;
            return (!sighting.measures(terms)).then_some(sighting.renewal);
        }
        let waiter = here
            .waiter
            .as_ref()
            .filter(|waiter| waiter.is_outwaited(terms))?;
        let row = state.database.rows()[id].filter(|row| row.applied < waiter.change.seq)?;
        Some(row.renewal)
    }

    pub(crate) fn sight(&self, state: &mut State, process: usize, step: Step) {
        match step {
            Step::See => state.processes[process].sightings = see(state, process),
            Step::Delete(id) => {
                if let Some(renewal) = self.renewal_when_gone(state, process, id) {
                    state.database.delete(id, renewal);
                }
            }
        }
    }
}

/// What a process knows after it read `nodes`.
fn see(state: &State, process: usize) -> Sightings {
    let here = &state.processes[process];
    std::array::from_fn(|id| {
        let row = state.database.rows()[id]?;
        let unmoved = here.sightings[id].filter(|before| before.renewal >= row.renewal);
        Some(unmoved.unwrap_or(Sighting {
            renewal: row.renewal,
            since: Since::NOW,
        }))
    })
}
