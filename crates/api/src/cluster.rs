//! The nodes that share a database.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The nodes that share a database, as the one that answers sees them. Clocks of different machines are not compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// What kind of database it is: `sqlite`, which has one node, or `postgres`.
    #[schema(example = "postgres")]
    pub store: String,
    /// By which rules the nodes wait for each other: a process that follows others does not join. Null on SQLite.
    #[schema(required, example = 2)]
    pub protocol: Option<u64>,
    /// How long a node may decide from memory after it began to renew its lease, with the margin, in milliseconds. Null
    /// on SQLite, where the lease has no end.
    #[schema(required, example = 3000)]
    pub lease_ms: Option<u64>,
    /// How far the clocks of two nodes may be apart after a lease, in milliseconds; a node uses its lease for so much
    /// less, and a change waits for a node that has gone for so much longer. Null on SQLite.
    #[schema(required, example = 150)]
    pub margin_ms: Option<u64>,
    /// The number of the newest change; 0 where there is none. Changes are numbered in the order of their commits.
    #[schema(example = 1042)]
    pub newest_seq: u64,
    /// How many changes the log holds; older ones are trimmed.
    #[schema(example = 1042)]
    pub change_log_rows: u64,
    /// The node that answers.
    pub this_node: ThisNode,
    /// All nodes that have joined, in the order of their ids. One that has gone without taking its leave stays until the
    /// next change has found that out.
    pub nodes: Vec<ClusterNode>,
}

/// The node that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ThisNode {
    /// Its id, drawn at the start of the process. It is among `nodes` unless the process has not joined, or the others
    /// took it for gone.
    pub id: Uuid,
    /// Whether it has its lease now, and so decides from memory; without it, each verification asks the database.
    pub has_lease: bool,
    /// Why it has none; null where it has one.
    #[schema(required)]
    pub no_lease_because: Option<NoLeaseReason>,
}

/// Why a node has no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoLeaseReason {
    /// It has just begun, and joins.
    Starting,
    /// It is about to end, and gave its lease back.
    Stopping,
    /// It takes no part in the cluster.
    NotAMember,
    /// The database did not answer, or refused, when the lease was to be renewed. The server's log has the cause.
    DatabaseUnavailable,
    /// The database did not answer within a lease when it was to be renewed.
    RenewalTookTooLong,
    /// Others took it for gone, since they saw no renewal of it for a lease, or it does not know what became of its last
    /// one. It joins again.
    TakenForGone,
    /// The changes in the database are not those that it has followed: the database was restored, or changes were lost
    /// or trimmed. It begins anew, with nothing in memory.
    HistoryDiffers,
    /// It ran out before its renewal came to an end: the process was held up. The next renewal brings it back.
    RanOut,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClusterNode {
    /// Drawn at the start of its process: a UUIDv7.
    pub id: Uuid,
    /// What it calls itself: the name of its machine.
    #[schema(example = "keys-1")]
    pub name: String,
    /// The version of its program.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Where it listens.
    #[schema(example = "10.0.0.7:7878")]
    pub address: String,
    /// Since when it runs, by its own clock.
    #[schema(format = DateTime, example = "2026-11-22T09:00:00.000000Z")]
    pub since: String,
    /// Whether it is the one that answers.
    pub is_this_node: bool,
    /// What is left of its lease, in milliseconds, 0 where it has run out. Of the node that answers, exactly; null on
    /// SQLite, where it has no end. Of another node, the most that can be left, reckoned by the clock of the one that
    /// answers from when it first saw that node's last renewal; null where it has not seen that node yet.
    #[schema(required, example = 2150)]
    pub lease_left_ms: Option<u64>,
    /// The number of the newest change that it told that it has applied, with all before it.
    #[schema(example = 1042)]
    pub applied_seq: u64,
    /// How many changes it is behind the newest.
    #[schema(example = 0)]
    pub lag: u64,
    /// How many keys it has in memory; of another node, at its last renewal.
    #[schema(example = 250_000)]
    pub cache_entries: u64,
    /// Which part of the verifications of keys, since it started, found them in memory, from 0 to 1; null where there
    /// were none. Of another node, as it told at its last renewal, by when it may not have counted those of its last
    /// `--usage-interval`.
    #[schema(required, minimum = 0, maximum = 1, example = 0.9987)]
    pub cache_hit_rate: Option<f64>,
}
