//! Keys that can be made again: key number `n` has the same text whenever it is asked for, so that ten million of
//! them need not be kept to be verified.
//!
//! They are real ones, minted by the code that mints every key, tagged with the keyspace's tag key; only the generator
//! is a counter in disguise. Names have 12 characters, there is no metadata, and ten keys belong to each user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy, EntropyError};
use keywright_core::audit::{Actor, ActorKind, Attribution};
use keywright_core::identifier::{KeyId, KeyspaceName, UserId, time_ordered_id};
use keywright_core::key::KeyRecord;
use keywright_core::key_text::{KeyText, TagKeys};
use keywright_core::keyspace::{DEFAULT, Keyspace};
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use keywright_core::timestamp::Timestamp;
use keywright_store::Store;

use crate::Outcome;

/// How many keys belong to each user.
pub const KEYS_PER_USER: u64 = 10;

/// When the first key was made; each later one is a millisecond younger.
const FIRST_MADE: i64 = 1_700_000_000_000_000;

/// `EXECUTE_GRAPH` and `READ_GRAPH`.
const GRANTS: Grants = Grants(0b11);

/// Keys of the keyspace `default` of one database.
#[derive(Clone)]
pub struct Population {
    keyspace: Arc<Keyspace>,
    tag_keys: Arc<TagKeys>,
}

impl Population {
    /// Those of the database of `store`, whose tag keys are its own.
    pub async fn of(store: &dyn Store) -> Outcome<Self> {
        let name = KeyspaceName::new(DEFAULT)?;
        let found = store.find_keyspace(&name).await?;
        let (keyspace, tag_keys) = found.ok_or("the database has no keyspace `default`")?;
        Ok(Self {
            keyspace: Arc::new(keyspace),
            tag_keys: Arc::new(tag_keys),
        })
    }

    /// The text of key number `n`.
    pub fn text(&self, n: u64) -> Outcome<KeyText> {
        let numbered = Numbered::new(n);
        Ok(KeyText::mint(
            &self.keyspace.prefix,
            self.tag_keys.newest(),
            &numbered,
        )?)
    }

    /// Key number `n` as it is stored.
    pub fn record(&self, n: u64) -> Outcome<KeyRecord> {
        let at = made_at(n);
        let id = time_ordered_id(&Moment(at), &Numbered::new(!n))?;
        Ok(KeyRecord::minted(
            &self.text(n)?,
            KeyId(id),
            self.keyspace.clone(),
            owner(n)?,
            KeyName::new(format!("key {n:08}"))?,
            GRANTS,
            at,
        ))
    }
}

/// Who made key number `n`, and in which request.
pub fn attribution(n: u64) -> Outcome<Attribution> {
    let at = made_at(n);
    Ok(Attribution {
        entry_id: time_ordered_id(&Moment(at), &Numbered::new(n.rotate_left(32)))?,
        at,
        actor: Actor {
            kind: ActorKind::ServiceKey,
            id: "018bcfe5-6800-7000-8000-000000000000".to_owned(),
        },
        ip: Some("127.0.0.1".to_owned()),
        user_agent: None,
        request_id: Some("018bcfe5-6800-7000-8000-000000000001".to_owned()),
    })
}

/// When key number `n` was made.
pub fn made_at(n: u64) -> Timestamp {
    let later = i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(1_000);
    Timestamp::from_micros(FIRST_MADE.saturating_add(later))
}

/// Whose key number `n` is: an id as identity providers give them, a UUID.
pub fn owner(n: u64) -> Outcome<UserId> {
    let number = n / KEYS_PER_USER;
    let (high, low) = (mixed(number), mixed(!number));
    Ok(UserId::new(format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff,
    ))?)
}

/// All numbers below `count`, each once and in an order that looks like none: place `place` of it.
pub fn shuffled(place: u64, count: u64) -> u64 {
    // A prime that divides no count of this program's: stepping by it meets everything before anything twice.
    const STEP: u128 = 6_700_417 * 274_177;
    let number = (u128::from(place) * STEP + 12_345) % u128::from(count.max(1));
    u64::try_from(number).unwrap_or(0)
}

/// A clock that stands.
struct Moment(Timestamp);

impl Clock for Moment {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

/// The "random" bytes of one number.
struct Numbered(AtomicU64);

impl Numbered {
    fn new(n: u64) -> Self {
        Self(AtomicU64::new(mixed(n)))
    }
}

impl Entropy for Numbered {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for bytes in buffer.chunks_mut(8) {
            let state = self.0.fetch_add(GOLDEN, Ordering::Relaxed);
            let random = mixed(state).to_le_bytes();
            bytes.copy_from_slice(&random[..bytes.len()]);
        }
        Ok(())
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): every number goes to another one, far away.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(GOLDEN);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everything_is_met_once() {
        for count in [1, 10, 1_000, 10_000] {
            let met: BTreeSet<_> = (0..count).map(|place| shuffled(place, count)).collect();
            assert_eq!(met.len() as u64, count);
            assert_eq!(met.last(), Some(&(count - 1)));
        }
    }

    #[test]
    fn ten_keys_in_a_row_have_one_owner() {
        let owners: BTreeSet<_> = (0..1_000)
            .map(|n| owner(n).unwrap().as_str().to_owned())
            .collect();
        assert_eq!(owners.len(), 100);
        assert!(owners.iter().all(|owner| owner.len() == 36));
    }
}
