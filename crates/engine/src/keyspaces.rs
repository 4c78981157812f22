//! All keyspaces, as of one moment: what tells made-up texts from keys without asking the store.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use keywright_core::identifier::KeyspaceName;
use keywright_core::key_text::WellFormed;
use keywright_core::keyspace::Keyspace;
use keywright_store::KeyspaceFacts;

use crate::lane::Lane;

/// A keyspace's number in this process: two bytes in each record instead of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyspaceNumber(u16);

impl KeyspaceNumber {
    /// The one of this index; `None` where it cannot be one.
    pub(crate) fn at(index: usize) -> Option<Self> {
        u16::try_from(index).ok().map(Self)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The numbers given so far. A keyspace is never renamed nor deleted, so a number means the same for good.
#[derive(Clone, Default)]
pub(crate) struct KeyspaceNumbers(Arc<RwLock<Given>>);

#[derive(Default)]
struct Given {
    numbers: HashMap<KeyspaceName, KeyspaceNumber>,
    names: Vec<KeyspaceName>,
}

impl KeyspaceNumbers {
    /// The number of this keyspace.
    pub(crate) fn of(&self, name: &KeyspaceName) -> KeyspaceNumber {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.numbers.get(name) {
            return *number;
        }
        drop(known);
        let mut given = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // infallible: there are at most MAX_KEYSPACES of them
        let next = KeyspaceNumber(u16::try_from(given.names.len()).expect("keyspaces are few"));
        let number = *given.numbers.entry(name.clone()).or_insert(next);
        if number == next {
            given.names.push(name.clone());
        }
        number
    }

    /// The names, each at its number's index.
    pub(crate) fn names(&self) -> Vec<KeyspaceName> {
        let given = self.0.read().unwrap_or_else(PoisonError::into_inner);
        given.names.clone()
    }
}

/// What can be said of a text that is in no record, without asking the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is no key: no keyspace's keys begin so, or it was not made by this server.
    MadeUp(Option<KeyspaceNumber>),
    /// This server made it.
    Tagged(KeyspaceNumber),
    /// It may have been made elsewhere and imported.
    Untagged(KeyspaceNumber),
}

/// All keyspaces, as of one moment.
pub(crate) struct Keyspaces {
    /// By prefix. None begins another.
    by_prefix: Box<[(KeyspaceNumber, KeyspaceFacts)]>,
    /// Places in `by_prefix`.
    places: Box<[Option<u16>]>,
}

impl Keyspaces {
    pub(crate) fn new(found: Vec<KeyspaceFacts>, numbers: &KeyspaceNumbers) -> Self {
        let mut by_prefix: Vec<_> = found
            .into_iter()
            .map(|facts| (numbers.of(&facts.keyspace.name), facts))
            .collect();
        by_prefix.sort_unstable_by(|(_, one), (_, other)| {
            let (one, other) = (&one.keyspace.prefix, &other.keyspace.prefix);
            one.as_str().cmp(other.as_str())
        });
        let highest = by_prefix.iter().map(|(number, _)| number.index()).max();
        let mut places = vec![None; highest.map_or(0, |highest| highest + 1)];
        for (place, (number, _)) in (0..).zip(&by_prefix) {
            places[number.index()] = Some(place);
        }
        Self {
            by_prefix: by_prefix.into(),
            places: places.into(),
        }
    }

    /// The keyspace of this number; `None` where it was made later.
    pub(crate) fn get(&self, number: KeyspaceNumber) -> Option<&Keyspace> {
        let place = (*self.places.get(number.index())?)?;
        Some(&self.by_prefix[usize::from(place)].1.keyspace)
    }

    /// The keyspace whose keys begin as this text does.
    fn of_text(&self, text: &str) -> Option<&(KeyspaceNumber, KeyspaceFacts)> {
        let prefix = |facts: &(_, KeyspaceFacts)| facts.1.keyspace.prefix.as_str() <= text;
        // No prefix begins another, so the one that begins the text is the last that is not greater.
        let last = self.by_prefix.partition_point(prefix).checked_sub(1)?;
        let found = &self.by_prefix[last];
        text.starts_with(found.1.keyspace.prefix.as_str())
            .then_some(found)
    }

    /// The keyspace whose keys begin as this text does.
    pub(crate) fn number_of(&self, text: &str) -> Option<KeyspaceNumber> {
        self.of_text(text).map(|(number, _)| *number)
    }

    /// In which lane to look this text up, and for a key of which keyspace; `None` where it is made up.
    pub(crate) fn lane(&self, text: &str) -> Option<(KeyspaceNumber, Lane)> {
        match self.judge(text) {
            Judgement::MadeUp(_) => None,
            Judgement::Untagged(number) => Some((number, Lane::Untagged)),
            Judgement::Tagged(number) => {
                let is_service = self.get(number).is_some_and(Keyspace::is_service);
                let lane = if is_service {
                    Lane::Service
                } else {
                    Lane::Tagged
                };
                Some((number, lane))
            }
        }
    }

    /// Looks at a text's form, check and tag.
    pub(crate) fn judge(&self, text: &str) -> Judgement {
        let Some((number, facts)) = self.of_text(text) else {
            return Judgement::MadeUp(None);
        };
        let made_here = WellFormed::parse(text).is_some_and(|text| {
            text.prefix() == facts.keyspace.prefix.as_str() && facts.tag_keys.made(&text)
        });
        match (made_here, facts.holds_imported) {
            (true, _) => Judgement::Tagged(*number),
            (false, true) => Judgement::Untagged(*number),
            (false, false) => Judgement::MadeUp(Some(*number)),
        }
    }
}
