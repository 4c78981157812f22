//! What a trial found.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Fault, Stale};

/// What one node answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeAnswers {
    /// Verifications that it decided, each judged.
    pub decided: u64,
    /// Those it said nothing about, or that it could not know.
    pub undecided: u64,
}

/// A change that took longer than a lease and what was done to the cluster meanwhile.
#[derive(Debug, Clone)]
pub struct SlowChange {
    /// What was asked for.
    pub what: String,
    /// By which node it was answered.
    pub node: usize,
    /// How long it took.
    pub took: Duration,
    /// A lease, its margin, and how long faults lasted meanwhile.
    pub allowed: Duration,
}

/// What a trial found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The first answer that showed what had been replaced.
    pub stale: Option<Stale>,
    /// Of each node.
    pub nodes: Vec<NodeAnswers>,
    /// Changes that were answered, of whatever kind.
    pub changes: u64,
    /// Those of which it is not known whether they were made.
    pub unknown: u64,
    /// Answers that no fault explains.
    pub unexpected: Vec<String>,
    /// Changes that took too long.
    pub slow: Vec<SlowChange>,
    /// The longest change of all that were answered.
    pub slowest: Duration,
    /// Faults, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Verifications while nothing was wrong, and the statements that went to the database meanwhile.
    pub calm: (u64, u64),
    /// How long after the database was there again every node had its lease, at most.
    pub recovered: Duration,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Verifications that were decided, by all nodes.
    pub fn decided(&self) -> u64 {
        self.nodes.iter().map(|node| node.decided).sum()
    }

    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }
}
