//! Every order in which verifications, loads, changes and renewals of the lease can meet at the gate, tried on the real
//! memory: I2 and I3 of DESIGN §5, and what becomes of them without each of the rules that keep them.
//!
//! Each process is a list of steps, as the verifier and the stores take them; what is one step there, under the gate
//! or in one statement, is one here. States that cannot be told apart are gone on from once.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::decision::Facts;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::Metadata;
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::Status;
use keywright_core::permission::Grants;
use keywright_core::text::{Description, KeyName};
use keywright_core::timestamp::Timestamp;
use tokio::sync::watch;

use super::*;
use crate::lane::Lane;
use crate::lease::Deadline;
use crate::loads::{Joined, KeyOutcome, LoadBounds, Outcome};

/// How long a lease lasts, in ticks of the clock.
const LEASE: u64 = 1;

/// What is tried: who takes part, and which rule they leave out.
#[derive(Debug, Clone, Copy)]
struct Scene {
    verifications: usize,
    /// What each change is about.
    changes: &'static [About],
    /// Where changes are others', of which memory learns when its lease is renewed.
    leased: Option<Leased>,
    without: Option<Rule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// The key: it goes with every first change and comes back with every second.
    Key,
    /// Its owner.
    User,
    Keyspace,
}

#[derive(Debug, Clone, Copy)]
struct Leased {
    renewals: u64,
    /// How far the clock goes.
    ticks: u64,
}

/// What keeps memory coherent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A fill asks whether a change was applied that is newer than what was read.
    FillAsksTheHistory,
    /// A change that drops something notes that it did.
    DropNotesItself,
    /// A load ends when memory is filled, and not when its outcome is told.
    LoadEndsWithTheFill,
    /// A verification loads the deadline before it reads memory.
    DeadlineBeforeTheEntry,
    /// A renewal applies what it read before it makes the lease longer.
    ApplyBeforeTheDeadline,
}

/// Who can take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Verification(usize),
    Load(usize),
    Change(usize),
    Renewal,
    Clock,
}

/// What a verification found: the state of the database, by the seq of its newest change, or that there was no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Of(u64),
    Absent,
    Unknown,
}

/// How a load tells what it found.
enum Sender {
    Key(watch::Sender<KeyOutcome>),
    Keyspaces(watch::Sender<Outcome<()>>),
}

enum Receiver {
    Key(watch::Receiver<KeyOutcome>),
    Keyspaces(watch::Receiver<Outcome<()>>),
}

impl Receiver {
    fn is_told(&self) -> bool {
        match self {
            Self::Key(outcome) => outcome.borrow().is_some(),
            Self::Keyspaces(outcome) => outcome.borrow().is_some(),
        }
    }
}

/// A deadline, with what it is.
type Until = (Deadline, u64);

enum Verification {
    NotBegun,
    HasDeadline(Until),
    HasEntry(Entry),
    Compares(Until, Entry),
    Missed,
    Waits(Until, usize, Receiver),
    Done,
}

enum Load {
    Reads,
    Fills(u64),
    /// What was found; `None` for keyspaces, which are looked for in memory again.
    Tells(Entry, Option<KeyOutcome>),
    Done(Entry),
}

#[derive(Clone, Copy)]
enum Change {
    NotBegun,
    Committed { seq: u64, at: u64 },
    Answered,
}

#[derive(Clone, Copy)]
enum Renewal {
    NotBegun,
    Begun { at: u64 },
    Read { at: u64, newest: u64 },
    Half { at: u64, newest: u64 },
}

struct Uptime(AtomicU64);

