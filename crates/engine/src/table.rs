//! Entries by digest, bounded by the bytes they take: what is asked for again stays, what is not makes room.
//!
//! Who goes is found by a generalised CLOCK (V. F. Nicola, A. Dan and D. M. Dias, "Analysis of the generalized clock
//! buffer replacement scheme for database transaction processing", SIGMETRICS 1992): a hand goes round the entries,
//! each that was asked for again is passed over some times, and what it meets otherwise goes. New ones stand anywhere
//! on its way, since digests are as good as random, and have to be asked for once more before the hand comes; so many
//! keys that are asked for once push each other out, and not those in use. The order costs an entry one byte.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;
use keywright_core::digest::Digest;

/// What can be kept in a [`Table`].
pub(crate) trait Entry {
    /// What it is found by.
    fn digest(&self) -> &Digest;

    /// What it is reckoned to take; always the same.
    fn bytes(&self) -> u64;

    /// Whether it was asked for.
    fn heat(&self) -> &Heat;
}

/// How often the hand passes an entry over before it goes.
#[derive(Default)]
pub(crate) struct Heat(AtomicU8);

impl Heat {
    /// So often after each use: one that comes back within so many rounds of the hand stays.
    const OF_USE: u8 = 3;

    fn warm(&self) {
        // An entry in use is hot already, and nothing is written.
        if self.0.load(Ordering::Relaxed) != Self::OF_USE {
            self.0.store(Self::OF_USE, Ordering::Relaxed);
        }
    }

    /// `false` where it is cold already.
    fn cool(&self) -> bool {
        let heat = self.0.load(Ordering::Relaxed);
        self.0.store(heat.saturating_sub(1), Ordering::Relaxed);
        heat > 0
    }
}

/// The most parts that a table is divided into, each with a lock of its own, and the fewest entries that a part has
/// room for where there is more than one.
const PARTS: usize = 256;
const PART_ENTRIES: usize = 512;

/// How many entries the hand passes over to make room once. Where so many in a row are in use, nearly all are, and one
/// of them goes: whoever waits for the part does not wait for a round.
const MAX_PASSED_OVER: usize = 128;

/// Entries by digest.
pub(crate) struct Table<E> {
    parts: Box<[Part<E>]>,
    seed: u64,
}

/// On cache lines of its own: its lock is written by whoever reads.
#[repr(align(128))]
struct Part<E>(RwLock<Kept<E>>);

struct Kept<E> {
    entries: HashTable<E>,
    bytes: u64,
    room: u64,
    hand: usize,
}

/// The entry of one digest while it cannot go.
pub(crate) struct Reading<'t, E> {
    kept: RwLockReadGuard<'t, Kept<E>>,
    hash: u64,
}

impl<E: Entry> Reading<'_, E> {
    /// The entry, if there is one, which is in use herewith.
    pub(crate) fn entry(&self, digest: &Digest) -> Option<&E> {
        let is_it = |entry: &E| is_same(entry.digest(), digest);
        let found = self.kept.entries.find(self.hash, is_it)?;
        found.heat().warm();
        Some(found)
    }
}

/// Compared as places in a table: whoever sees how long it takes learns nothing of use, since the digests that they
/// choose are those of texts they made up.
fn is_same(one: &Digest, other: &Digest) -> bool {
    one.as_bytes() == other.as_bytes()
}

impl<E: Entry> Table<E> {
    /// Room for so many bytes, which does not grow, and which are expected to be this many entries'.
    pub(crate) fn new(entries: usize, bytes: u64) -> Self {
        let parts = (entries / PART_ENTRIES).max(1);
        let parts = (1 << parts.ilog2()).min(PARTS);
        // Chance fills some parts more than others, up to the bytes that each has room for.
        let each = entries.div_ceil(parts);
        let part = || {
            Part(RwLock::new(Kept {
                entries: HashTable::with_capacity(each),
                bytes: 0,
                room: bytes / parts as u64,
                hand: 0,
            }))
        };
        Self {
            parts: (0..parts).map(|_| part()).collect(),
            // Keeps somebody who looks for texts whose digests begin alike from knowing which ones fall together.
            seed: std::hash::RandomState::new().hash_one(0),
        }
    }

    fn part(&self, hash: u64) -> &RwLock<Kept<E>> {
        // The low bits choose the place within the part, and the highest are compared there.
        let number = usize::from(hash.to_le_bytes()[4]) & (self.parts.len() - 1);
        &self.parts[number].0
    }

