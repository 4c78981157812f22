//! What can be left out of the protocol, or done in another order.

/// The rules of the protocol. Each can be changed alone, and then the checker must find what it is for; of the one that
/// is for nothing that is promised, EXPLORED.md says so.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// In which order a node renews its lease. Hearing of a change, it does the same but for the lease.
    pub renewal: [Duty; 6],
    /// From when a deadline counts.
    pub deadline_counts_from: Moment,
    /// In which order a verification looks at things.
    pub verification: [Look; 3],
    /// What was loaded is not put into memory if a newer change was applied meanwhile.
    pub fills_are_gated: bool,
    /// Leases are used for the margin less, and waited for the margin longer.
    pub margin_is_kept: bool,
    /// A node is deleted a lease and margin after its renewal was read. Else: after t1 of a change that waits for it.
    pub deletion_counts_from_reading: bool,
    /// A change that holds already is answered no sooner than one that did not.
    pub repeats_wait: bool,
    /// No two processes ever have the same node id.
    pub node_ids_are_unique: bool,
    /// A renewal outlives a crash of the database.
    pub renewals_are_durable: bool,
    /// A node that joins again goes on counting its renewals where nobody saw them yet.
    pub rejoining_counts_on: bool,
    /// The change that a node applied last must still have its nonce in the log.
    pub nonces_are_compared: bool,
    /// A node that joins leaves its row alone where that has a higher renewal: it has joined again since it asked.
    pub late_joins_are_refused: bool,
    /// When a node looks whether its lease ran out. If it did, the node drops its place in the log and its row, and all
    /// of its memory before it has a lease again.
    pub lease_is_looked_at: LeaseLooks,
    /// A change in the log counts as known if the process made one of that number *and* about the same.
    pub own_changes_are_compared: bool,
    /// When the database is set back, nobody reaches it for a lease.
    pub restores_outlast_leases: bool,
    /// What a node tells that it has applied must stand in the log, with its nonce.
    pub telling_is_confirmed: bool,
}

/// From when a deadline counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything was asked.
    T0,
    /// When the renewal was answered.
    RenewalAnswered,
    /// When the log was there.
    LogAnswered,
}

/// When a node looks whether its lease ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseLooks {
    /// Never: it goes on from where it was.
    Never,
    /// Before it renews it.
    Before,
    /// Before it renews it, and again when that is answered. Then the renewal fails, and the next begins anew.
    BeforeAndAfter,
}

/// What a node does in a renewal after it took t0. Each is a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Looks whether its lease goes on; if not, it begins anew.
    LookAtLease,
    /// Counts its renewals up in the database, or joins.
    Renew,
    /// Reads the log beyond what it has applied.
    ReadLog,
    /// Drops from memory what was changed.
    Apply,
    /// Stores the deadline.
    SetDeadline,
    /// Writes `applied_seq`.
    Tell,
}

/// What a verification looks at. Each is a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Until when memory may be used.
    AtDeadline,
    /// What memory holds of the key.
    AtMemory,
    /// Whether the deadline that it saw is still ahead.
    AtClock,
}

impl Rules {
    /// The protocol.
    pub const ALL: Self = Self {
        renewal: [
            Duty::LookAtLease,
            Duty::Renew,
            Duty::ReadLog,
            Duty::Apply,
            Duty::SetDeadline,
            Duty::Tell,
        ],
        deadline_counts_from: Moment::T0,
        verification: [Look::AtDeadline, Look::AtMemory, Look::AtClock],
        fills_are_gated: true,
        margin_is_kept: true,
        deletion_counts_from_reading: true,
        repeats_wait: true,
        node_ids_are_unique: true,
        renewals_are_durable: true,
        rejoining_counts_on: true,
        nonces_are_compared: true,
        late_joins_are_refused: true,
        lease_is_looked_at: LeaseLooks::BeforeAndAfter,
        own_changes_are_compared: true,
        restores_outlast_leases: true,
        telling_is_confirmed: true,
    };

    /// Whether a node looks at its lease after the renewal, too.
    pub fn looks_again(&self) -> bool {
        self.lease_is_looked_at == LeaseLooks::BeforeAndAfter
    }
}