impl Clock for Uptime {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

struct World {
    scene: Scene,
    memory: Memory,
    clock: Uptime,
    /// What `memory.lease` says.
    until: u64,
    /// The seq of the newest change in the database.
    newest: u64,
    /// The seq of the newest change that was answered.
    answered: u64,
    /// How far the log of others' changes was applied.
    applied: u64,
    changes: Vec<Change>,
    /// Each with the newest change that was answered when it began.
    verifications: Vec<(u64, Verification)>,
    loads: Vec<(Sender, Load)>,
    renewal: Renewal,
    renewals: u64,
    /// What must never be.
    wrong: Option<String>,
}

fn digest() -> Digest {
    Digest::from_bytes([7; 32])
}

fn owner() -> UserId {
    UserId::new("ada").unwrap()
}

impl World {
    fn new(scene: Scene) -> Self {
        let lease = match scene.leased {
            None => Lease::endless(),
            Some(_) => Lease::none(),
        };
        let world = Self {
            scene,
            memory: Memory::new(4, lease, KeyspaceNumbers::default()),
            clock: Uptime(AtomicU64::new(1)),
            until: 1 + LEASE,
            newest: 0,
            answered: 0,
            applied: 0,
            changes: vec![Change::NotBegun; scene.changes.len()],
            verifications: (0..scene.verifications)
                .map(|_| (0, Verification::NotBegun))
                .collect(),
            loads: Vec::new(),
            renewal: Renewal::NotBegun,
            renewals: 0,
            wrong: None,
        };
        if scene.leased.is_some() {
            world
                .memory
                .lease
                .extend_to(Duration::from_secs(world.until));
        }
        world
    }

    /// The key, or that there is none, after so many changes.
    fn key_after(&self, seq: u64) -> Option<KeyFacts> {
        let comes_and_goes =
            self.scene.changes.contains(&About::Key) && !self.scene.changes.contains(&About::User);
        (!comes_and_goes || seq.is_multiple_of(2)).then(|| KeyFacts {
            id: KeyId(uuid::Uuid::nil()),
            keyspace: KeyspaceName::new("default").unwrap(),
            user_id: owner(),
            name: KeyName::new("a key").unwrap(),
            metadata: Metadata::empty(),
            facts: Facts {
                status: Status::Active,
                expires_at: None,
                grants: Grants(seq),
            },
        })
    }

    fn read(&self, seq: u64) -> Loaded<Option<KeyFacts>> {
        Loaded {
            seq: self.as_read(seq),
            found: self.key_after(seq),
        }
    }

    fn as_read(&self, seq: u64) -> u64 {
        if self.is_without(Rule::FillAsksTheHistory) {
            u64::MAX
        } else {
            seq
        }
    }

    fn read_keyspaces(&self, seq: u64) -> Loaded<Vec<KeyspaceFacts>> {
        let [mut keyspace, _] = Keyspace::built_in(Timestamp::from_micros(0));
        keyspace.description = Some(Description::new(seq.to_string()).unwrap());
        let facts = KeyspaceFacts {
            keyspace,
            tag_keys: TagKeys::from_bytes(&[0; 32]).unwrap(),
            holds_imported: false,
        };
        Loaded {
            seq: self.as_read(seq),
            found: vec![facts],
        }
    }

    fn is_without(&self, rule: Rule) -> bool {
        self.scene.without == Some(rule)
    }

    fn is_about_keyspaces(&self) -> bool {
        self.scene.changes.contains(&About::Keyspace)
    }

    fn now(&self) -> u64 {
        self.clock.0.load(Ordering::Relaxed)
    }

    /// What memory says now.
    fn recall(&self) -> Entry {
        if self.is_about_keyspaces() {
            let known = self.memory.keyspaces();
            return known.as_ref().map_or(Entry::Unknown, |known| {
                let number = self
                    .memory
                    .numbers
                    .of(&KeyspaceName::new("default").unwrap());
                let description = known.get(number).unwrap().description.as_ref().unwrap();
                Entry::Of(description.as_str().parse().unwrap())
            });
        }
        match self.memory.recall(&digest()) {
            Some(key) => Entry::Of(key.grants().0),
            None if self.memory.knows_absent(&digest()) => Entry::Absent,
            None => Entry::Unknown,
        }
    }

    fn deadline(&self) -> Until {
        (self.memory.lease.deadline(), self.until)
    }

