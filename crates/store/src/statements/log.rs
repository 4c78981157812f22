//! The change log, cut to what a node may still ask for.

use super::change::{Change, Made, extent_of_log};
use super::{Connection, Failure, query};

statements! {
    // Up to what the slowest node has applied, which looks for it; and never the newest, by which histories are told
    // apart.
    TRIM = "DELETE FROM change_log \
         WHERE seq < (SELECT MIN(seq) FROM change_log) + $1 \
         AND seq < (SELECT last_seq - $2 + 1 FROM cluster WHERE id = 1) \
         AND seq < COALESCE((SELECT MIN(applied_seq) FROM nodes), (SELECT last_seq FROM cluster WHERE id = 1))";
    EXTENT = "SELECT last_seq, (SELECT MIN(seq) FROM change_log) AS oldest FROM cluster WHERE id = 1";
}

/// How many changes one transaction removes at most, so that others wait a moment only.
const PART: u16 = 1000;

/// Removes some of the changes beyond so many of the newest.
pub(super) struct TrimLog {
    pub(super) keep: u64,
}

/// What became of it.
pub(crate) struct Trimmed {
    /// How many are there now.
    pub(super) left: u64,
    /// Whether there may be more to remove.
    pub(super) more: bool,
}

impl Change for TrimLog {
    type Outcome = Trimmed;
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<Trimmed>, Failure> {
        let removed = query(TRIM)
            .bind(i64::from(PART))
            .bind(i64::try_from(self.keep.max(1)).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?
            .rows_affected();
        let extent = query(EXTENT).fetch_one(connection).await?;
        let (_, left) = extent_of_log(&extent)?;
        let more = removed == u64::from(PART);
        Ok(Made::unrecorded(Trimmed { left, more }))
    }
}
