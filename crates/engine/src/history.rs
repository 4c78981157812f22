//! Which changes were applied lately, so that nothing older than them gets into memory again (I3).

use std::collections::VecDeque;

use keywright_core::digest::Digest;
use keywright_core::identifier::UserId;
use keywright_store::{KeyFacts, LoggedChange, Scope};

/// How many changes are remembered one by one. What is older than all of them is older than everything.
const REMEMBERED: usize = 1024;

/// The changes that were applied last.
///
/// A change is applied by dropping what it is about from memory, and noting it here. Something that was read from the
/// store before the change, and comes after it was applied, is found here to be old.
#[derive(Default)]
pub(crate) struct History {
    applied: VecDeque<LoggedChange>,
    /// The highest seq of those that are not remembered any more.
    forgotten: u64,
}

impl History {
    /// After this seq, in a history of which nothing is known but that.
    pub(crate) fn after(seq: u64) -> Self {
        Self {
            applied: VecDeque::new(),
            forgotten: seq,
        }
    }

    /// Whether a change was applied, as far as it is remembered. Not by its number alone: an own change that a restore
    /// lost, and of which memory is told late, may have had the number of another.
    pub(crate) fn knows(&self, change: &LoggedChange) -> bool {
        self.applied.contains(change)
    }

    /// The highest seq of a change that was applied.
    pub(crate) fn furthest(&self) -> u64 {
        let applied = self.applied.iter().map(|change| change.seq);
        applied.fold(self.forgotten, u64::max)
    }

    /// Notes that a change was applied. Changes of several tasks may come in another order than their seqs'.
    pub(crate) fn note(&mut self, change: LoggedChange) {
        if self.applied.len() == REMEMBERED
            && let Some(oldest) = self.applied.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.seq);
        }
        self.applied.push_back(change);
    }

    /// Whether a key that was read together with `seq` is as new as every change that was applied to it.
    pub(crate) fn has_key_as_of(&self, seq: u64, digest: &Digest, key: Option<&KeyFacts>) -> bool {
        let owner = key.map(|key| &key.user_id);
        self.has_as_of(seq, |scope| concerns_key(scope, digest, owner))
    }

    /// Whether keyspaces that were read together with `seq` are as new as every change that was applied to one.
    pub(crate) fn has_keyspaces_as_of(&self, seq: u64) -> bool {
        self.has_as_of(seq, |scope| matches!(scope, Scope::Keyspace(_)))
    }

    /// Those that are remembered, as they were applied.
    #[cfg(test)]
    pub(crate) fn seqs(&self) -> impl Iterator<Item = u64> {
        self.applied.iter().map(|change| change.seq)
    }

    fn has_as_of(&self, seq: u64, concerns: impl Fn(&Scope) -> bool) -> bool {
        seq >= self.forgotten
            && !self
                .applied
                .iter()
                .any(|change| change.seq > seq && concerns(&change.scope))
    }
}

/// Whether a change is about a key. (What a record keeps of its keyspace is its number, which stays; the rest of the
/// keyspace is in memory once for all keys, and is dropped and read again by itself.)
fn concerns_key(scope: &Scope, digest: &Digest, owner: Option<&UserId>) -> bool {
    match scope {
        Scope::Key(changed) => changed == digest,
        Scope::User(deleted) => owner == Some(deleted),
        Scope::Keyspace(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(seq: u64, about: &str) -> LoggedChange {
        LoggedChange {
            seq,
            scope: Scope::Key(Digest::of(about)),
        }
    }

    #[test]
    fn a_change_is_not_known_by_its_number_alone() {
        let mut history = History::after(3);
        history.note(change(5, "a"));
        assert!(history.knows(&change(5, "a")));
        assert!(!history.knows(&change(5, "b")));
        assert!(!history.knows(&change(4, "a")));
    }

    #[test]
    fn the_furthest_is_the_highest_that_was_ever_noted() {
        let mut history = History::after(3);
        assert_eq!(history.furthest(), 3);
        history.note(change(5, "a"));
        history.note(change(4, "a"));
        assert_eq!(history.furthest(), 5);
        for _ in 0..REMEMBERED {
            history.note(change(4, "a"));
        }
        assert_eq!(history.furthest(), 5);
    }
}
