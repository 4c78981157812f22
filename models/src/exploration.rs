//! Visiting the states of a configuration.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::cluster::{Cluster, LOST, PROMISE, Step};

/// What was found in all states of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exploration {
    /// How many states there are.
    pub states: usize,
    /// How many steps lead to the one that is furthest from the beginning.
    pub depth: usize,
    /// What happens in them, of [`WITNESSES`](crate::witness::WITNESSES).
    pub witnessed: BTreeSet<&'static str>,
}

impl Cluster {
    /// Visits every state.
    ///
    /// # Errors
    /// How a promise is broken, where one is.
    pub fn explore(self) -> Result<Exploration, Vec<Step>> {
        let checker = self
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let mut discoveries = checker.discoveries();
        match [PROMISE, LOST]
            .iter()
            .find_map(|name| discoveries.remove(name))
        {
            Some(path) => Err(path.into_actions()),
            None => Ok(Exploration {
                states: checker.unique_state_count(),
                depth: checker.max_depth() - 1,
                witnessed: discoveries.into_keys().collect(),
            }),
        }
    }

    /// Visits states from the beginning on until this promise is broken, and says how; `None` where it is not.
    ///
    /// The same at every call. There may be a way that is some steps shorter: the checker keeps the last that it finds
    /// before it stops.
    pub fn counterexample(self, promise: &'static str) -> Option<Vec<Step>> {
        let checker = self
            .checker()
            .finish_when(HasDiscoveries::AllOf([promise].into()))
            .spawn_bfs()
            .join();
        checker
            .discovery(promise)
            .map(stateright::Path::into_actions)
    }
}