    /// Where this digest's entry is, if there is one. No lock of another digest's is waited for while it is held.
    pub(crate) fn read(&self, digest: &Digest) -> Reading<'_, E> {
        let hash = hash(self.seed, digest);
        let kept = self.part(hash).read();
        Reading {
            kept: kept.unwrap_or_else(PoisonError::into_inner),
            hash,
        }
    }

    fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Kept<E>> {
        let kept = self.part(hash).write();
        kept.unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an entry in the place of the one of its digest; answers how many went to make room. One that takes more
    /// than there is room for is not kept.
    pub(crate) fn insert(&self, entry: E) -> u64 {
        let seed = self.seed;
        let hash = |entry: &E| hash(seed, entry.digest());
        let place = hash(&entry);
        let mut kept = self.write(place);
        kept.remove(place, entry.digest());
        if entry.bytes() > kept.room {
            return 0;
        }
        let evicted = kept.make_room(entry.bytes());
        kept.bytes += entry.bytes();
        kept.entries.insert_unique(place, entry, hash);
        evicted
    }

    /// Drops the entry of this digest.
    pub(crate) fn remove(&self, digest: &Digest) {
        let hash = hash(self.seed, digest);
        self.write(hash).remove(hash, digest);
    }

    /// Drops every entry.
    pub(crate) fn clear(&self) {
        for part in &self.parts {
            let mut kept = part.0.write().unwrap_or_else(PoisonError::into_inner);
            kept.entries.clear();
            kept.bytes = 0;
        }
    }

    /// How many entries there are, and the bytes they take.
    pub(crate) fn fill(&self) -> (usize, u64) {
        let parts = self.parts.iter().map(|part| {
            let kept = part.0.read().unwrap_or_else(PoisonError::into_inner);
            (kept.entries.len(), kept.bytes)
        });
        parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
}

/// Eight bytes of a digest, which are as good as random, stirred with the table's seed.
fn hash(seed: u64, digest: &Digest) -> u64 {
    // infallible: a digest has 32 bytes
    let first = digest.as_bytes().first_chunk().expect("eight bytes");
    let mixed =
        u128::from(seed ^ u64::from_le_bytes(*first)) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    // Both halves, so that every bit of the digest's counts in every bit of the hash.
    let (high, low) = (mixed >> 64, mixed & u128::from(u64::MAX));
    // infallible: both halves have 64 bits
    u64::try_from(high ^ low).expect("64 bits")
}

impl<E: Entry> Kept<E> {
    fn remove(&mut self, hash: u64, digest: &Digest) {
        let found = self
            .entries
            .find_entry(hash, |entry| is_same(entry.digest(), digest));
        if let Ok(found) = found {
            self.bytes -= found.remove().0.bytes();
        }
    }

    /// Drops entries until there is room for so many bytes, which must be no more than all of it; answers how many.
    fn make_room(&mut self, wanted: u64) -> u64 {
        let (mut evicted, mut passed_over) = (0, 0);
        while self.bytes + wanted > self.room {
            self.hand = (self.hand + 1) % self.entries.num_buckets();
            let Ok(met) = self.entries.get_bucket_entry(self.hand) else {
                continue;
            };
            if met.get().heat().cool() && passed_over < MAX_PASSED_OVER {
                passed_over += 1;
                continue;
            }
            self.bytes -= met.remove().0.bytes();
            evicted += 1;
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered {
        digest: Digest,
        bytes: u64,
        heat: Heat,
    }

    impl Entry for Numbered {
        fn digest(&self) -> &Digest {
            &self.digest
        }

        fn bytes(&self) -> u64 {
            self.bytes
        }

        fn heat(&self) -> &Heat {
            &self.heat
        }
    }

    fn digest(number: u64) -> Digest {
        Digest::of(&number.to_string())
    }

    fn numbered(number: u64) -> Numbered {
        of_bytes(number, 1)
    }

    fn of_bytes(number: u64, bytes: u64) -> Numbered {
        Numbered {
            digest: digest(number),
            bytes,
            heat: Heat::default(),
        }
    }

    fn has(table: &Table<Numbered>, number: u64) -> bool {
        let digest = digest(number);
        table.read(&digest).entry(&digest).is_some()
    }

    fn count(table: &Table<Numbered>, numbers: std::ops::Range<u64>) -> usize {
        numbers.filter(|number| has(table, *number)).count()
    }

    #[test]
    fn an_entry_is_there_until_it_is_removed() {
        let table = Table::new(10, 10);
        table.insert(numbered(1));
        assert!(has(&table, 1));
        assert!(!has(&table, 2));
        table.remove(&digest(1));
        assert!(!has(&table, 1));
        assert_eq!(table.fill(), (0, 0));
    }

    #[test]
    fn one_of_the_same_digest_takes_the_place() {
        let table = Table::new(10, 10);
        table.insert(of_bytes(1, 2));
        table.insert(of_bytes(1, 3));
        assert_eq!(table.fill(), (1, 3));
    }

    #[test]
    fn a_table_for_one_holds_one() {
        let table = Table::new(1, 1);
        assert_eq!(table.insert(numbered(1)), 0);
        assert_eq!(table.insert(numbered(2)), 1);
        assert!(has(&table, 2));
        assert_eq!(table.fill(), (1, 1));
    }

    #[test]
    fn what_takes_more_than_there_is_room_for_is_not_kept_and_pushes_nothing_out() {
        let table = Table::new(1, 10);
        table.insert(numbered(1));
        assert_eq!(table.insert(of_bytes(2, 11)), 0);
        assert!(has(&table, 1));
        assert_eq!(table.fill(), (1, 1));
    }

    #[test]
    fn many_parts_hold_nearly_what_there_is_room_for() {
        const ROOM: u64 = 100_000;
        let table = Table::new(100_000, ROOM);
        assert_eq!(table.parts.len(), 128);
        let evicted: u64 = (0..2 * ROOM)
            .map(|number| table.insert(numbered(number)))
            .sum();
        let (entries, bytes) = table.fill();
        assert_eq!(bytes, entries as u64);
        assert_eq!(entries as u64 + evicted, 2 * ROOM);
        assert!((ROOM * 99 / 100..=ROOM).contains(&bytes), "{bytes}");
    }

    #[test]
    fn entries_in_use_stay_while_the_others_push_each_other_out() {
        const ROOM: u64 = 1000;
        let table = Table::new(1000, ROOM);
        for number in 0..ROOM {
            table.insert(numbered(number));
        }
        assert_eq!(count(&table, 0..ROOM / 2), 500);
        for number in ROOM..20 * ROOM {
            // Half of the room is in use: each is asked for once while as many new ones come as there are places.
            has(&table, number % (ROOM / 2));
            table.insert(numbered(number));
        }
        assert_eq!(count(&table, 0..ROOM / 2), 500);
    }

    #[test]
    fn where_all_are_in_use_room_is_made_without_a_round() {
        let table = Table::new(1000, 1000);
        for number in 0..1000 {
            table.insert(numbered(number));
            has(&table, number);
        }
        assert_eq!(table.insert(numbered(1000)), 1);
        let kept = table.parts[0].0.read().unwrap();
        let heat = |entry: &Numbered| entry.heat.0.load(Ordering::Relaxed);
        let cooled = kept
            .entries
            .iter()
            .filter(|entry| heat(entry) == Heat::OF_USE - 1);
        assert_eq!(cooled.count(), MAX_PASSED_OVER);
    }

    #[test]
    fn ten_million_entries_leave_memory_within_its_bound() {
        const ROOM: u64 = 10_000;
        let table = Table::new(10_000, ROOM);
        let size = || -> usize {
            let parts = table.parts.iter();
            parts
                .map(|part| part.0.read().unwrap().entries.allocation_size())
                .sum()
        };
        let at_first = size();
        for number in 0..10_000_000_u64 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            table.insert(Numbered {
                digest: Digest::from_bytes(bytes),
                bytes: 1,
                heat: Heat::default(),
            });
        }
        assert!(table.fill().1 <= ROOM);
        // Chance fills some parts beyond what they were laid out for, and each may grow once for that.
        assert!(size() <= 2 * at_first, "{} {at_first}", size());
    }

    #[test]
    fn entries_that_are_in_use_no_more_make_room() {
        let table = Table::new(1000, 1000);
        for number in 0..1000 {
            table.insert(numbered(number));
            has(&table, number);
        }
        for number in 1000..5000 {
            table.insert(numbered(number));
            has(&table, number);
        }
        assert_eq!(count(&table, 0..1000), 0);
        assert_eq!(table.fill(), (1000, 1000));
    }
}
