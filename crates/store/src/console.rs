//! What the web console keeps: who is signed in, and which forms were sent.

use async_trait::async_trait;
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::timestamp::Timestamp;
use uuid::Uuid;

use crate::StoreError;

/// As whom somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedIn {
    /// By this service key, with what it may do.
    ServiceKey(KeyId),
    /// As this user of the identity provider.
    User {
        /// The user.
        id: UserId,
        /// Whether the provider says that they may act on everybody's keys.
        operator: bool,
    },
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What it is called.
    pub id: Uuid,
    /// As whom.
    pub who: SignedIn,
    /// Since when.
    pub began_at: Timestamp,
    /// When something was last seen of it, to within a minute.
    pub seen_at: Timestamp,
    /// When it ends, whatever is seen of it.
    pub ends_at: Timestamp,
    /// From where it was begun.
    pub ip: Option<String>,
    /// By which program.
    pub user_agent: Option<String>,
}

/// Of the sessions of one person, so many are listed, the newest.
pub const LISTED_SESSIONS: u32 = 100;

/// What the console asks of a database. Every method may fail with [`StoreError`].
#[async_trait]
pub trait Console: Send + Sync + 'static {
    /// Signs somebody in, whose browser keeps the text of this digest. Makes the user where there is none.
    async fn begin_session(&self, session: Session, digest: Digest) -> Result<(), StoreError>;

    /// The session of this digest, of which something was seen after `seen_after` and which does not end before `now`.
    async fn find_session(
        &self,
        digest: &Digest,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Result<Option<Session>, StoreError>;

    /// Notes that something is seen of a session. It may be lost with the machine.
    async fn note_session(&self, id: Uuid, now: Timestamp) -> Result<(), StoreError>;

    /// The sessions of somebody of which something was seen after `seen_after` and that do not end before `now`, newest
    /// first, at most [`LISTED_SESSIONS`].
    async fn list_sessions(
        &self,
        who: &SignedIn,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends one session of somebody; `false` where they have none of this id.
    async fn end_session(&self, who: &SignedIn, id: Uuid) -> Result<bool, StoreError>;

    /// Ends all sessions of somebody; answers how many there were.
    async fn end_sessions(&self, who: &SignedIn) -> Result<u64, StoreError>;

    /// Notes that a form was sent, by what stood in it; `false` where it was before.
    async fn use_form(&self, digest: Digest, now: Timestamp) -> Result<bool, StoreError>;

    /// Forgets sessions that had ended, and forms that were sent, before these moments; some at a time.
    async fn trim_console(
        &self,
        ended_before: Timestamp,
        sent_before: Timestamp,
    ) -> Result<(), StoreError>;
}
