//! What the nodes on one database tell each other through it (DESIGN §5).
//!
//! This is what can be asked of the database. What must be asked in which order, and why, is the engine's.

use std::time::Duration;

use async_trait::async_trait;
use keywright_core::timestamp::Timestamp;
use uuid::Uuid;

use crate::{Scope, StoreError};

/// The rules by which nodes and changes wait for each other. A process that follows others joins no cluster.
pub const PROTOCOL: u64 = 2;

/// One running server process. Drawn at its start, and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub Uuid);

/// How long a node may decide from memory after it was last told everything. The same for all of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// How long.
    pub lease: Duration,
    /// How far the clocks of two processes may be apart at the end of that, from having begun together.
    pub margin: Duration,
}

impl LeaseTerms {
    /// How long a node's lease is used, by its own clock, from before it asked for it.
    pub fn usable(&self) -> Duration {
        self.lease.saturating_sub(self.margin)
    }

    /// After how long no lease that was asked for before is used, by anybody's clock.
    pub fn outwaited(&self) -> Duration {
        self.lease + self.margin
    }
}

/// What a change found of its cluster when it was committed, or when it was found to hold already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The change's seq, or that of the newest change that could be why it held.
    pub seq: u64,
    /// Whether it was committed by this process just now.
    pub is_own: bool,
    /// Of every lease that was asked for before.
    pub terms: LeaseTerms,
}

/// What a node says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCard {
    /// Which it is.
    pub id: NodeId,
    /// What people call it: the machine's name.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a node tells of itself at every renewal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeFigures {
    /// How many keys it has in memory.
    pub keys: u64,
    /// How many verifications it decided from memory so far.
    pub hits: u64,
    /// How many it did not.
    pub misses: u64,
}

/// A node, as every other sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// What it said when it joined.
    pub card: NodeCard,
    /// How often it renewed its lease.
    pub renewal: u64,
    /// Every change up to this one is applied there.
    pub applied_seq: u64,
    /// What it told last.
    pub figures: NodeFigures,
}

/// What a database says of its history and of those who share it, of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The seq of the newest change; 0 where there is none.
    pub last_seq: u64,
    /// How many rows the change log has.
    pub log_rows: u64,
    /// What its nodes have agreed on; `None` where it has one node.
    pub agreed: Option<Agreed>,
    /// The nodes that have joined, in the order of their ids; none where it has one node, which joins nobody.
    pub nodes: Vec<NodeRow>,
}

/// What the nodes on one database have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The rules by which they wait for each other: see [`PROTOCOL`].
    pub protocol: u64,
    /// Of every lease.
    pub terms: LeaseTerms,
}

/// A place in the history of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogMark {
    /// Its number.
    pub seq: u64,
    /// What tells it from a change of the same number in another history.
    pub nonce: [u8; 16],
}

impl LogMark {
    /// Before the first change of all.
    pub const BEGINNING: Self = Self {
        seq: 0,
        nonce: [0; 16],
    };
}

/// A row of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Where in the history.
    pub mark: LogMark,
    /// What it is about.
    pub scope: Scope,
}

/// A part of the change log, of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// The seq of the newest change.
    pub last_seq: u64,
    /// Changes in ascending order, from the one asked for.
    pub rows: Vec<LogRow>,
}

/// The most rows of a [`LogPart`].
pub const LOG_PART: usize = 1000;

/// What a process that joins is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Of every lease in this cluster.
    pub terms: LeaseTerms,
}

/// Waits until a change is known wherever it must be.
#[async_trait]
pub trait Settling: Send + Sync + 'static {
    /// Returns when no verification that starts afterwards, on any node, is decided by what was before this; there is
    /// only this one node where nothing is said of it. Called when the change is committed, or found to hold, before it
    /// is answered. Never fails: leases run out.
    async fn settled(&self, standing: Option<Standing>);
}

/// A database that several nodes share.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// A connection of its own, made when it is first needed and made again after it broke.
    fn session(&self) -> Box<dyn ClusterSession>;

    /// The same, on a connection that also brings [`Word`] of changes.
    fn listening_session(&self) -> Box<dyn ClusterSession>;
}

/// Word of changes that were committed, by whomever. It is word only: whoever may connect to the database can spread it, so
/// what follows from it must be confirmed by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// These, in the order of the log. What lies between them and what was read before may be missing.
    Of(Vec<Told>),
    /// There are some.
    OfSome,
}

/// A change that was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The [nonce](LogMark::nonce) of the change before it in the log, so that it can be seen whether it goes on from there.
    pub after: [u8; 16],
    /// Its row.
    pub row: LogRow,
}

/// What one task of a process asks of the database of a cluster. Every answer is the primary's.
///
/// Every method may fail with [`StoreError`]; whether it was done is unknown then.
#[async_trait]
pub trait ClusterSession: Send {
    /// Enters this node, which is not there, as one that has applied every change up to `applied`, or nothing and so
    /// all of them. Durable. The first of all nodes sets the terms where it wants some.
    ///
    /// Its count of renewals begins with `renewal`, which must be higher than it ever was: whoever saw the node before
    /// it had gone must not take it for the same.
    ///
    /// # Errors
    /// Also where the database is of another [`PROTOCOL`].
    async fn join(
        &mut self,
        node: &NodeCard,
        renewal: u64,
        applied: Option<u64>,
        wanted: Option<LeaseTerms>,
    ) -> Result<Joined, StoreError>;

    /// Counts this node's `renewal` up if it is still what it was, and gives all nodes as they were just before. Durable.
    /// `None` where it is another, or the node is not there.
    async fn renew(
        &mut self,
        id: NodeId,
        renewal: u64,
        figures: NodeFigures,
    ) -> Result<Option<Vec<NodeRow>>, StoreError>;

    /// Reads the log from this seq on, or the newest change alone; at most [`LOG_PART`] rows.
    async fn read_log(&mut self, from: Option<u64>) -> Result<LogPart, StoreError>;

    /// Tells that this node has applied every change up to this one, if it stands in the log (or is the beginning) and the
    /// node is there; `false` where not, and nothing is told. May be lost with the machine.
    async fn tell_applied(&mut self, id: NodeId, mark: LogMark) -> Result<bool, StoreError>;

    /// All nodes.
    async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreError>;

    /// Removes a node if its `renewal` is still this; `false` where it is not.
    async fn remove(&mut self, id: NodeId, renewal: u64) -> Result<bool, StoreError>;

    /// Removes this process's own node.
    async fn leave(&mut self, id: NodeId) -> Result<(), StoreError>;

    /// Waits for word of changes: none comes where the session does not listen, nor before it was asked something else,
    /// which makes its connection. Some may be lost. Not to wait any longer loses nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the connection broke: what was told meanwhile is lost.
    async fn word(&mut self) -> Result<Word, StoreError>;
}
