//! What the database holds, and what one statement does to it.

use crate::bounds::{MOST_CHANGES, MOST_NODES};
use crate::clock::{LEASE, Left};
use crate::rules::Rules;

/// A change of the key, and the state of the key that it makes.
///
/// Ordered as they came to be: what a database is given after it was set back is newer than whatever it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Change {
    /// Which history it is of. That is what its nonce tells from another's, and all that it tells.
    pub history: u8,
    /// Its place in the log; 0 is the beginning.
    pub seq: u8,
}

/// The history of what nobody committed.
pub const INVENTED: u8 = u8::MAX;

/// The change log: of each change its history, by seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Log {
    histories: [u8; MOST_CHANGES],
    last_seq: u8,
}

impl Log {
    fn newest(self) -> Change {
        Change {
            history: self.history_of(self.last_seq),
            seq: self.last_seq,
        }
    }

    fn history_of(self, seq: u8) -> u8 {
        seq.checked_sub(1)
            .map_or(0, |index| self.histories[usize::from(index)])
    }

    fn has(self, change: Change) -> bool {
        change.seq <= self.last_seq && self.history_of(change.seq) == change.history
    }

    fn append(&mut self, history: u8) {
        self.histories[usize::from(self.last_seq)] = history;
        self.last_seq += 1;
    }

    fn truncate(&mut self, last_seq: u8) {
        self.histories[usize::from(last_seq)..].fill(0);
        self.last_seq = last_seq;
    }
}

/// A row of `nodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// How often the node renewed its lease.
    pub renewal: u8,
    /// `applied_seq`.
    pub applied: u8,
}

/// The number of a node's first renewal.
pub const FIRST_RENEWAL: u8 = 1;

/// The nodes by their ids.
pub type Rows = [Option<Row>; MOST_NODES];

/// What the log has beyond a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Every change after it, up to this one.
    UpTo(Change),
    /// There was no place to begin from; this is the newest.
    Newest(Change),
    /// A change that nobody committed: of another key, as far as it says.
    Invented(Change),
    /// The log is not the one that was followed.
    Broken,
}

/// A statement with which a node tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Statement {
    /// `UPDATE nodes SET renewal = renewal + 1` where it is what the node last wrote.
    Renew {
        /// Which node.
        id: usize,
        /// What it last wrote.
        written: u8,
    },
    /// `INSERT INTO nodes`, or the same for a row that is there already.
    Join {
        /// Which node.
        id: usize,
        /// The number of this renewal.
        renewal: u8,
        /// What it has applied. `None` where that is nothing, so that it knows of nothing older than the newest.
        applied: Option<u8>,
    },
    /// `UPDATE nodes SET applied_seq` where it is less.
    Tell {
        /// Which node.
        id: usize,
        /// Up to where it has applied the log.
        applied: Change,
    },
}

/// The one database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Database {
    /// There is one key, so these are its states too.
    log: Log,
    /// Of further changes.
    history: u8,
    rows: Rows,
    /// What of the rows a crash leaves. `None` where none can come (any more).
    durable: Option<Rows>,
    /// What the database can be set back to: a last seq, and rows.
    backup: Option<(u8, Rows)>,
    /// Stopped, and for how long nobody reaches it at least.
    stopped: Option<Left>,
}

impl Database {
    /// With these nodes, and no changes.
    pub fn new(rows: Rows, can_crash: bool) -> Self {
        Self {
            log: Log::default(),
            history: 0,
            rows,
            durable: can_crash.then_some(rows),
            backup: None,
            stopped: None,
        }
    }

    /// Whether statements are answered.
    pub const fn is_up(&self) -> bool {
        self.stopped.is_none()
    }

    /// The newest change, and so the state of the key.
    pub fn newest(&self) -> Change {
        self.log.newest()
    }

    /// Whether a change is in the log.
    pub fn has(&self, change: Change) -> bool {
        self.log.has(change)
    }

    /// The nodes by their ids.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The transaction of a change.
    pub fn change(&mut self) -> Change {
        self.log.append(self.history);
        self.flush();
        self.newest()
    }

