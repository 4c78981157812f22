//! How a verification is decided.

use crate::clock::Left;
use crate::cluster::{Cluster, State};
use crate::database::Change;
use crate::rules::Look;

/// A verification that may still be decided from memory.
///
/// One that finds no lease asks the primary: it is decided by the newest state whatever happened before, which cannot go
/// wrong. So it is not followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verification {
    /// What it must not be older than. `None` where the database was set back since it began.
    promised: Option<Change>,
    /// How many of its looks it has taken.
    looks: usize,
    /// The deadline that it saw, while that matters.
    deadline: Option<Left>,
    /// What it saw in memory.
    entry: Option<Change>,
    /// Whether it waits for the load.
    is_loading: bool,
}

impl Verification {
    const fn begun(promised: Change) -> Self {
        Self {
            promised: Some(promised),
            looks: 0,
            deadline: None,
            entry: None,
            is_loading: false,
        }
    }

    pub(crate) fn measures(&self) -> bool {
        self.deadline.is_some()
    }

    pub(crate) fn pass(&mut self, ticks: u8) {
        if let Some(deadline) = &mut self.deadline {
            deadline.pass(ticks);
        }
    }

    /// Whether all that is left to it is to find that the deadline that it saw has passed.
    pub(crate) fn asks_the_primary(&self) -> bool {
        self.deadline.is_some_and(|deadline| !deadline.is_ahead())
    }

    pub(crate) fn void(&mut self) {
        self.promised = None;
    }

    /// Whether it found nothing in memory.
    const fn has_missed(&self) -> bool {
        self.looks == 2 && self.entry.is_none()
    }

    /// Whether it waits for the load.
    pub(crate) const fn is_loading(&self) -> bool {
        self.is_loading
    }

    /// What it must not be older than.
    pub(crate) const fn promised(&self) -> Option<Change> {
        self.promised
    }

    /// What it saw in memory.
    pub(crate) const fn entry(&self) -> Option<Change> {
        self.entry
    }
}

/// What a verification does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begins, and takes its first look. (To begin earlier would promise it less.)
    Begin,
    /// Takes the next look; after the last it is decided, or loads the key.
    Look,
}

impl Cluster {
    pub(crate) fn verifying_steps(
        &self,
        state: &State,
        process: usize,
        slot: usize,
        mut offer: impl FnMut(Step),
    ) {
        let here = &state.processes[process];
        match &here.verifications[slot] {
            None => {
                let may_use_memory = match self.rules.verification[0] {
                    Look::AtDeadline => here.deadline.is_ahead(),
                    Look::AtMemory | Look::AtClock => here.entry.is_some(),
                };
                if self.bounds.processes[process].decides && may_use_memory {
                    offer(Step::Begin);
                }
            }
            Some(verification) if !verification.is_loading => offer(Step::Look),
            Some(_) => {}
        }
    }

    pub(crate) fn verify(&self, state: &mut State, process: usize, slot: usize, step: Step) {
        let here = &mut state.processes[process];
        let mut verification = match (step, here.verifications[slot]) {
            (Step::Look, Some(under_way)) => under_way,
            _ => Verification::begun(state.promise.to_whoever_starts()),
        };
        match self.rules.verification[verification.looks] {
            Look::AtDeadline => verification.deadline = Some(here.deadline),
            Look::AtMemory => verification.entry = here.entry,
            // It would have ended if it were not ahead. Whoever loads the key looks again when it is there.
            Look::AtClock if !verification.has_missed() => verification.deadline = None,
            Look::AtClock => {}
        }
        verification.looks += 1;
        here.verifications[slot] = if verification.asks_the_primary() {
            None
        } else if verification.looks < self.rules.verification.len() {
            Some(verification)
        } else if let Some(entry) = verification.entry {
            state
                .promise
                .decide(verification.promised, entry, &state.database);
            None
        } else if self.bounds.events.loads_take_time {
            here.load.join();
            verification.is_loading = true;
            Some(verification)
        } else {
            let newest = state.database.newest();
            if state.database.is_up() && newest.seq >= here.gate {
                here.entry = Some(newest);
            }
            None
        };
    }
}
