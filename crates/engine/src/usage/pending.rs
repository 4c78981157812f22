//! Counts that wait to be written, by key and by hour.

use std::collections::HashMap;

use keywright_core::decision::Code;
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::timestamp::Timestamp;
use keywright_store::{UseCount, Uses};

use crate::keyspaces::{KeyspaceNumber, KeyspaceNumbers};
use crate::owner::Owner;
use crate::record::CachedKey;

const HOUR: i64 = 3_600_000_000;

/// How many keys may wait at most.
const CAPACITY: usize = 100_000;

/// How many different hours of one key may wait at most, where the store takes nothing for long.
const HOURS: usize = 48;

fn hour_of(at: Timestamp) -> Timestamp {
    let micros = at.as_micros();
    Timestamp::from_micros(micros - micros.rem_euclid(HOUR))
}

/// Counts by hour and code. Few: almost always of one hour.
type Counts = Vec<(Timestamp, Code, u64)>;

fn add(counts: &mut Counts, hour: Timestamp, code: Code, count: u64) -> bool {
    let same = |(known_hour, known_code, _): &&mut (Timestamp, Code, u64)| {
        (*known_hour, *known_code) == (hour, code)
    };
    if let Some((_, _, known)) = counts.iter_mut().find(same) {
        *known += count;
        return true;
    }
    if counts.len() >= HOURS * Code::ALL.len() {
        return false;
    }
    counts.push((hour, code, count));
    true
}

/// What waits of one key.
struct OfKey {
    keyspace: KeyspaceNumber,
    owner: Owner,
    last_used: Option<Timestamp>,
    counts: Counts,
}

/// What waits to be written.
#[derive(Default)]
pub(super) struct Pending {
    keys: HashMap<KeyId, OfKey>,
    not_found: HashMap<Option<KeyspaceNumber>, Counts>,
}

impl Pending {
    /// Counts what was answered about a key; `false` where there was no room.
    pub(super) fn count_key(
        &mut self,
        key: &CachedKey,
        at: Timestamp,
        code: Code,
        count: u64,
    ) -> bool {
        if self.keys.len() >= CAPACITY && !self.keys.contains_key(&key.id()) {
            return false;
        }
        let waiting = self.keys.entry(key.id()).or_insert_with(|| OfKey {
            keyspace: key.keyspace(),
            owner: key.owner(),
            last_used: None,
            counts: Vec::new(),
        });
        waiting.last_used = waiting.last_used.max(key.last_used());
        add(&mut waiting.counts, hour_of(at), code, count)
    }

    /// Counts texts that were no keys; `false` where there was no room.
    pub(super) fn count_not_found(
        &mut self,
        keyspace: Option<KeyspaceNumber>,
        at: Timestamp,
        count: u64,
    ) -> bool {
        let counts = self.not_found.entry(keyspace).or_default();
        add(counts, hour_of(at), Code::NotFound, count)
    }

    /// How many keys wait.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.not_found.is_empty()
    }

    /// Takes what is about so many keys, and all that is about none.
    pub(super) fn take(&mut self, keys: usize) -> Self {
        let some: Vec<KeyId> = self.keys.keys().take(keys).copied().collect();
        Self {
            keys: some
                .into_iter()
                .filter_map(|id| self.keys.remove_entry(&id))
                .collect(),
            not_found: std::mem::take(&mut self.not_found),
        }
    }

    /// Takes back what could not be written; answers how much of it found no room any more.
    pub(super) fn put_back(&mut self, unwritten: Self) -> u64 {
        let mut lost = 0;
        for (id, of_key) in unwritten.keys {
            if self.keys.len() >= CAPACITY && !self.keys.contains_key(&id) {
                lost += of_key.counts.iter().map(|(_, _, count)| count).sum::<u64>();
                continue;
            }
            let OfKey {
                keyspace,
                owner,
                last_used,
                counts,
            } = of_key;
            let waiting = self.keys.entry(id).or_insert(OfKey {
                keyspace,
                owner,
                last_used: None,
                counts: Vec::new(),
            });
            waiting.last_used = waiting.last_used.max(last_used);
            lost += add_all(&mut waiting.counts, counts);
        }
        for (keyspace, counts) in unwritten.not_found {
            lost += add_all(self.not_found.entry(keyspace).or_default(), counts);
        }
        lost
    }

    /// As the store takes it.
    pub(super) fn to_uses(&self, numbers: &KeyspaceNumbers) -> Uses {
        let names = numbers.names();
        let name = |number: KeyspaceNumber| names[number.index()].clone();
        let mut uses = Uses::default();
        for (&id, of_key) in &self.keys {
            uses.last_used.extend(of_key.last_used.map(|at| (id, at)));
            let counts = of_key.counts.iter().map(|&(hour, code, count)| UseCount {
                hour,
                keyspace: Some(name(of_key.keyspace)),
                key: Some((id, UserId::from_stored(of_key.owner.id()))),
                code,
                count,
            });
            uses.counts.extend(counts);
        }
        for (keyspace, counts) in &self.not_found {
            let counts = counts.iter().map(|&(hour, code, count)| UseCount {
                hour,
                keyspace: keyspace.map(name),
                key: None,
                code,
                count,
            });
            uses.counts.extend(counts);
        }
        uses
    }
}

/// Answers how much found no room.
fn add_all(to: &mut Counts, counts: Counts) -> u64 {
    let mut lost = 0;
    for (hour, code, count) in counts {
        if !add(to, hour, code, count) {
            lost += count;
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_find_no_room_are_told() {
        let mut pending = Pending::default();
        let hours = i64::try_from(HOURS * Code::ALL.len()).unwrap();
        let mut count = |hour| {
            let at = Timestamp::from_micros(hour * HOUR);
            pending.count_not_found(None, at, 1)
        };
        assert!((0..hours).all(&mut count));
        assert!(!count(hours));
        assert!(count(0), "one more of an hour that waits needs no room");
    }
}