    /// Everybody who can take a step now.
    fn enabled(&self) -> Vec<Process> {
        let mut enabled = Vec::new();
        for (number, (_, verification)) in self.verifications.iter().enumerate() {
            let can = match verification {
                Verification::Waits(_, _, outcome) => outcome.is_told(),
                Verification::Done => false,
                _ => true,
            };
            enabled.extend(can.then_some(Process::Verification(number)));
        }
        for (number, (_, load)) in self.loads.iter().enumerate() {
            enabled.extend((!matches!(load, Load::Done(_))).then_some(Process::Load(number)));
        }
        for (number, change) in self.changes.iter().enumerate() {
            let can = match (change, self.scene.leased) {
                (Change::NotBegun, _) | (Change::Committed { .. }, None) => true,
                // It waits for this process to have applied it, or to have no lease any more.
                (Change::Committed { seq, at }, Some(_)) => {
                    self.applied >= *seq || self.now() >= at + LEASE
                }
                (Change::Answered, _) => false,
            };
            enabled.extend(can.then_some(Process::Change(number)));
        }
        if let Some(leased) = self.scene.leased {
            enabled.extend((self.renewals < leased.renewals).then_some(Process::Renewal));
            enabled.extend((self.now() <= leased.ticks).then_some(Process::Clock));
        }
        enabled
    }

