//! What is kept in memory of a key: all that a verification answers, packed into one allocation.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use keywright_core::decision::{Code, Facts};
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::lifecycle::Status;
use keywright_core::permission::Grants;
use keywright_core::timestamp::Timestamp;
use keywright_store::KeyFacts;
use triomphe::ThinArc;

use crate::keyspaces::KeyspaceNumber;
use crate::owner::Owner;
use crate::table::{Entry, Heat};

/// The time that stands for no expiry. It is none: a timestamp ends with the year 9999.
const NEVER: i64 = i64::MAX;

/// The object that most keys have for metadata; it takes no memory.
const NO_METADATA: &str = "{}";

/// What one key is reckoned to take, in bytes: some forty characters of name and owner's id, no metadata, and everything
/// around. One that takes more counts as more.
pub(crate) const KEY_BYTES: u64 = 256;

/// What a key takes besides its texts, in bytes.
const OVERHEAD: u64 = 208;

/// A key in memory. What it says of the key never changes: a changed key is another record. Cheap to clone.
#[derive(Clone)]
pub struct CachedKey(ThinArc<Head, u8>);

/// What has a fixed size. The name, and metadata after it, stand behind it in the same allocation.
struct Head {
    digest: Digest,
    id: KeyId,
    owner: Owner,
    grants: Grants,
    expires_at: i64,
    last_used: AtomicI64,
    uses: [AtomicU32; USE_KINDS],
    keyspace: KeyspaceNumber,
    name_len: u16,
    status: Status,
    heat: Heat,
}

/// How many kinds of use one record tells apart. An active key can be found good, lacking and expired; a key that is
/// not active is always found to be that, which counts as the first kind.
const USE_KINDS: usize = 3;

impl CachedKey {
    pub(crate) fn new(
        digest: &Digest,
        facts: &KeyFacts,
        owner: Owner,
        keyspace: KeyspaceNumber,
    ) -> Self {
        let name = facts.name.as_str();
        let metadata = match facts.metadata.as_json() {
            NO_METADATA => "",
            metadata => metadata,
        };
        let head = Head {
            digest: *digest,
            id: facts.id,
            owner,
            grants: facts.facts.grants,
            expires_at: facts.facts.expires_at.map_or(NEVER, Timestamp::as_micros),
            last_used: AtomicI64::new(0),
            uses: [const { AtomicU32::new(0) }; USE_KINDS],
            keyspace,
            // infallible: 100 characters at most (CONTRACT §4.1)
            name_len: u16::try_from(name.len()).expect("a key's name is short"),
            status: facts.facts.status,
            heat: Heat::default(),
        };
        let texts = [name, metadata].concat();
        Self(ThinArc::from_header_and_slice(head, texts.as_bytes()))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    fn texts(&self) -> (&str, &str) {
        // infallible: made of two texts, the first of this length
        let text = str::from_utf8(&self.0.slice).expect("a record's texts are UTF-8");
        text.split_at(usize::from(self.head().name_len))
    }

    /// Its public id.
    pub fn id(&self) -> KeyId {
        self.head().id
    }

    /// Whose it is; empty for a service key.
    pub fn user_id(&self) -> &str {
        self.head().owner.id()
    }

    pub(crate) fn owner(&self) -> Owner {
        self.head().owner.clone()
    }

    /// What its owner calls it.
    pub fn name(&self) -> &str {
        self.texts().0
    }

    /// What it may do.
    pub fn grants(&self) -> Grants {
        self.head().grants
    }

    /// From when on it is expired.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let at = self.head().expires_at;
        (at != NEVER).then_some(Timestamp::from_micros(at))
    }

    /// What a program attached to it: a JSON object as compact text.
    pub fn metadata_json(&self) -> &str {
        match self.texts().1 {
            "" => NO_METADATA,
            metadata => metadata,
        }
    }

    /// What a decision depends on.
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            status: self.head().status,
            expires_at: self.expires_at(),
            grants: self.grants(),
        }
    }

    pub(crate) fn keyspace(&self) -> KeyspaceNumber {
        self.head().keyspace
    }

    /// Whether its owner was deleted, and the key with them.
    pub(crate) fn is_gone(&self) -> bool {
        self.head().owner.is_gone()
    }

    /// Bytes of name, metadata and its owner's id, which may be in memory for this key alone.
    fn text_len(&self) -> usize {
        self.0.slice.len() + self.head().owner.len()
    }

    /// Counts a use that ended with `code`; `true` where it is the first since uses of this kind were taken last.
    ///
    /// Two relaxed atomics: this is all that noting a use costs.
    pub(crate) fn count_use(&self, code: Code, now: Timestamp) -> bool {
        let head = self.head();
        let kind = match code {
            Code::Expired => 1,
            Code::InsufficientPermissions => 2,
            // NOT_FOUND is not counted here: the key was not found.
            Code::NotFound | Code::Revoked | Code::Suspended => 0,
            Code::Valid => {
                head.last_used.store(now.as_micros(), Ordering::Relaxed);
                0
            }
        };
        // Release, so that who takes the count sees the time as well.
        head.uses[kind].fetch_add(1, Ordering::Release) == 0
    }

    /// Takes what was counted: how often uses ended with which code.
    pub(crate) fn take_uses(&self) -> impl Iterator<Item = (Code, u32)> {
        let of_status = match self.head().status {
            Status::Active => Code::Valid,
            Status::Suspended => Code::Suspended,
            Status::Revoked => Code::Revoked,
        };
        let codes = [of_status, Code::Expired, Code::InsufficientPermissions];
        codes
            .into_iter()
            .zip(&self.head().uses)
            .map(|(code, uses)| (code, uses.swap(0, Ordering::Acquire)))
            .filter(|(_, count)| *count > 0)
    }

    /// When it was good last, as far as this record knows. Read after [`Self::take_uses`].
    pub(crate) fn last_used(&self) -> Option<Timestamp> {
        let at = self.head().last_used.load(Ordering::Relaxed);
        (at != 0).then_some(Timestamp::from_micros(at))
    }
}

impl Entry for CachedKey {
    fn digest(&self) -> &Digest {
        &self.head().digest
    }

    fn bytes(&self) -> u64 {
        KEY_BYTES.max(OVERHEAD + self.text_len() as u64)
    }

    fn heat(&self) -> &Heat {
        &self.head().heat
    }
}

impl fmt::Debug for CachedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachedKey").field(&self.id()).finish()
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::identifier::{KeyspaceName, UserId};
    use keywright_core::key::Metadata;
    use keywright_core::text::KeyName;

    use super::*;
    use crate::keyspaces::KeyspaceNumbers;

    #[test]
    fn all_of_its_texts_count_and_the_longest_owner_too() {
        let keyspace = KeyspaceName::new("default").unwrap();
        let user_id = UserId::new("ü".repeat(UserId::MAX_CHARS)).unwrap();
        let facts = KeyFacts {
            id: KeyId(uuid::Uuid::nil()),
            keyspace: keyspace.clone(),
            user_id: user_id.clone(),
            name: KeyName::new("a key").unwrap(),
            metadata: Metadata::empty(),
            facts: Facts {
                status: Status::Active,
                expires_at: None,
                grants: Grants(0),
            },
        };
        let number = KeyspaceNumbers::default().of(&keyspace);
        let key = CachedKey::new(
            &Digest::of("a text"),
            &facts,
            Owner::alone(&user_id),
            number,
        );
        assert_eq!(key.text_len(), "a key".len() + 2 * UserId::MAX_CHARS);
    }
}
