//! Whose keys are in memory: each owner once, however many keys they have.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use keywright_core::identifier::UserId;
use triomphe::ThinArc;

/// An owner of keys, shared by their records. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Owner(ThinArc<Gone, u8>);

/// Whether the owner was deleted. All of their records end with this one word.
struct Gone(AtomicBool);

impl Owner {
    /// An owner whom no other record shares.
    pub(crate) fn alone(id: &UserId) -> Self {
        let gone = Gone(AtomicBool::new(false));
        Self(ThinArc::from_header_and_slice(gone, id.as_str().as_bytes()))
    }

    /// The id; empty for the reserved owner of service keys.
    pub(crate) fn id(&self) -> &str {
        // infallible: made of a text
        str::from_utf8(&self.0.slice).expect("a user's id is UTF-8")
    }

    /// The id's length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.slice.len()
    }

    /// Whether the owner was deleted since the record was made.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.header.header.0.load(Ordering::Acquire)
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl Borrow<str> for Owner {
    fn borrow(&self) -> &str {
        self.id()
    }
}

/// How many owners may be known before those without records are looked for.
const FIRST_SWEEP: usize = 1024;

/// The owners whom records share.
pub(crate) struct Owners {
    known: HashSet<Owner>,
    sweep_at: usize,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            sweep_at: FIRST_SWEEP,
        }
    }
}

impl Owners {
    /// The one of this id.
    pub(crate) fn intern(&mut self, id: &UserId) -> Owner {
        if let Some(known) = self.known.get(id.as_str()) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at {
            self.sweep();
        }
        let owner = Owner::alone(id);
        self.known.insert(owner.clone());
        owner
    }

    /// Ends every record of this owner. One who comes again is another.
    pub(crate) fn delete(&mut self, id: &UserId) {
        if let Some(owner) = self.known.take(id.as_str()) {
            owner.0.header.header.0.store(true, Ordering::Release);
        }
    }

    /// Forgets those whose records have all gone. Done whenever the number has doubled, so it costs each owner little.
    fn sweep(&mut self) {
        self.known
            .retain(|owner| ThinArc::strong_count(&owner.0) > 1);
        self.sweep_at = FIRST_SWEEP.max(2 * self.known.len());
        self.known.shrink_to(self.sweep_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> UserId {
        UserId::new(format!("user-{number}")).unwrap()
    }

    fn is_same(one: &Owner, other: &Owner) -> bool {
        std::ptr::eq(
            &raw const one.0.header.header,
            &raw const other.0.header.header,
        )
    }

    #[test]
    fn records_of_one_owner_share_it() {
        let mut owners = Owners::default();
        let one = owners.intern(&id(1));
        let other = owners.intern(&id(1));
        assert_eq!(other.id(), "user-1");
        assert!(is_same(&one, &other));
    }

    #[test]
    fn a_deleted_owner_who_comes_again_is_another() {
        let mut owners = Owners::default();
        let before = owners.intern(&id(1));
        let unconcerned = owners.intern(&id(2));
        owners.delete(&id(1));
        assert!(before.is_gone());
        assert!(!owners.intern(&id(1)).is_gone());
        assert!(!unconcerned.is_gone());
    }

    #[test]
    fn owners_without_records_are_forgotten() {
        let mut owners = Owners::default();
        let kept = owners.intern(&id(0));
        for number in 1..100_000 {
            owners.intern(&id(number));
            assert!(owners.known.len() <= FIRST_SWEEP);
        }
        assert!(is_same(&owners.intern(&id(0)), &kept));
    }
}
