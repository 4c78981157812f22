//! How a node renews its lease, follows the log, and leaves.

use crate::clock::{Left, Since, Terms};
use crate::cluster::{Cluster, State};
use crate::database::{Change, FIRST_RENEWAL, INVENTED, Part, Statement};
use crate::process::Process;
use crate::rules::{Duty, LeaseLooks, Moment};

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
    /// Whether it goes on from where the node was, and does not begin anew: as long as that matters.
    goes_on: bool,
    /// What was read and is not applied yet.
    part: Option<Part>,
}

impl Round {
    const fn begun(t0: Option<Since>) -> Self {
        Self {
            t0,
            done: 0,
            goes_on: false,
            part: None,
        }
    }

    /// Whether the log is not the one that was followed.
    pub(crate) const fn is_broken(&self) -> bool {
        matches!(self.part, Some(Part::Broken))
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
    /// Hears that there are changes: at once, late, or never.
    Hear,
    /// Hears of the change after the last that it applied, at once, late, or never; it need not be the newest.
    HearOf,
    /// Hears of a change that nobody committed.
    HearOfNothing,
    /// Looks whether its lease goes on.
    LookAtLease,
    /// Counts its renewals up in the database.
    Renew,
    /// Joins.
    Join,
    /// Reads the log.
    ReadLog,
    /// Applies what it read.
    Apply,
    /// Finds that the log is not the one that it followed: it gives its lease up.
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
        let of_lease =
            |duty: &Duty| matches!(duty, Duty::LookAtLease | Duty::Renew | Duty::SetDeadline);
        let duties = self.rules.renewal.iter();
        duties
            .filter(|duty| round.t0.is_some() || !of_lease(duty))
            .nth(round.done)
            .copied()
    }

    /// The change that a node can be told of and goes on with.
    fn word(&self, state: &State, process: usize) -> Option<Change> {
        let place = state.processes[process].place?;
        state.database.next_after(place, &self.rules)
    }

    /// What somebody can tell a node of who only wants it to believe that.
    fn invented(&self, here: &Process) -> Option<Change> {
        let seq = here.place?.seq + 1;
        let is_told = self.bounds.events.words_are_invented && seq <= self.bounds.changes;
        is_told.then_some(Change {
            history: INVENTED,
            seq,
        })
    }

