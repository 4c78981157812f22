//! `GET /api/cluster`

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use keywright_api::{Cluster, ClusterNode, NoLeaseReason, ThisNode};
use keywright_engine::coherence::{NodeState, RenewalFailureKind};
use keywright_store::cluster::{NodeFigures, NodeRow, Survey};

use crate::authority::{ClusterRead, Service};
use crate::problem::Problem;
use crate::state::AppState;

/// Show the nodes
///
/// All nodes that share the database, how far each has followed its changes, and whether the one that answers has its
/// lease. On SQLite there is one. Where the database cannot be read, nothing can be said: 503.
#[utoipa::path(
    get,
    path = "/api/cluster",
    tag = "Cluster",
    responses((status = 200, description = "The cluster, as the node that answers sees it", body = Cluster))
)]
pub(crate) async fn read_cluster(
    _: Service<ClusterRead>,
    State(state): State<AppState>,
) -> Result<Json<Cluster>, Problem> {
    let survey = state.store.survey().await?;
    let terms = survey.agreed.map(|agreed| agreed.terms);
    Ok(Json(Cluster {
        store: state.store.kind().to_owned(),
        protocol: survey.agreed.map(|agreed| agreed.protocol),
        lease_ms: terms.map(|terms| millis(terms.lease)),
        margin_ms: terms.map(|terms| millis(terms.margin)),
        newest_seq: survey.last_seq,
        change_log_rows: survey.log_rows,
        this_node: this_node(&state),
        nodes: nodes(&survey, &state),
    }))
}

fn nodes(survey: &Survey, state: &AppState) -> Vec<ClusterNode> {
    if state.store.is_exclusive() {
        // The one node joins nobody. It learns of every change before it is answered.
        let alone = NodeRow {
            card: state.card.clone(),
            renewal: 0,
            applied_seq: survey.last_seq,
            figures: NodeFigures::default(),
        };
        return vec![wire(&alone, survey, state)];
    }
    survey
        .nodes
        .iter()
        .map(|node| wire(node, survey, state))
        .collect()
}

fn wire(node: &NodeRow, survey: &Survey, state: &AppState) -> ClusterNode {
    let card = &node.card;
    let is_this_node = card.id == state.card.id;
    let (lease_left, figures) = if is_this_node {
        // What is still in the records of the keys counts as well.
        state.verifier.uses().take(state.clock.now());
        let left = state.verifier.lease().deadline().left(&*state.clock);
        (left, state.verifier.node_figures())
    } else {
        let membership = state.membership.as_ref();
        let left = membership.and_then(|membership| membership.lease_left_at_most(node));
        (left, node.figures)
    };
    ClusterNode {
        id: card.id.0,
        name: card.name.clone(),
        version: card.version.clone(),
        address: card.address.clone(),
        since: card.since.to_string(),
        is_this_node,
        lease_left_ms: lease_left.map(millis),
        applied_seq: node.applied_seq,
        lag: survey.last_seq.saturating_sub(node.applied_seq),
        cache_entries: figures.keys,
        cache_hit_rate: hit_rate(figures),
    }
}

fn this_node(state: &AppState) -> ThisNode {
    let has_lease = state.verifier.lease().deadline().is_ahead(&*state.clock);
    ThisNode {
        id: state.card.id.0,
        has_lease,
        no_lease_because: (!has_lease).then(|| no_lease_because(state)),
    }
}

fn no_lease_because(state: &AppState) -> NoLeaseReason {
    let Some(membership) = &state.membership else {
        return NoLeaseReason::NotAMember;
    };
    if state.stopping.load(Ordering::Relaxed) {
        return NoLeaseReason::Stopping;
    }
    let NodeState { terms, failure } = membership.state();
    match failure.map(|failure| failure.kind) {
        Some(RenewalFailureKind::Database) => NoLeaseReason::DatabaseUnavailable,
        Some(RenewalFailureKind::TookTooLong) => NoLeaseReason::RenewalTookTooLong,
        Some(RenewalFailureKind::TakenForGone) => NoLeaseReason::TakenForGone,
        Some(RenewalFailureKind::History) => NoLeaseReason::HistoryDiffers,
        None if terms.is_none() => NoLeaseReason::Starting,
        None => NoLeaseReason::RanOut,
    }
}

/// Whole milliseconds: what is left of a lease is never said to be more than it is.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate that is wrong in its sixteenth digit is right"
)]
fn hit_rate(figures: NodeFigures) -> Option<f64> {
    let all = figures.hits.saturating_add(figures.misses);
    (all > 0).then(|| figures.hits as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hit_rate_is_the_part_that_was_in_memory() {
        let rate = |hits, misses| {
            hit_rate(NodeFigures {
                keys: 0,
                hits,
                misses,
            })
        };
        assert_eq!(rate(0, 0), None);
        assert_eq!(rate(3, 1), Some(0.75));
        assert_eq!(rate(0, 2), Some(0.0));
    }
}
