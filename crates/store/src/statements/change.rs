//! A change and everything that belongs to it, as one transaction: its rows, its audit entry and, last, its row in
//! the change log (DESIGN §5).

use std::future::Future;

use keywright_core::audit::AuditEntry;

use sqlx::Row as _;

use super::{Connection, Failure, Row, record};
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
    to_record: Option<ToRecord>,
}

struct ToRecord {
    entry: AuditEntry,
    invalidated: Scope,
}

impl<T> Made<T> {
    /// What whoever asked for it learns.
    pub(crate) fn outcome(&self) -> &T {
        &self.outcome
    }

    /// No earlier answer is another now. What there is to record of it, if anything, is written already.
    pub(crate) fn unrecorded(outcome: T) -> Self {
        Self {
            outcome,
            to_record: None,
        }
    }

    /// It was changed, and earlier answers about `invalidated` hold no longer.
    pub(super) fn logged(outcome: T, entry: AuditEntry, invalidated: Scope) -> Self {
        Self {
            outcome,
            to_record: Some(ToRecord { entry, invalidated }),
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

/// What is recorded of one change: its audit entry, and its row in the change log.
pub(crate) struct Record<'a> {
    /// Its time is that of the row.
    pub(crate) entry: &'a AuditEntry,
    /// What holds no longer.
    pub(crate) scope: &'a Scope,
    /// Random, so that two histories that share a seq can be told apart.
    pub(crate) nonce: &'a [u8; 16],
}

/// What a transaction did: what whoever asked for it learns, and the row it has in the change log.
pub(crate) struct Carried<T> {
    pub(crate) outcome: T,
    pub(crate) logged: Option<LoggedChange>,
    /// Of the leases that were asked for before that row; `None` where there are none.
    #[allow(dead_code, reason = "an embedded database has no leases")]
    pub(crate) terms: Option<LeaseTerms>,
}

/// The newest seq, and how many rows the log has, which has no gaps: from a row with `last_seq` and `oldest`.
pub(crate) fn extent_of_log(row: &Row) -> Result<(u64, u64), Failure> {
    let last: i64 = row.try_get("last_seq")?;
    let oldest: Option<i64> = row.try_get("oldest")?;
    let rows = oldest.map_or(0, |oldest| last - oldest + 1);
    let number = |number: i64| u64::try_from(number).map_err(Failure::damaged("change_log.seq"));
    Ok((number(last)?, number(rows)?))
}

/// What recording changes tells.
pub(crate) struct Recorded {
    /// Of the last of them; those before have the numbers before.
    pub(crate) last_seq: u64,
    pub(crate) terms: Option<LeaseTerms>,
}

/// Makes changes one after the other, and records them. The row of `cluster` is the last lock taken, and the commit
/// follows at once: on PostgreSQL in the same message, so that where something was recorded all is committed.
pub(crate) async fn carry_out<C: Change>(
    changes: &[(&C, &[u8; 16])],
    connection: &mut Connection,
) -> Result<Vec<Carried<C::Outcome>>, Failure> {
    let mut made = Vec::with_capacity(changes.len());
    for (change, _) in changes {
        made.push(change.make(connection).await?);
    }
    let nonces = changes.iter().map(|(_, nonce)| *nonce);
    let records = records(&made, nonces);
    let recorded = if records.is_empty() {
        None
    } else {
        Some(record(connection, &records).await?)
    };
    Ok(numbered(made, recorded))
}

/// What there is to record.
pub(crate) fn records<'a, T>(
    made: &'a [Made<T>],
    nonces: impl Iterator<Item = &'a [u8; 16]>,
) -> Vec<Record<'a>> {
    made.iter()
        .zip(nonces)
        .filter_map(|(made, nonce)| {
            let ToRecord { entry, invalidated } = made.to_record.as_ref()?;
            Some(Record {
                entry,
                scope: invalidated,
                nonce,
            })
        })
        .collect()
}

/// What was made, with the numbers under which it was recorded.
pub(crate) fn numbered<T>(made: Vec<Made<T>>, recorded: Option<Recorded>) -> Vec<Carried<T>> {
    let count = made.iter().filter(|made| made.to_record.is_some()).count() as u64;
    let mut seq = recorded
        .as_ref()
        .map_or(0, |recorded| recorded.last_seq - count);
    let terms = recorded.and_then(|recorded| recorded.terms);
    let carried = made.into_iter().map(|Made { outcome, to_record }| {
        let logged = to_record.map(|ToRecord { invalidated, .. }| {
            seq += 1;
            LoggedChange {
                seq,
                scope: invalidated,
            }
        });
        Carried {
            outcome,
            terms: logged.as_ref().and(terms),
            logged,
        }
    });
    carried.collect()
}
