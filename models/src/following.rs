//! How a node renews its lease, follows the log, and leaves.

use crate::clock::{Left, Since, Terms};
use crate::cluster::{Cluster, State};
use crate::database::{Change, FIRST_RENEWAL, Part, Statement};
use crate::process::Process;
use crate::rules::{Duty, Moment};

/// What a node is doing about its lease and the log: one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Following {
    /// Nothing.
    #[default]
    Idle,
    /// It renews its lease, or has heard of a change.
    Busy(Round),
    /// It has given its lease back, and has yet to delete its row.
    Leaving,
    /// It is a node no more.
    Gone,
}

/// A renewal; or, where a change was heard of, the duties of one that have nothing to do with the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Round {
    /// `None` where a change was heard of.
    t0: Option<Since>,
    /// How many of its duties are done.
    done: usize,
    /// Whether the renewal found no row.
    is_missing: bool,
    /// What was read and is not applied yet.
    part: Option<Part>,
}

impl Round {
    const fn begun(t0: Option<Since>) -> Self {
        Self {
            t0,
            done: 0,
            is_missing: false,
            part: None,
        }
    }

    /// Whether the renewal found no row.
    pub(crate) const fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// Whether the log is not the one that was followed.
    pub(crate) const fn is_broken(&self) -> bool {
        matches!(self.part, Some(Part::Broken(_)))
    }
}

impl Following {
    pub(crate) fn measures(&self, terms: Terms) -> bool {
        match self {
            Self::Busy(Round { t0: Some(t0), .. }) => !t0.is_at_least(terms.usable()),
            _ => false,
        }
    }

    pub(crate) fn pass(&mut self, ticks: u8, terms: Terms) {
        if let Self::Busy(Round { t0: Some(t0), .. }) = self {
            t0.pass(ticks, terms.usable());
        }
    }
}

/// What a node does about its lease and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Takes t0, to renew its lease.
    TakeT0,
    /// Hears of changes: at once, late, or never. All that it is told is that there are some.
    Hear,
    /// Counts its renewals up in the database.
    Renew,
    /// Joins, since it is not there.
    Join,
    /// Reads the log.
    ReadLog,
    /// Applies what it read.
    Apply,
    /// Gives its lease up: the log is not the one that it followed.
    DropDeadline,
    /// Stores the deadline.
    SetDeadline,
    /// Writes `applied_seq`.
    Tell,
    /// Asks, and gives up before it is answered. What it asked for is done late, or never.
    GiveUp,
    /// Gives its lease back, in order to leave.
    EndLease,
    /// Deletes its own row.
    Leave,
}

impl Cluster {
    fn duty(&self, round: &Round) -> Option<Duty> {
        let of_lease = |duty: &Duty| matches!(duty, Duty::Renew | Duty::SetDeadline);
        let duties = self.rules.renewal.iter();
        duties
            .filter(|duty| round.t0.is_some() || !of_lease(duty))
            .nth(round.done)
            .copied()
    }

    pub(crate) fn following_steps(
        &self,
        state: &State,
        process: usize,
        mut offer: impl FnMut(Step),
    ) {
        if !self.bounds.processes[process].decides {
            return;
        }
        let here = &state.processes[process];
        match &here.following {
            Following::Idle => {
                if here.highest < self.bounds.renewals {
                    offer(Step::TakeT0);
                }
                if here.written.is_some() && !here.has_told_all(state) {
                    offer(Step::Hear);
                }
                if self.bounds.events.nodes_leave {
                    offer(Step::EndLease);
                }
            }
            Following::Busy(round) => {
                let step = match self.duty(round) {
                    Some(Duty::Renew) if round.is_missing || here.written.is_none() => Step::Join,
                    Some(Duty::Renew) => Step::Renew,
                    Some(Duty::ReadLog) => Step::ReadLog,
                    Some(Duty::Apply) if round.is_broken() => Step::DropDeadline,
                    Some(Duty::Apply) => Step::Apply,
                    Some(Duty::SetDeadline) => Step::SetDeadline,
                    Some(Duty::Tell) => Step::Tell,
                    None => return,
                };
                let asks = matches!(step, Step::Renew | Step::Join | Step::ReadLog | Step::Tell);
                if !asks || state.database.is_up() {
                    offer(step);
                }
                if asks && state.can_give_up && state.database.is_up() {
                    offer(Step::GiveUp);
                }
            }
            Following::Leaving if state.database.is_up() => offer(Step::Leave),
            Following::Leaving | Following::Gone => {}
        }
    }

    pub(crate) fn follow(&self, state: &mut State, process: usize, step: Step) {
        let here = &mut state.processes[process];
        let next = match (step, here.following) {
            (Step::TakeT0, _) => Following::Busy(Round::begun(Some(Since::NOW))),
            (Step::Hear, _) => Following::Busy(Round::begun(None)),
            (Step::EndLease, _) => {
                here.deadline = Left::default();
                Following::Leaving
            }
            (Step::Leave, _) => {
                state.database.leave(here.id);
                Following::Gone
            }
            (step, Following::Busy(round)) => match self.go_on(state, process, round, step) {
                Some(round) if self.duty(&round).is_some() => Following::Busy(round),
                _ => Following::Idle,
            },
            (_, other) => other,
        };
        state.processes[process].following = next;
    }

