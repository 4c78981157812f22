//! What lists can be asked for: keyset pages, never an offset (DESIGN §3).

use keywright_core::audit::{Action, ActorKind};
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::{ApiKey, KeyRecord};
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use uuid::Uuid;

/// A place in a list that is newest first: everything older than (`at`, `id`) comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The time by which the list is ordered.
    pub at: Timestamp,
    /// The id that orders what has the same time.
    pub id: Uuid,
}

/// A place in the list of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPosition {
    /// When the user was first seen.
    pub at: Timestamp,
    /// The id that orders what has the same time.
    pub id: UserId,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, at most as many as were asked for.
    pub entries: Vec<T>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// Which keys to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyQuery {
    /// Whose; everybody's but service keys where nothing is said.
    pub user_id: Option<UserId>,
    /// Only those in this state.
    pub status: Option<Status>,
    /// Only those of this keyspace.
    pub keyspace: Option<KeyspaceName>,
    /// After this place.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: u32,
}

/// What somebody remembers of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// How its name begins. The case of A to Z does not count.
    NameStart(String),
    /// The first and the last characters of its text, as lists show them; at least one of both.
    Ends {
        /// [`keywright_core::key::ApiKey::prefix`], whole.
        prefix: Option<String>,
        /// [`keywright_core::key::ApiKey::postfix`], whole.
        postfix: Option<String>,
    },
}

/// A place in what was found by the start of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePosition {
    /// The name of the last key.
    pub name: String,
    /// Its id, which orders what has the same name.
    pub id: Uuid,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// The keys, at most as many as were asked for.
    pub entries: Vec<KeyRecord>,
    /// From where on there may be more. It was looked through up to there, and no further than
    /// [`KeySearch::MOST_LOOKED_THROUGH`] names that begin so, though none of them be of the state or the keyspace that was
    /// asked for.
    pub next: Option<NamePosition>,
}

/// Which keys to look for. Service keys are found only where their reserved owner is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySearch {
    /// What is known of them.
    pub by: Remembered,
    /// Whose; everybody's but service keys where nothing is said.
    pub user_id: Option<UserId>,
    /// Only those in this state.
    pub status: Option<Status>,
    /// Only those of this keyspace.
    pub keyspace: Option<KeyspaceName>,
    /// After this place; only of names.
    pub after: Option<NamePosition>,
    /// At most so many.
    pub limit: u32,
}

impl KeySearch {
    /// How many keys a search by name looks through at once where it is narrowed.
    pub const MOST_LOOKED_THROUGH: u32 = 1000;

    /// Whether only some of those are wanted that are like what is remembered.
    pub(crate) const fn is_narrowed(&self) -> bool {
        self.status.is_some() || self.keyspace.is_some()
    }

    /// Whether it is one of those.
    pub(crate) fn wants(&self, key: &ApiKey) -> bool {
        let status = key.lifecycle.status();
        self.status.is_none_or(|wanted| wanted == status)
            && self
                .keyspace
                .as_ref()
                .is_none_or(|wanted| *wanted == key.keyspace)
    }
}

/// Which users to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserQuery {
    /// Only those whose id begins so. They are then in the order of their ids, by code point, and not newest first.
    pub id_start: Option<String>,
    /// After this place.
    pub after: Option<UserPosition>,
    /// At most so many.
    pub limit: u32,
}

/// Which audit entries to list; filters must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those about this key.
    pub key_id: Option<KeyId>,
    /// Only those about this user or a key of theirs.
    pub user_id: Option<UserId>,
    /// Only those by an actor of this kind.
    pub actor_kind: Option<ActorKind>,
    /// Only those by the actor of this id.
    pub actor_id: Option<String>,
    /// Only those about this action.
    pub action: Option<Action>,
    /// Only those from this moment on.
    pub from: Option<Timestamp>,
    /// Only those before this moment.
    pub to: Option<Timestamp>,
    /// After this place.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: u32,
}
