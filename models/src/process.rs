//! What a process holds in memory.

use crate::bounds::{MOST_CHANGES, MOST_VERIFICATIONS, Role};
use crate::changing::Waiter;
use crate::clock::{Left, Pace, Terms};
use crate::database::{Change, FIRST_RENEWAL};
use crate::following::Following;
use crate::loading::Load;
use crate::rules::Rules;
use crate::sighting::{Sighting, Sightings};
use crate::verifying::Verification;

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// The one key there is.
    TheKey,
    /// Another. Such a change is nothing to the promise; it only has a number.
    Another,
}

/// A server process, or a command that writes to the database itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Process {
    /// Which node it is.
    pub id: usize,
    /// How its clock ran in the last tick.
    pub pace: Pace,
    /// Its renewal, as it wrote it last. `None` where it has to join: what became of its row is unknown to it.
    pub written: Option<u8>,
    /// The highest renewal that it ever asked for.
    pub highest: u8,
    /// What it is doing about its lease and the log.
    pub following: Following,
    /// The change up to which it has applied the log. `None` where it has to begin anew.
    pub place: Option<Change>,
    /// What it says in its own process of how far that is.
    pub applied: u8,
    /// Until when it may decide from memory.
    pub deadline: Left,
    /// What it remembers of the key.
    pub entry: Option<Change>,
    /// The furthest change of the key that was applied, whether it came through the log or was its own.
    pub gate: u8,
    /// Its own changes that were applied, by seq, until they are met in the log.
    pub own: [Option<About>; MOST_CHANGES],
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
            applied: 0,
            deadline: Left::default(),
            entry: None,
            gate: 0,
            own: [None; MOST_CHANGES],
            load: Load::None,
            verifications: [None; MOST_VERIFICATIONS],
            waiter: None,
            sightings: Sightings::default(),
        }
    }

    /// One that joined just now, before there were any changes, and remembers the key.
    pub fn joined(id: usize, terms: Terms) -> Self {
        Self {
            written: Some(FIRST_RENEWAL),
            highest: FIRST_RENEWAL,
            place: Some(Change::default()),
            deadline: Left::ticks(terms.usable()),
            entry: Some(Change::default()),
            ..Self::started(id)
        }
    }

    /// Drops what a change is about from memory, within the gate.
    fn apply(&mut self, seq: u8) {
        self.entry = None;
        self.gate = self.gate.max(seq);
    }

    /// Applies a change of its own.
    pub fn apply_own(&mut self, change: Change, about: About) {
        self.own[usize::from(change.seq) - 1] = Some(about);
        if about == About::TheKey {
            self.apply(change.seq);
        }
    }

    /// Applies what the log has beyond its place.
    pub fn follow_up_to(&mut self, newest: Change, rules: &Rules) {
        let place = self.place.map_or(0, |place| place.seq);
        // By number: a node that compares no nonces takes a change for the one that it knows by that number.
        if newest.seq <= place {
            return;
        }
        for seq in place + 1..=newest.seq {
            let is_known = match self.own[usize::from(seq) - 1].take() {
                Some(About::TheKey) => true,
                Some(About::Another) => !rules.own_changes_are_compared,
                None => false,
            };
            if !is_known {
                self.apply(seq);
            }
        }
        self.reach(newest);
    }

    /// Forgets everything, to follow the log from its newest change on.
    pub fn begin_anew(&mut self, newest: Change) {
        self.entry = None;
        self.gate = newest.seq;
        self.own = [None; MOST_CHANGES];
        // "Everything" includes what is on its way into memory.
        self.load.begin_again();
        self.reach(newest);
    }

    /// Has applied the log up to there.
    pub fn reach(&mut self, place: Change) {
        self.place = Some(place);
        self.applied = place.seq;
    }

    /// The highest number of a change that it knows of.
    pub fn furthest(&self) -> u8 {
        let own = (1..).zip(self.own).filter(|(_, about)| about.is_some());
        own.map(|(seq, _)| seq).fold(self.gate, u8::max)
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