    fn step(&mut self, process: Process) {
        match process {
            Process::Verification(number) => {
                let (_, before) = &mut self.verifications[number];
                let before = std::mem::replace(before, Verification::Done);
                self.verifications[number].1 = self.verify(number, &before);
            }
            Process::Load(number) => self.load(number),
            Process::Change(number) => self.change(number),
            Process::Renewal => self.renew(),
            Process::Clock => {
                self.clock.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn verify(&mut self, number: usize, before: &Verification) -> Verification {
        match *before {
            Verification::NotBegun => {
                self.verifications[number].0 = self.answered;
                if self.scene.leased.is_none() {
                    let until = self.deadline();
                    self.compare(number, until, self.recall())
                } else if self.is_without(Rule::DeadlineBeforeTheEntry) {
                    Verification::HasEntry(self.recall())
                } else {
                    Verification::HasDeadline(self.deadline())
                }
            }
            Verification::HasDeadline(until) => Verification::Compares(until, self.recall()),
            Verification::HasEntry(entry) => Verification::Compares(self.deadline(), entry),
            Verification::Compares(until, entry) => self.compare(number, until, entry),
            Verification::Missed => self.join(),
            // It looks again, as the same verification.
            Verification::Waits(_, _, Receiver::Keyspaces(_)) => {
                self.compare(number, self.deadline(), self.recall())
            }
            Verification::Waits(until, load, Receiver::Key(_)) => {
                let Load::Done(entry) = self.loads[load].1 else {
                    unreachable!("only what is told can be waited for");
                };
                self.compare(number, until, entry)
            }
            Verification::Done => unreachable!("it is at its end"),
        }
    }

    /// Compares the deadline with the clock, and decides.
    fn compare(&mut self, number: usize, until: Until, entry: Entry) -> Verification {
        if entry == Entry::Unknown {
            return Verification::Missed;
        }
        // Past the deadline it asks the store, which knows.
        if until.0.is_ahead(&self.clock) {
            let floor = self.verifications[number].0;
            let is_of = |seq: u64| match entry {
                Entry::Of(seen) => seen == seq,
                Entry::Absent => self.key_after(seq).is_none(),
                Entry::Unknown => false,
            };
            if !(floor..=self.newest).any(is_of) {
                self.wrong = Some(format!(
                    "verification {number} began after change {floor} was answered, and found {entry:?}"
                ));
            }
        }
        Verification::Done
    }

    fn join(&mut self) -> Verification {
        let until = self.deadline();
        if !until.0.is_ahead(&self.clock) {
            return Verification::Done;
        }
        if self.is_without(Rule::LoadEndsWithTheFill)
            && let Some((load, outcome)) = self.filled()
        {
            return Verification::Waits(until, load, outcome);
        }
        let known = self.recall();
        if known != Entry::Unknown {
            return Verification::Compares(until, known);
        }
        let goes_on = |(_, load): &(_, Load)| matches!(load, Load::Reads | Load::Fills(_));
        let goes_on = self.loads.iter().position(goes_on);
        let mut gate = self.memory.gate();
        let (begun, outcome) = if self.is_about_keyspaces() {
            match gate.loads.join_keyspaces() {
                Joined::Waiting(outcome) => (None, Receiver::Keyspaces(outcome)),
                Joined::Begun(tell, outcome) => {
                    (Some(Sender::Keyspaces(tell)), Receiver::Keyspaces(outcome))
                }
                Joined::Full => unreachable!("there is one"),
            }
        } else {
            let bounds = LoadBounds::default();
            match gate.loads.join(&digest(), Lane::Tagged, bounds) {
                Joined::Waiting(outcome) => (None, Receiver::Key(outcome)),
                Joined::Begun(tell, outcome) => (Some(Sender::Key(tell)), Receiver::Key(outcome)),
                Joined::Full => unreachable!("there is one key"),
            }
        };
        drop(gate);
        let Some(tell) = begun else {
            return Verification::Waits(until, goes_on.expect("it goes on"), outcome);
        };
        assert_eq!(goes_on, None, "two loads of the same");
        self.loads.push((tell, Load::Reads));
        Verification::Waits(until, self.loads.len() - 1, outcome)
    }

    /// A load that has filled memory and was not told yet.
    fn filled(&self) -> Option<(usize, Receiver)> {
        let filled = |(_, load): &(_, Load)| matches!(load, Load::Tells(..));
        let load = self.loads.iter().position(filled)?;
        let outcome = match &self.loads[load].0 {
            Sender::Key(tell) => Receiver::Key(tell.subscribe()),
            Sender::Keyspaces(tell) => Receiver::Keyspaces(tell.subscribe()),
        };
        Some((load, outcome))
    }

    fn load(&mut self, number: usize) {
        let before = std::mem::replace(&mut self.loads[number].1, Load::Reads);
        let after = match before {
            Load::Reads => Load::Fills(self.newest),
            Load::Fills(seq) => self.fill(seq),
            Load::Tells(entry, outcome) => {
                match &self.loads[number].0 {
                    Sender::Key(tell) => tell.send_replace(outcome.flatten()).is_some(),
                    Sender::Keyspaces(tell) => tell.send_replace(Some(Ok(()))).is_some(),
                };
                Load::Done(entry)
            }
            Load::Done(_) => unreachable!("it is at its end"),
        };
        self.loads[number].1 = after;
    }

    fn fill(&self, seq: u64) -> Load {
        if self.is_about_keyspaces() {
            return match self.memory.fill_keyspaces(0, self.read_keyspaces(seq)) {
                Ok(()) => Load::Tells(Entry::Of(seq), None),
                Err(Outdated) => Load::Reads,
            };
        }
        match self.memory.fill(0, &digest(), &self.read(seq)) {
            Ok(found) => {
                let entry = found
                    .as_ref()
                    .map_or(Entry::Absent, |key| Entry::Of(key.grants().0));
                Load::Tells(entry, Some(Some(Ok(found))))
            }
            Err(Outdated) => Load::Reads,
        }
    }

    fn change(&mut self, number: usize) {
        self.changes[number] = match self.changes[number] {
            Change::NotBegun => {
                self.newest += 1;
                Change::Committed {
                    seq: self.newest,
                    at: self.now(),
                }
            }
            Change::Committed { seq, .. } => {
                if self.scene.leased.is_none() {
                    self.apply(&[self.logged(number, seq)]);
                }
                self.answered = self.answered.max(seq);
                Change::Answered
            }
            Change::Answered => unreachable!("it is at its end"),
        };
    }

    fn logged(&self, number: usize, seq: u64) -> LoggedChange {
        let scope = match self.scene.changes[number] {
            About::Key => Scope::Key(digest()),
            About::User => Scope::User(owner()),
            About::Keyspace => Scope::Keyspace(KeyspaceName::new("default").unwrap()),
        };
        LoggedChange { seq, scope }
    }

    fn apply(&self, changes: &[LoggedChange]) {
        self.memory.committed(changes);
        if self.is_without(Rule::DropNotesItself) {
            self.memory.gate().history = History::default();
        }
    }

    fn renew(&mut self) {
        let deadline_first = self.is_without(Rule::ApplyBeforeTheDeadline);
        self.renewal = match self.renewal {
            Renewal::NotBegun => Renewal::Begun { at: self.now() },
            Renewal::Begun { at } => Renewal::Read {
                at,
                newest: self.newest,
            },
            Renewal::Read { at, newest } => {
                if deadline_first {
                    self.extend(at);
                } else {
                    self.apply_up_to(newest);
                }
                Renewal::Half { at, newest }
            }
            Renewal::Half { at, newest } => {
                if deadline_first {
                    self.apply_up_to(newest);
                } else {
                    self.extend(at);
                }
                self.renewals += 1;
                Renewal::NotBegun
            }
        };
    }

    fn apply_up_to(&mut self, newest: u64) {
        // All of a scene are about the same.
        let unapplied: Vec<_> = (self.applied + 1..=newest)
            .map(|seq| self.logged(0, seq))
            .collect();
        self.apply(&unapplied);
        self.applied = newest;
    }

    fn extend(&mut self, at: u64) {
        self.until = at + LEASE;
        self.memory.lease.extend_to(Duration::from_secs(self.until));
    }

    /// Everything that what comes next depends on.
    fn fingerprint(&self) -> Vec<u64> {
        let mut all = vec![
            self.newest,
            self.answered,
            self.applied,
            self.now(),
            self.until,
            self.renewals,
        ];
        let entry = |entry: Entry| match entry {
            Entry::Of(seq) => seq,
            Entry::Absent => 100,
            Entry::Unknown => 101,
        };
        match self.renewal {
            Renewal::NotBegun => all.push(0),
            Renewal::Begun { at } => all.extend([1, at]),
            Renewal::Read { at, newest } => all.extend([2, at, newest]),
            Renewal::Half { at, newest } => all.extend([3, at, newest]),
        }
        for change in &self.changes {
            match change {
                Change::NotBegun => all.push(0),
                Change::Committed { seq, at } => all.extend([1, *seq, *at]),
                Change::Answered => all.push(2),
            }
        }
        for (floor, verification) in &self.verifications {
            match verification {
                Verification::NotBegun => all.push(0),
                Verification::HasDeadline((_, until)) => all.extend([1, *floor, *until]),
                Verification::HasEntry(seen) => all.extend([2, *floor, entry(*seen)]),
                Verification::Compares((_, until), seen) => {
                    all.extend([3, *floor, *until, entry(*seen)]);
                }
                Verification::Missed => all.extend([4, *floor]),
                Verification::Waits((_, until), load, _) => {
                    all.extend([5, *floor, *until, *load as u64]);
                }
                Verification::Done => all.push(8),
            }
        }
        for (_, load) in &self.loads {
            match load {
                Load::Reads => all.push(0),
                Load::Fills(seq) => all.extend([1, *seq]),
                Load::Tells(found, _) => all.extend([2, entry(*found)]),
                Load::Done(found) => all.extend([3, entry(*found)]),
            }
        }
        // Memory itself, which the steps above are tried on.
        all.push(entry(self.recall()));
        let gate = self.memory.gate();
        all.push(gate.loads.len() as u64);
        all.push(gate.loads.are_keyspaces_read().into());
        all.extend(gate.history.seqs());
        all
    }
}

/// What was found of a scene.
#[derive(Debug, Default)]
struct Found {
    states: usize,
    /// What must never be, and the steps that led there.
    wrong: Option<(String, Vec<Process>)>,
}

/// Tries every order of steps, until one leads to what must never be.
fn try_all(scene: Scene) -> Found {
    let mut seen = HashSet::new();
    let mut found = Found::default();
    let mut untried = vec![Vec::new()];
    while let Some(mut steps) = untried.pop() {
        let mut world = World::new(scene);
        for &process in &steps {
            world.step(process);
        }
        loop {
            if let Some(wrong) = world.wrong {
                found.wrong = Some((wrong, steps));
                return found;
            }
            if !seen.insert(world.fingerprint()) {
                break;
            }
            found.states += 1;
            let enabled = world.enabled();
            let Some((&first, others)) = enabled.split_first() else {
                let all_done = world
                    .verifications
                    .iter()
                    .all(|(_, verification)| matches!(verification, Verification::Done));
                assert!(all_done, "somebody waits for ever after {steps:?}");
                let gate = world.memory.gate();
                assert_eq!(gate.loads.len(), 0, "after {steps:?}");
                assert!(!gate.loads.are_keyspaces_read(), "after {steps:?}");
                break;
            };
            untried.extend(others.iter().map(|&other| {
                let mut steps = steps.clone();
                steps.push(other);
                steps
            }));
            steps.push(first);
            world.step(first);
        }
    }
    found
}

#[track_caller]
fn assert_coherent(scene: Scene) {
    let found = try_all(scene);
    assert_eq!(found.wrong, None, "{scene:?}");
    assert!(found.states > 1000, "{} states of {scene:?}", found.states);
}

/// One that must fail, or the scene proves nothing.
#[track_caller]
fn assert_incoherent(scene: Scene, without: Rule) {
    let found = try_all(Scene {
        without: Some(without),
        ..scene
    });
    assert!(found.wrong.is_some(), "{scene:?} does not need {without:?}");
}

/// Changes of this process: each is committed, then applied, then answered, and two of them in any order.
const fn of_one_process(changes: &'static [About]) -> Scene {
    Scene {
        verifications: 2,
        changes,
        leased: None,
        without: None,
    }
}

const BY_KEY: Scene = of_one_process(&[About::Key, About::Key]);
const BY_USER: Scene = of_one_process(&[About::User, About::User]);
const BY_BOTH: Scene = of_one_process(&[About::Key, About::User]);
const BY_KEYSPACE: Scene = of_one_process(&[About::Keyspace, About::Keyspace]);

/// A change of another process, of which this one learns when it renews its lease.
const OF_ANOTHER: Scene = Scene {
    verifications: 2,
    changes: &[About::Key],
    leased: Some(Leased {
        renewals: 1,
        ticks: 2,
    }),
    without: None,
};

#[test]
fn no_order_of_loads_and_changes_lets_an_older_key_decide_after_a_change() {
    for scene in [BY_KEY, BY_USER, BY_BOTH] {
        assert_coherent(scene);
    }
}

#[test]
fn no_order_of_loads_and_changes_lets_older_keyspaces_decide_after_a_change() {
    assert_coherent(BY_KEYSPACE);
}

#[test]
fn no_order_of_renewals_and_changes_lets_an_older_key_decide_after_a_change() {
    assert_coherent(OF_ANOTHER);
}

#[test]
fn a_fill_that_did_not_ask_the_history_would_be_found_out() {
    for scene in [BY_KEY, BY_USER, BY_BOTH, BY_KEYSPACE, OF_ANOTHER] {
        assert_incoherent(scene, Rule::FillAsksTheHistory);
    }
}

#[test]
fn a_drop_that_did_not_note_itself_would_be_found_out() {
    for scene in [BY_KEY, BY_USER, BY_BOTH, BY_KEYSPACE, OF_ANOTHER] {
        assert_incoherent(scene, Rule::DropNotesItself);
    }
}

#[test]
fn joining_a_load_that_has_filled_memory_would_be_found_out() {
    for scene in [BY_KEY, BY_USER, BY_BOTH] {
        assert_incoherent(scene, Rule::LoadEndsWithTheFill);
    }
}

#[test]
fn reading_the_entry_before_the_deadline_would_be_found_out() {
    assert_incoherent(OF_ANOTHER, Rule::DeadlineBeforeTheEntry);
}

#[test]
fn a_longer_lease_before_the_changes_it_covers_would_be_found_out() {
    assert_incoherent(OF_ANOTHER, Rule::ApplyBeforeTheDeadline);
}
