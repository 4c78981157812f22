//! The model: what a configuration can be like, and what can happen next.

use stateright::{Model, Property};

use crate::bounds::{Bounds, MOST_NODES, MOST_PROCESSES};
use crate::clock::{MARGIN, Pace, Terms};
use crate::database::{Database, FIRST_RENEWAL, Row, Statement};
use crate::process::Process;
use crate::promise::Promise;
use crate::rules::Rules;
use crate::verifying::Verification;
use crate::witness::WITNESSES;
use crate::{changing, following, loading, sighting, verifying};

/// I2: no verification is decided by what was before a change that had answered when it began.
pub const PROMISE: &str = "the promise is kept";

/// No verification is decided by what the database had lost, being set back, before it began.
pub const LOST: &str = "what was lost is not used";

/// A configuration, under rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The rules.
    pub rules: Rules,
    /// The configuration.
    pub bounds: Bounds,
}

/// The whole world, at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The database.
    pub database: Database,
    /// The processes.
    pub processes: Vec<Process>,
    /// What was promised.
    pub promise: Promise,
    /// What a node asked for before it gave up, if it was not done yet.
    pub late: Option<Statement>,
    /// Whether a node may still crash.
    pub can_crash: bool,
}

/// What happens next: somebody does something, or time passes.
///
/// Nobody has to do anything. Who does nothing while time passes is slow, or stopped, or dead, or waits for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A tick of true time, and what it is by each process's clock.
    Tick([Pace; MOST_PROCESSES]),
    /// A node renews its lease, follows the log, or leaves.
    Follow(usize, following::Step),
    /// A verification, by process and slot.
    Verify(usize, usize, verifying::Step),
    /// The key gets into memory, or out.
    Load(usize, loading::Step),
    /// A change, or somebody who asks for it again.
    Change(usize, changing::Step),
    /// Somebody looks after nodes that have gone.
    Sight(usize, sighting::Step),
    /// A node's process crashes, and is started again.
    CrashNode(usize),
    /// The database does what a node gave up waiting for.
    BeLate,
    /// The database crashes, and is back.
    CrashDatabase,
    /// A backup is made.
    BackUp,
    /// The database is stopped in order to be set back.
    StopDatabase,
    /// It is back, with what is in the backup.
    Restore,
}

impl Cluster {
    /// The protocol.
    pub fn by_all_rules(bounds: Bounds) -> Self {
        let rules = Rules::ALL;
        Self { rules, bounds }
    }

    /// The protocol, but for what `change` makes of its rules.
    pub fn but(bounds: Bounds, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Self { rules, bounds }
    }

    /// How long leases are used and waited for.
    pub const fn terms(&self) -> Terms {
        let has_margin = self.rules.margin_is_kept && !self.bounds.clocks_are_right;
        Terms::with_margin(if has_margin { MARGIN } else { 0 })
    }

    fn steps_of_processes(&self, state: &State, steps: &mut Vec<Step>) {
        let mut offer = |step| steps.push(step);
        for process in 0..state.processes.len() {
            self.following_steps(state, process, |step| offer(Step::Follow(process, step)));
            for slot in 0..self.bounds.verifications {
                let verify = |step| offer(Step::Verify(process, slot, step));
                self.verifying_steps(state, process, slot, verify);
            }
            self.loading_steps(state, process, |step| offer(Step::Load(process, step)));
            self.changing_steps(state, process, |step| offer(Step::Change(process, step)));
            self.sighting_steps(state, process, |step| offer(Step::Sight(process, step)));
            if state.can_crash && self.bounds.processes[process].decides {
                offer(Step::CrashNode(process));
            }
        }
    }

    fn steps_of_database(&self, state: &State, steps: &mut Vec<Step>) {
        let database = &state.database;
        let can_be_set_back = self.bounds.events.database_is_set_back;
        if !database.is_up() {
            steps.extend(database.can_come_back().then_some(Step::Restore));
            return;
        }
        steps.extend(state.late.map(|_| Step::BeLate));
        steps.extend(database.can_crash().then_some(Step::CrashDatabase));
        steps.extend((can_be_set_back && database.can_be_backed_up()).then_some(Step::BackUp));
        steps.extend(database.has_backup().then_some(Step::StopDatabase));
    }

    fn ticks(&self, state: &State, steps: &mut Vec<Step>) {
        let terms = self.terms();
        let paces = |process: usize| {
            let here = state.processes.get(process);
            let role = self.bounds.processes.get(process).copied();
            let drifts = here.zip(role).filter(|_| !self.bounds.clocks_are_right);
            let right = drifts.is_none().then_some(Pace::default());
            let paces = drifts.map(|(here, role)| here.paces(role, terms));
            paces.into_iter().flatten().chain(right)
        };
        for first in paces(0) {
            for second in paces(1) {
                steps.extend(paces(2).map(|third| Step::Tick([first, second, third])));
            }
        }
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut rows = [None; MOST_NODES];
        let mut processes = Vec::new();
        for (index, role) in self.bounds.processes.iter().enumerate() {
            let id = if self.rules.node_ids_are_unique {
                index
            } else {
                0
            };
            processes.push(if role.has_joined {
                rows[id] = Some(Row {
                    renewal: FIRST_RENEWAL,
                    applied: 0,
                });
                Process::joined(id, self.terms())
            } else {
                Process::started(id)
            });
        }
        let events = self.bounds.events;
        vec![State {
            database: Database::new(rows, events.database_crashes),
            processes,
            promise: Promise::default(),
            late: None,
            can_crash: events.node_crashes,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        // Nothing that happens after that is of interest.
        if state.promise.is_broken() {
            return;
        }
        self.steps_of_processes(state, steps);
        self.steps_of_database(state, steps);
        self.ticks(state, steps);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Tick(paces) => {
                for (process, pace) in state.processes.iter_mut().zip(paces) {
                    process.pass(pace, self.terms());
                }
                state.database.pass();
            }
            Step::Follow(process, step) => self.follow(&mut state, process, step),
            Step::Verify(process, slot, step) => self.verify(&mut state, process, slot, step),
            Step::Load(process, step) => self.load(&mut state, process, step),
            Step::Change(process, step) => self.change(&mut state, process, step),
            Step::Sight(process, step) => self.sight(&mut state, process, step),
            Step::CrashNode(process) => {
                state.can_crash = false;
                // A node id is drawn anew at every start.
                state.processes[process] = Process::started(self.bounds.processes.len());
            }
            Step::BeLate => {
                if let Some(statement) = state.late.take() {
                    state.database.execute(statement, &self.rules);
                }
            }
            Step::CrashDatabase => state.database.crash(),
            Step::BackUp => state.database.back_up(),
            Step::StopDatabase => {
                // Connections are cut, and what was on its way is lost.
                state.late = None;
                state.database.stop(&self.rules);
            }
            Step::Restore => {
                state.database.come_back();
                state.promise.void();
                let processes = state.processes.iter_mut();
                let verifications =
                    processes.flat_map(|process| process.verifications.iter_mut().flatten());
                verifications.for_each(Verification::void);
            }
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let witnesses = WITNESSES
            .iter()
            .map(|(name, is_there)| Property::sometimes(name, *is_there));
        let kept = Property::always(PROMISE, |_: &Self, state: &State| {
            !state.promise.is_broken()
        });
        let lost = Property::always(LOST, |_: &Self, state: &State| {
            !state.promise.has_used_lost()
        });
        [kept, lost].into_iter().chain(witnesses).collect()
    }
}