    /// What becomes of a round by a step; `None` where that ends it.
    fn go_on(&self, state: &mut State, process: usize, round: Round, step: Step) -> Option<Round> {
        let here = &mut state.processes[process];
        let done = Round {
            done: round.done + 1,
            ..round
        };
        match step {
            Step::GiveUp => {
                state.late = self.statement(here, &round);
                state.can_give_up = false;
                here.has_asked(state.late);
                None
            }
            Step::Renew | Step::Join | Step::Tell => {
                let statement = self.statement(here, &round)?;
                here.has_asked(Some(statement));
                match (statement, state.database.execute(statement, &self.rules)) {
                    (Statement::Renew { written, .. }, true) => here.written = Some(written + 1),
                    (Statement::Renew { .. }, false) => {
                        return Some(Round {
                            is_missing: true,
                            ..round
                        });
                    }
                    (Statement::Join { renewal, .. }, true) => here.written = Some(renewal),
                    (Statement::Join { .. }, false) => return None,
                    (Statement::Tell { .. }, _) => {}
                }
                Some(Round {
                    is_missing: false,
                    ..done
                })
            }
            Step::ReadLog => {
                // Before the log is read: what is put into memory after that has been read after it, too, or compared.
                if !here.deadline.is_ahead() && self.rules.regaining_outdates_loads {
                    here.load.begin_again();
                }
                let seen = here.seen_beyond_place();
                let seen = seen.filter(|_| self.rules.all_that_was_seen_is_compared);
                Some(Round {
                    t0: self.t0(&round, Moment::RenewalAnswered),
                    part: Some(state.database.log_from(here.place, seen, &self.rules)),
                    ..done
                })
            }
            Step::Apply => {
                match round.part {
                    Some(Part::UpTo(newest)) => here.apply_up_to(newest),
                    Some(Part::Newest(newest)) => here.begin_anew(newest),
                    Some(Part::Broken(_)) | None => {}
                }
                Some(Round {
                    t0: self.t0(&round, Moment::LogAnswered),
                    part: None,
                    ..done
                })
            }
            Step::DropDeadline => {
                here.deadline = Left::default();
                if self.rules.beginning_anew_rejoins {
                    here.place = None;
                    here.written = None;
                    return None;
                }
                let part = round.part.map(|part| Part::Newest(part.newest()));
                Some(Round { part, ..round })
            }
            Step::SetDeadline => {
                here.deadline = round.t0?.left_of(self.rules.terms().usable());
                Some(done)
            }
            Step::TakeT0 | Step::Hear | Step::EndLease | Step::Leave => Some(round),
        }
    }

    /// t0, unless it is by the rules that the deadline counts from this moment, which is now.
    fn t0(&self, round: &Round, moment: Moment) -> Option<Since> {
        let is_now = self.rules.deadline_counts_from == moment;
        round.t0.map(|t0| if is_now { Since::NOW } else { t0 })
    }

    /// What a node tells of itself next.
    fn statement(&self, here: &Process, round: &Round) -> Option<Statement> {
        let id = here.id;
        match (self.duty(round)?, here.written) {
            (Duty::Renew, Some(written)) if !round.is_missing => {
                Some(Statement::Renew { id, written })
            }
            (Duty::Renew, _) => Some(Statement::Join {
                id,
                renewal: if self.rules.rejoining_counts_on {
                    here.highest + 1
                } else {
                    FIRST_RENEWAL
                },
                applied: here.place.map(|place| place.seq),
            }),
            (Duty::Tell, _) => Some(Statement::Tell {
                id,
                applied: round.part.map(Part::newest).or(here.place)?.seq,
            }),
            (Duty::ReadLog | Duty::Apply | Duty::SetDeadline, _) => None,
        }
    }
}

impl Process {
    /// Whether nothing would come of hearing of changes.
    fn has_told_all(&self, state: &State) -> bool {
        let told = state.database.rows()[self.id].map(|row| row.applied);
        let applied = self.place.map(|place| place.seq);
        self.place == Some(state.database.newest()) && (told.is_none() || told == applied)
    }

    fn apply_up_to(&mut self, newest: Change) {
        // By number: a node that compares no nonces takes a change for the one that it knows by that number.
        if self.place.is_none_or(|place| place.seq < newest.seq) {
            self.apply(newest);
            self.place = Some(newest);
        }
    }

    /// Remembers how far its renewals may be counted, whatever becomes of what it asked for.
    fn has_asked(&mut self, statement: Option<Statement>) {
        match statement {
            Some(Statement::Renew { written, .. }) => self.highest = self.highest.max(written + 1),
            Some(Statement::Join { renewal, .. }) => self.highest = self.highest.max(renewal),
            Some(Statement::Tell { .. }) | None => {}
        }
    }
}