    /// Reads the log on from `place`. It is broken where it lacks the change at that place, or ends before `furthest`.
    pub fn log_from(&self, place: Option<Change>, furthest: u8, rules: &Rules) -> Part {
        let newest = self.newest();
        let Some(place) = place else {
            return Part::Newest(newest);
        };
        if newest.seq < furthest.max(place.seq) || (rules.nonces_are_compared && !self.has(place)) {
            Part::Broken
        } else {
            Part::UpTo(newest)
        }
    }

    /// The change after `place`, of which there is word: `None` where that goes on from another.
    pub fn next_after(&self, place: Change, rules: &Rules) -> Option<Change> {
        let goes_on = !rules.nonces_are_compared || self.has(place);
        let seq = place.seq + 1;
        (goes_on && seq <= self.log.last_seq).then(|| Change {
            history: self.log.history_of(seq),
            seq,
        })
    }

    /// Does what a node asks for; whether there was something to be done.
    pub fn execute(&mut self, statement: Statement, rules: &Rules) -> bool {
        match statement {
            Statement::Renew { id, written } => {
                let Some(row) = self.rows[id].as_mut().filter(|row| row.renewal == written) else {
                    return false;
                };
                row.renewal += 1;
                if rules.renewals_are_durable {
                    self.flush();
                }
            }
            Statement::Join {
                id,
                renewal,
                applied,
            } => {
                if rules.late_joins_are_refused
                    && self.rows[id].is_some_and(|row| row.renewal >= renewal)
                {
                    return false;
                }
                self.rows[id] = Some(Row {
                    renewal,
                    applied: applied.unwrap_or(self.newest().seq),
                });
                self.flush();
            }
            // Not durable: it is told again.
            Statement::Tell { id, applied } => {
                let is_confirmed = !rules.telling_is_confirmed || self.has(applied);
                match &mut self.rows[id] {
                    Some(row) if is_confirmed => row.applied = row.applied.max(applied.seq),
                    _ => return false,
                }
            }
        }
        true
    }

    /// Deletes a node whose renewal is still this.
    pub fn delete(&mut self, id: usize, renewal: u8) {
        if self.rows[id].is_some_and(|row| row.renewal == renewal) {
            self.leave(id);
        }
    }

    /// Deletes a node.
    pub fn leave(&mut self, id: usize) {
        self.rows[id] = None;
        self.flush();
    }

    /// Whatever was committed before a durable commit is durable with it.
    const fn flush(&mut self) {
        if let Some(durable) = &mut self.durable {
            *durable = self.rows;
        }
    }

    /// Whether it can crash.
    pub const fn can_crash(&self) -> bool {
        self.durable.is_some()
    }

    /// Whether a crash would lose something.
    pub fn would_lose(&self) -> bool {
        self.durable.is_some_and(|durable| durable != self.rows)
    }

    /// Loses what was not durable, and is back at once.
    pub const fn crash(&mut self) {
        if let Some(durable) = self.durable.take() {
            self.rows = durable;
        }
    }

    /// Whether there can still be a backup: there is one, for one restore.
    pub const fn can_be_backed_up(&self) -> bool {
        self.backup.is_none() && self.history == 0
    }

    /// Keeps what it holds.
    pub const fn back_up(&mut self) {
        self.backup = Some((self.log.last_seq, self.rows));
    }

    /// Whether there is a backup that was not used.
    pub const fn has_backup(&self) -> bool {
        self.backup.is_some()
    }

    /// Answers nobody any more, in order to be set back.
    pub const fn stop(&mut self, rules: &Rules) {
        self.stopped = Some(Left::ticks(if rules.restores_outlast_leases {
            LEASE
        } else {
            0
        }));
    }

    /// Whether it was stopped for long enough.
    pub fn can_come_back(&self) -> bool {
        self.stopped.is_some_and(|left| !left.is_ahead())
    }

    /// Answers again, with what it held when it was backed up. What follows is another history.
    pub fn come_back(&mut self) {
        if let Some((last_seq, rows)) = self.backup.take() {
            self.log.truncate(last_seq);
            self.rows = rows;
            self.history += 1;
        }
        self.stopped = None;
    }

    /// Lets a tick of true time pass.
    pub const fn pass(&mut self) {
        if let Some(left) = &mut self.stopped {
            left.pass(1);
        }
    }
}
