//! How the key gets into memory.

use crate::cluster::{Cluster, State};
use crate::database::Change;

/// The load of the key in a process: one for all verifications that wait for it, whenever they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Load {
    /// There is none.
    None,
    /// It has yet to read.
    Begun,
    /// It has read this: the key, and the seq of that snapshot.
    Read(Change),
}

impl Load {
    /// Somebody waits for it.
    pub fn join(&mut self) {
        if *self == Self::None {
            *self = Self::Begun;
        }
    }

    /// What it read does not count.
    pub fn begin_again(&mut self) {
        if matches!(self, Self::Read(_)) {
            *self = Self::Begun;
        }
    }
}

/// What becomes of memory, apart from changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reads the key.
    Read,
    /// Puts it into memory, and hands it to those who wait; or reads again.
    Fill,
    /// Makes room for another key.
    Evict,
}

impl Cluster {
    pub(crate) fn loading_steps(&self, state: &State, process: usize, mut offer: impl FnMut(Step)) {
        let here = &state.processes[process];
        match here.load {
            Load::Begun if state.database.is_up() => offer(Step::Read),
            Load::Read(_) => offer(Step::Fill),
            Load::Begun | Load::None => {}
        }
        if here.entry.is_some() && self.bounds.events.loads_take_time {
            offer(Step::Evict);
        }
    }

    pub(crate) fn load(&self, state: &mut State, process: usize, step: Step) {
        let here = &mut state.processes[process];
        match (step, here.load) {
            (Step::Evict, _) => here.entry = None,
            (Step::Fill, Load::Read(read))
                if self.rules.fills_are_gated && read.seq < here.gate =>
            {
                here.load = Load::Begun;
            }
            (Step::Fill, Load::Read(read)) => {
                here.load = Load::None;
                here.entry = Some(read);
                for slot in &mut here.verifications {
                    if let Some(waiting) = slot.take_if(|verification| verification.is_loading()) {
                        state
                            .promise
                            .decide(waiting.promised(), read, &state.database);
                    }
                }
            }
            (Step::Read | Step::Fill, _) => here.load = Load::Read(state.database.newest()),
        }
    }
}
