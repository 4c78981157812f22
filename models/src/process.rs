//! What a process holds in memory.

use crate::bounds::{MOST_VERIFICATIONS, Role};
use crate::changing::Waiter;
use crate::clock::{Left, Pace, Terms};
use crate::database::{Change, FIRST_RENEWAL};
use crate::following::Following;
use crate::loading::Load;
use crate::sighting::{Sighting, Sightings};
use crate::verifying::Verification;

/// A server process, or a command that writes to the database itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Process {
    /// Which node it is.
    pub id: usize,
    /// How its clock ran in the last tick.
    pub pace: Pace,
    /// Its renewal, as it wrote it last. `None` where it has to join.
    pub written: Option<u8>,
    /// The highest renewal that it ever asked for.
    pub highest: u8,
    /// What it is doing about its lease and the log.
    pub following: Following,
    /// The change up to which it has applied the log.
    pub place: Option<Change>,
    /// Until when it may decide from memory.
    pub deadline: Left,
    /// What it remembers of the key.
    pub entry: Option<Change>,
    /// The furthest change that was applied, whether it came through the log or was its own.
    pub gate: Change,
    /// The load of the key.
    pub load: Load,
    /// The verifications under way.
    pub verifications: [Option<Verification>; MOST_VERIFICATIONS],
    /// The change that it has to answer.
    pub waiter: Option<Waiter>,
    /// What it saw of the other nodes.
    pub sightings: Sightings,
}

impl Process {
    /// One that has just started.
    pub fn started(id: usize) -> Self {
        Self {
            id,
            pace: Pace::default(),
            written: None,
            highest: FIRST_RENEWAL - 1,
            following: Following::default(),
            place: None,
            deadline: Left::default(),
            entry: None,
            gate: Change::default(),
            load: Load::None,
            verifications: [None; MOST_VERIFICATIONS],
            waiter: None,
            sightings: Sightings::default(),
        }
    }

    /// One that joined before there were any changes, and remembers the key. Its lease has run out.
    pub fn joined(id: usize) -> Self {
        Self {
            written: Some(FIRST_RENEWAL),
            highest: FIRST_RENEWAL,
            place: Some(Change::default()),
            entry: Some(Change::default()),
            ..Self::started(id)
        }
    }

    /// Drops what a change is about from memory, within the gate.
    pub fn apply(&mut self, change: Change) {
        self.entry = None;
        if self.gate.seq < change.seq {
            self.gate = change;
        }
    }

    /// Forgets everything, to follow the log from its newest change on.
    pub fn begin_anew(&mut self, newest: Change) {
        self.entry = None;
        self.gate = newest;
        self.place = Some(newest);
        // "Everything" includes what is on its way into memory.
        self.load.begin_again();
    }

    /// What it read or changed itself and has not met in the log yet.
    pub fn seen_beyond_place(&self) -> impl Iterator<Item = Change> {
        let place = self.place.map_or(0, |place| place.seq);
        let seen = self.entry.into_iter().chain([self.gate]);
        seen.filter(move |seen| seen.seq > place)
    }

    /// The paces that its clock can have in the next tick, as far as they matter.
    pub fn paces(&self, role: Role, terms: Terms) -> impl Iterator<Item = Pace> + Clone {
        let measures = self.measures(terms);
        let paces = if measures {
            self.pace.next()
        } else {
            &[Pace::Keeps]
        };
        paces
            .iter()
            .copied()
            .filter(move |pace| !measures || role.can_do_harm_at(*pace))
    }

    /// Whether anything here depends on the clock.
    fn measures(&self, terms: Terms) -> bool {
        self.deadline.is_ahead()
            || self.following.measures(terms)
            || self
                .verifications
                .iter()
                .flatten()
                .any(Verification::measures)
            || self
                .waiter
                .as_ref()
                .is_some_and(|waiter| waiter.measures(terms))
            || self
                .sightings
                .iter()
                .flatten()
                .any(|sighting: &Sighting| sighting.measures(terms))
    }

    /// Lets time pass by its clock.
    pub fn pass(&mut self, pace: Pace, terms: Terms) {
        let ticks = pace.ticks();
        self.deadline.pass(ticks);
        self.following.pass(ticks, terms);
        for verification in &mut self.verifications {
            if let Some(under_way) = verification {
                under_way.pass(ticks);
                if under_way.asks_the_primary() {
                    *verification = None;
                }
            }
        }
        if let Some(waiter) = &mut self.waiter {
            waiter.pass(ticks, terms);
        }
        for sighting in self.sightings.iter_mut().flatten() {
            sighting.pass(ticks, terms);
        }
        // How the clock ran matters to spans that it measures, and to no other.
        self.pace = if self.measures(terms) {
            pace
        } else {
            Pace::default()
        };
    }
}