    /// Which duties are done, where a change was heard of, when it is known what to apply.
    fn duties_before_applying(&self) -> usize {
        let mut round = Round::begun(None);
        while self.duty(&round).is_some_and(|duty| duty != Duty::ReadLog) {
            round.done += 1;
        }
        round.done + 1
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
                if here.written.is_some() && self.word(state, process).is_some() {
                    offer(Step::HearOf);
                }
                if here.written.is_some() && self.invented(here).is_some() {
                    offer(Step::HearOfNothing);
                }
                if self.bounds.events.nodes_leave {
                    offer(Step::EndLease);
                }
            }
            Following::Busy(round) => {
                let step = match self.duty(round) {
                    Some(Duty::LookAtLease) => Step::LookAtLease,
                    Some(Duty::Renew) if here.written.is_none() => Step::Join,
                    Some(Duty::Renew) => Step::Renew,
                    Some(Duty::ReadLog) => Step::ReadLog,
                    Some(Duty::Apply) if round.is_broken() => Step::DropDeadline,
                    // It began anew, and goes on from there.
                    Some(Duty::Apply) if round.part.is_none() => Step::ReadLog,
                    Some(Duty::Apply) => Step::Apply,
                    Some(Duty::SetDeadline) => Step::SetDeadline,
                    Some(Duty::Tell) => Step::Tell,
                    None => return,
                };
                let asks = matches!(step, Step::Renew | Step::Join | Step::ReadLog | Step::Tell);
                if !asks || state.database.is_up() {
                    offer(step);
                }
                if asks && self.bounds.events.nodes_give_up && state.database.is_up() {
                    offer(Step::GiveUp);
                }
            }
            Following::Leaving if state.database.is_up() => offer(Step::Leave),
            Following::Leaving | Following::Gone => {}
        }
    }

    pub(crate) fn follow(&self, state: &mut State, process: usize, step: Step) {
        let word = match step {
            Step::HearOf => self.word(state, process).map(Part::UpTo),
            Step::HearOfNothing => self.invented(&state.processes[process]).map(Part::Invented),
            _ => None,
        };
        let here = &mut state.processes[process];
        let next = match (step, here.following) {
            (Step::TakeT0, _) => Following::Busy(Round::begun(Some(Since::NOW))),
            (Step::Hear, _) => Following::Busy(Round::begun(None)),
            (Step::HearOf | Step::HearOfNothing, _) => Following::Busy(Round {
                done: self.duties_before_applying(),
                part: word,
                ..Round::begun(None)
            }),
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
                Some(_) => Following::Idle,
                None => {
                    if round.t0.is_some() {
                        // What became of its row is unknown.
                        state.processes[process].written = None;
                    }
                    Following::Idle
                }
            },
            (_, other) => other,
        };
        state.processes[process].following = next;
    }

    /// What becomes of a round by a step; `None` where it fails.
    fn go_on(&self, state: &mut State, process: usize, round: Round, step: Step) -> Option<Round> {
        let here = &mut state.processes[process];
        let done = Round {
            done: round.done + 1,
            ..round
        };
        match step {
            Step::LookAtLease => {
                if !here.deadline.is_ahead() && self.rules.lease_is_looked_at != LeaseLooks::Never {
                    here.written = None;
                    here.place = None;
                }
                Some(Round {
                    goes_on: here.place.is_some(),
                    ..done
                })
            }
            Step::GiveUp => {
                let asked = self.statement(here, &round);
                here.has_asked(asked);
                // One is on its way at a time.
                state.late = state.late.or(asked);
                None
            }
            Step::Renew | Step::Join | Step::Tell => {
                let statement = self.statement(here, &round)?;
                here.has_asked(Some(statement));
                let is_done = state.database.execute(statement, &self.rules);
                match statement {
                    Statement::Renew { .. } | Statement::Tell { .. } if !is_done => return None,
                    Statement::Renew { written, .. } => here.written = Some(written + 1),
                    Statement::Join { renewal, .. } => here.written = Some(renewal),
                    Statement::Tell { applied, .. } => {
                        if matches!(round.part, Some(Part::Invented(_))) {
                            here.reach(applied);
                        }
                        return Some(done);
                    }
                }
                // It looks again as soon as it is answered: to look later would find no less.
                if round.goes_on && !here.deadline.is_ahead() && self.rules.looks_again() {
                    return None;
                }
                Some(Round {
                    goes_on: false,
                    ..done
                })
            }
            Step::ReadLog => {
                let part = state
                    .database
                    .log_from(here.place, here.furthest(), &self.rules);
                let is_again = self.duty(&round) == Some(Duty::Apply);
                Some(Round {
                    t0: self.t0(&round, Moment::RenewalAnswered),
                    part: Some(part),
                    done: if is_again { round.done } else { done.done },
                    ..round
                })
            }
            Step::Apply => {
                let t0 = self.t0(&round, Moment::LogAnswered);
                let part = None;
                match round.part? {
                    Part::UpTo(newest) => {
                        here.follow_up_to(newest, &self.rules);
                        Some(Round { t0, part, ..done })
                    }
                    Part::Newest(newest) => {
                        here.begin_anew(newest);
                        Some(Round { t0, part, ..round })
                    }
                    // It is of another key; how far the node is, it says when that is confirmed.
                    Part::Invented(_) => Some(done),
                    Part::Broken => None,
                }
            }
            Step::DropDeadline => {
                // Of a round that was begun since a change was heard of nothing comes: the next renewal finds it too.
                if round.t0.is_some() {
                    here.deadline = Left::default();
                    if self.rules.lease_is_looked_at == LeaseLooks::Never {
                        here.place = None;
                    }
                }
                None
            }
            Step::SetDeadline => {
                here.deadline = round.t0?.left_of(self.terms().usable());
                Some(done)
            }
            Step::TakeT0
            | Step::Hear
            | Step::HearOf
            | Step::HearOfNothing
            | Step::EndLease
            | Step::Leave => Some(round),
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
            (Duty::Renew, Some(written)) => Some(Statement::Renew { id, written }),
            (Duty::Renew, None) => Some(Statement::Join {
                id,
                renewal: if self.rules.rejoining_counts_on {
                    here.highest + 1
                } else {
                    FIRST_RENEWAL
                },
                applied: here.place.map(|place| place.seq),
            }),
            (Duty::Tell, _) => {
                // What was read is more than what was applied where the rules have it told before that.
                let read = match round.part {
                    Some(Part::UpTo(newest) | Part::Newest(newest) | Part::Invented(newest)) => {
                        Some(newest)
                    }
                    Some(Part::Broken) | None => None,
                };
                let applied = read.or(here.place)?;
                Some(Statement::Tell { id, applied })
            }
            (Duty::LookAtLease | Duty::ReadLog | Duty::Apply | Duty::SetDeadline, _) => None,
        }
    }
}

impl Process {
    /// Whether nothing would come of hearing of changes.
    fn has_told_all(&self, state: &State) -> bool {
        let told = state.database.rows()[self.id].map(|row| row.applied);
        let applied = self.place.map(|place| place.seq);
        self.place == Some(state.database.newest()) && (told.is_none() || told >= applied)
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
