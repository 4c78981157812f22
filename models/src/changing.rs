//! How the key is changed, and when that is answered.

use crate::clock::{Since, Terms};
use crate::cluster::{Cluster, State};
use crate::database::Change;
use crate::process::About;

/// A change that has not answered yet, or somebody who asked for one that holds already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Waiter {
    /// The change; where it holds already, the newest of all.
    pub change: Change,
    /// How the process that waits learns of it.
    pub here: Here,
    /// t1, once it was taken.
    pub t1: Option<Since>,
}

/// How the process that waits for a change learns of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Here {
    /// It made it, and has yet to drop the key from its memory.
    ToBeApplied,
    /// It dropped it, or has no memory.
    Applied,
    /// As everybody does: through the log. Another may have made it.
    ThroughTheLog,
}

impl Waiter {
    pub(crate) fn measures(&self, terms: Terms) -> bool {
        self.t1.is_some() && !self.is_outwaited(terms)
    }

    pub(crate) fn is_outwaited(&self, terms: Terms) -> bool {
        self.t1.is_some_and(|t1| t1.is_at_least(terms.outwaited()))
    }

    pub(crate) fn pass(&mut self, ticks: u8, terms: Terms) {
        if let Some(t1) = &mut self.t1 {
            t1.pass(ticks, terms.outwaited());
        }
    }
}

/// What a change does. A process that crashes in between never goes on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Commits it.
    Commit,
    /// Drops what the change is about from this process's own memory.
    ApplyHere(About),
    /// Finds that what is asked for holds.
    Repeat,
    /// Takes t1.
    TakeT1,
    /// Reads `nodes`, and answers: every node knows of it.
    AnswerKnown,
    /// Answers: there is no lease left under which a node may not know of it.
    AnswerOutwaited,
}

impl State {
    /// Whether every node, in a reading of `nodes` that begins now, knows of what a process waits for.
    pub(crate) fn is_known(&self, process: usize) -> bool {
        let here = &self.processes[process];
        let Some(waiter) = &here.waiter else {
            return false;
        };
        let seq = waiter.change.seq;
        let is_known_here = match waiter.here {
            Here::ToBeApplied => false,
            Here::Applied => true,
            Here::ThroughTheLog => here.applied >= seq,
        };
        let rows = self.database.rows().iter().enumerate();
        let mut others = rows
            .filter(|(id, _)| *id != here.id)
            .filter_map(|(_, row)| *row);
        is_known_here && others.all(|row| row.applied >= seq)
    }
}

impl Cluster {
    pub(crate) fn changing_steps(
        &self,
        state: &State,
        process: usize,
        mut offer: impl FnMut(Step),
    ) {
        let role = self.bounds.processes[process];
        let is_up = state.database.is_up();
        let newest = state.database.newest();
        match &state.processes[process].waiter {
            None => {
                if role.changes && is_up && newest.seq < self.bounds.changes {
                    offer(Step::Commit);
                }
                // Where everything has answered, it would promise nothing.
                if role.repeats && is_up && state.promise.to_whoever_starts() < newest {
                    offer(Step::Repeat);
                }
            }
            Some(Waiter {
                here: Here::ToBeApplied,
                change,
                ..
            }) => {
                offer(Step::ApplyHere(About::TheKey));
                // The database has lost it: nothing was promised of it, and it may have been about anything.
                if !state.database.has(*change) {
                    offer(Step::ApplyHere(About::Another));
                }
            }
            Some(Waiter { t1: None, .. }) => offer(Step::TakeT1),
            Some(waiter) => {
                if is_up && state.is_known(process) {
                    offer(Step::AnswerKnown);
                }
                if waiter.is_outwaited(self.terms()) {
                    offer(Step::AnswerOutwaited);
                }
            }
        }
    }

    pub(crate) fn change(&self, state: &mut State, process: usize, step: Step) {
        let decides = self.bounds.processes[process].decides;
        let here = &mut state.processes[process];
        match (step, &mut here.waiter) {
            (Step::Commit, waiter) => {
                *waiter = Some(Waiter {
                    change: state.database.change(),
                    here: if decides {
                        Here::ToBeApplied
                    } else {
                        Here::Applied
                    },
                    t1: None,
                });
            }
            (Step::Repeat, waiter) => {
                let change = state.database.newest();
                if self.rules.repeats_wait {
                    let here = if decides {
                        Here::ThroughTheLog
                    } else {
                        Here::Applied
                    };
                    *waiter = Some(Waiter {
                        change,
                        here,
                        t1: None,
                    });
                } else {
                    state.promise.answer(change, &state.database);
                }
            }
            (Step::ApplyHere(about), Some(waiter)) => {
                waiter.here = Here::Applied;
                let change = waiter.change;
                here.apply_own(change, about);
            }
            (Step::TakeT1, Some(waiter)) => waiter.t1 = Some(Since::NOW),
            (Step::AnswerKnown | Step::AnswerOutwaited, waiter) => {
                if let Some(waiter) = waiter.take() {
                    state.promise.answer(waiter.change, &state.database);
                }
            }
            (Step::ApplyHere(_) | Step::TakeT1, None) => {}
        }
    }
}
