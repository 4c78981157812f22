//! What was promised, and whether it was kept.

use crate::database::{Change, Database};

/// What has happened so far, as far as it matters to the promise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Promise {
    /// The newest change that has answered.
    answered: Change,
    is_broken: bool,
    has_used_lost: bool,
}

impl Promise {
    /// What a verification that starts now must not be older than.
    pub const fn to_whoever_starts(&self) -> Change {
        self.answered
    }

    /// A change has answered, or somebody was told that it holds.
    pub fn answer(&mut self, change: Change, database: &Database) {
        // What the database has lost is outside of the promise, even if it is answered only now.
        if database.has(change) {
            self.answered = self.answered.max(change);
        }
    }

    /// A verification was decided by a state. If the database was set back since it began, nothing is `promised` to it.
    pub fn decide(&mut self, promised: Option<Change>, state: Change, database: &Database) {
        if let Some(promised) = promised {
            self.is_broken |= state < promised;
            self.has_used_lost |= !database.has(state);
        }
    }

    /// Whether a verification was decided by what was before a change that had answered when it began (I2).
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether a verification was decided by something that the database had lost when it began.
    ///
    /// That is not older than what was answered, and yet wrong: with nothing to drop it from memory, it would be used for
    /// as long as the process runs.
    pub const fn has_used_lost(&self) -> bool {
        self.has_used_lost
    }

    /// The database was set back: what was answered before is outside of the promise.
    pub fn void(&mut self) {
        self.answered = Change::default();
    }
}
