//! A change and everything that belongs to it, as one transaction: its rows, its audit entry and, last, its row in
//! the change log (DESIGN §5).

use std::future::Future;

use keywright_core::audit::AuditEntry;
use keywright_core::timestamp::Timestamp;

use super::{Connection, Failure, record};
use crate::cluster::LeaseTerms;
use crate::{LoggedChange, Scope};

/// Something that changes the database. It may be begun more than once: where the database rolled the whole
/// transaction back, as after a deadlock, it is begun again.
pub(crate) trait Change: Send + Sync + 'static {
    /// What whoever asked for it learns.
    type Outcome: Send + 'static;

    /// Whether the answer must outlive power loss (I1). What may be lost says `false`.
    #[allow(
        dead_code,
        reason = "SQLite commits it together with what must not be lost"
    )]
    const DURABLE: bool = true;

    /// Whether it could change an earlier answer: then nobody is told of its outcome, whatever it is, before every node
    /// knows of all that this outcome may rest on (I2).
    const SETTLES: bool = false;

    /// Makes the change within the transaction of `connection`, in the order of locks keyspaces → `usage_gate` →
    /// users → `api_keys` → counts of use (one that is out of it says why nobody can wait the other way round), and tells what to record of it.
    fn make(
        &self,
        connection: &mut Connection,
    ) -> impl Future<Output = Result<Made<Self::Outcome>, Failure>> + Send;
}

/// What became of a change, and what is still to be recorded of it.
pub(crate) struct Made<T> {
    pub(super) outcome: T,
    recorded: Option<Recorded>,
}

struct Recorded {
    entry: AuditEntry,
    invalidated: Scope,
}

impl<T> Made<T> {
    /// No earlier answer is another now. What there is to record of it, if anything, is written already.
    pub(crate) fn unrecorded(outcome: T) -> Self {
        Self {
            outcome,
            recorded: None,
        }
    }

    /// It was changed, and earlier answers about `invalidated` hold no longer.
    pub(super) fn logged(outcome: T, entry: AuditEntry, invalidated: Scope) -> Self {
        Self {
            outcome,
            recorded: Some(Recorded { entry, invalidated }),
        }
    }
}

/// The columns of a row of the change log: `kind`, `key_hash`, `user_id`, `keyspace`.
pub(crate) fn columns(scope: &Scope) -> (&'static str, Option<&[u8]>, Option<&str>, Option<&str>) {
    match scope {
        Scope::Key(digest) => ("key", Some(digest.as_bytes()), None, None),
        Scope::User(id) => ("user", None, Some(id.as_str()), None),
        Scope::Keyspace(name) => ("keyspace", None, None, Some(name.as_str())),
    }
}

/// What makes a row of the change log this one and no other.
pub(crate) struct LogStamp<'a> {
    /// Random, so that two histories that share a seq can be told apart.
    pub(crate) nonce: &'a [u8; 16],
    /// When the change was asked for.
    pub(crate) at: Timestamp,
}

/// What a transaction did: what whoever asked for it learns, and the row it has in the change log.
pub(crate) struct Carried<T> {
    pub(crate) outcome: T,
    pub(crate) logged: Option<LoggedChange>,
    /// Of the leases that were asked for before that row; `None` where there are none.
    #[allow(dead_code, reason = "an embedded database has no leases")]
    pub(crate) terms: Option<LeaseTerms>,
}

/// What appending to the change log tells.
pub(crate) struct Appended {
    pub(crate) seq: i64,
    pub(crate) terms: Option<LeaseTerms>,
}

/// Makes a change and records it. The row of `cluster` is the last lock taken, and the commit follows at once: on
/// PostgreSQL in the same message, so that after a row was appended the change is committed.
pub(crate) async fn carry_out<C: Change>(
    change: &C,
    nonce: &[u8; 16],
    connection: &mut Connection,
) -> Result<Carried<C::Outcome>, Failure> {
    let made = change.make(connection).await?;
    let (mut logged, mut terms) = (None, None);
    if let Some(Recorded { entry, invalidated }) = made.recorded {
        let stamp = LogStamp {
            nonce,
            at: entry.by.at,
        };
        let appended = record(connection, &entry, &invalidated, &stamp).await?;
        terms = appended.terms;
        logged = Some(LoggedChange {
            seq: appended.seq.cast_unsigned(),
            scope: invalidated,
        });
    }
    Ok(Carried {
        outcome: made.outcome,
        logged,
        terms,
    })
}
