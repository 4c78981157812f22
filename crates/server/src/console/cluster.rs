//! `/cluster`: the nodes that share the database, as `GET /api/cluster` tells of them.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use keywright_api::{Cluster, ClusterNode, NoLeaseReason};
use keywright_core::timestamp::Timestamp;

use super::moment::Moment;
use super::page::{Frame, Section, page};
use super::visitor::Visitor;
use crate::authority::ClusterRead;
use crate::problem::Problem;
use crate::routes::cluster::read_cluster;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "console/cluster.html")]
struct ClusterPage {
    frame: Frame,
    /// Whether only one process can have the database open.
    is_alone: bool,
    /// How long a lease is, and its margin.
    terms: Option<(String, String)>,
    protocol: Option<u64>,
    newest: u64,
    kept: u64,
    /// Why the node that answers decides nothing from memory, where it does not.
    no_lease: Option<&'static str>,
    nodes: Vec<Line>,
}

/// A node.
struct Line {
    name: String,
    id: String,
    is_this_node: bool,
    address: String,
    version: String,
    since: Option<Moment>,
    lease_left: Option<String>,
    applied: u64,
    lag: u64,
    in_memory: u64,
    /// In percent.
    hit_rate: Option<String>,
}

/// `GET /cluster`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
) -> Result<Response, Problem> {
    let authority = visitor.operates::<ClusterRead>()?;
    let now = state.clock.now();
    let is_alone = state.store.is_exclusive();
    let axum::Json(cluster) = read_cluster(authority, State(state)).await?;
    let Cluster {
        lease_ms,
        margin_ms,
        this_node,
        ..
    } = &cluster;
    Ok(page(&ClusterPage {
        frame: Frame::of(&visitor, "Cluster", Section::Cluster),
        is_alone,
        terms: lease_ms
            .zip(*margin_ms)
            .map(|(lease, margin)| (length(lease), length(margin))),
        protocol: cluster.protocol,
        newest: cluster.newest_seq,
        kept: cluster.change_log_rows,
        no_lease: this_node.no_lease_because.map(because),
        nodes: cluster
            .nodes
            .into_iter()
            .map(|node| Line::of(node, now))
            .collect(),
    }))
}

impl Line {
    fn of(node: ClusterNode, now: Timestamp) -> Self {
        let since = Timestamp::parse(&node.since).ok();
        Self {
            name: node.name,
            id: node.id.to_string(),
            is_this_node: node.is_this_node,
            address: node.address,
            version: node.version,
            since: since.map(|since| Moment::new(since, now)),
            lease_left: node.lease_left_ms.map(length),
            applied: node.applied_seq,
            lag: node.lag,
            in_memory: node.cache_entries,
            hit_rate: node
                .cache_hit_rate
                .map(|rate| format!("{:.2} %", rate * 100.0)),
        }
    }
}

/// So many milliseconds, as people read them.
fn length(millis: u64) -> String {
    if millis < 1000 {
        format!("{millis} ms")
    } else {
        format!("{}.{:02} s", millis / 1000, millis % 1000 / 10)
    }
}

const fn because(reason: NoLeaseReason) -> &'static str {
    match reason {
        NoLeaseReason::Starting => "it has just begun, and joins the others",
        NoLeaseReason::Stopping => "it is about to end",
        NoLeaseReason::NotAMember => "it takes no part in the cluster",
        NoLeaseReason::DatabaseUnavailable => {
            "the database did not answer, or refused, when the lease was to be renewed; the server's log has the cause"
        }
        NoLeaseReason::RenewalTookTooLong => {
            "the database took longer than a lease to answer when it was to be renewed"
        }
        NoLeaseReason::TakenForGone => {
            "the other nodes saw no renewal of it for a lease, and took it for gone; it joins again"
        }
        NoLeaseReason::HistoryDiffers => {
            "the database is not the one that it has followed: it was restored, or changes were lost; it begins anew"
        }
        NoLeaseReason::RanOut => {
            "the process was held up, and its lease ran out; the next renewal brings it back"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_never_said_to_be_more() {
        assert_eq!(length(0), "0 ms");
        assert_eq!(length(999), "999 ms");
        assert_eq!(length(1000), "1.00 s");
        assert_eq!(length(2159), "2.15 s");
        assert_eq!(length(60_009), "60.00 s");
    }
}
