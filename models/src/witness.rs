//! What has to happen somewhere in a configuration, or the promise is kept because nothing happens.

use crate::changing::Here;
use crate::cluster::{Cluster, State};
use crate::following::Following;
use crate::loading::Load;
use crate::process::Process;
use crate::sighting;
use crate::verifying::Verification;

/// Whether something happens, or is about to.
type IsThere = fn(&Cluster, &State) -> bool;

/// What can happen, in words, and how to tell.
pub const WITNESSES: [(&str, IsThere); 14] = [
    (
        "a change is answered since every node knows",
        is_answered_by_all,
    ),
    (
        "a change is answered since the leases of nodes that do not know ran out",
        is_answered_by_clock,
    ),
    (
        "somebody who asks for a change that holds waits",
        is_asked_again,
    ),
    (
        "a verification is decided from memory after a change",
        is_decided_from_memory,
    ),
    ("a node that has gone is deleted", is_deleted),
    ("a node whose lease ran out begins anew", is_beginning_anew),
    ("a node joins again with what it remembers", is_rejoining),
    ("a node takes its leave", is_leaving),
    ("a node is started again as another", is_started_again),
    (
        "a node has a lease and a statement of it is still on its way",
        is_late,
    ),
    ("a crash loses what a node told", is_losing),
    ("two verifications wait for one load", is_shared),
    ("what was loaded is outdated", is_outdated),
    ("a node finds that the database was set back", is_broken),
];

fn any(state: &State, is_so: impl Fn(usize, &Process) -> bool) -> bool {
    state
        .processes
        .iter()
        .enumerate()
        .any(|(process, here)| is_so(process, here))
}

fn any_waits(cluster: &Cluster, state: &State, is_outwaited: bool, is_known: bool) -> bool {
    let terms = cluster.terms();
    any(state, |process, here| {
        here.waiter
            .as_ref()
            .is_some_and(|waiter| waiter.t1.is_some() && waiter.is_outwaited(terms) == is_outwaited)
            && state.is_known(process) == is_known
    })
}

/// A node has a lease meanwhile, so that it mattered.
fn is_answered_by_all(cluster: &Cluster, state: &State) -> bool {
    any_waits(cluster, state, false, true) && any(state, |_, here| here.deadline.is_ahead())
}

fn is_answered_by_clock(cluster: &Cluster, state: &State) -> bool {
    any_waits(cluster, state, true, false)
}

fn is_asked_again(cluster: &Cluster, state: &State) -> bool {
    any(state, |process, here| {
        let repeats_only = !cluster.bounds.processes[process].changes;
        let is_waiting = |here: Here| repeats_only || here == Here::ThroughTheLog;
        here.waiter
            .as_ref()
            .is_some_and(|waiter| is_waiting(waiter.here))
            && !state.is_known(process)
    })
}

fn is_decided_from_memory(_: &Cluster, state: &State) -> bool {
    any(state, |_, here| {
        let under_way = here.verifications.iter().flatten();
        let mut seen = under_way.filter_map(Verification::entry);
        seen.any(|entry| entry.seq > 0)
    })
}

fn is_deleted(cluster: &Cluster, state: &State) -> bool {
    any(state, |process, _| {
        let mut is_deleted = false;
        let note = |step| is_deleted |= matches!(step, sighting::Step::Delete(_));
        cluster.sighting_steps(state, process, note);
        is_deleted
    })
}

/// It has memory that it has to forget.
fn is_beginning_anew(_: &Cluster, state: &State) -> bool {
    any(state, |_, here| {
        matches!(here.following, Following::Busy(_)) && here.place.is_none() && here.entry.is_some()
    })
}

fn is_rejoining(_: &Cluster, state: &State) -> bool {
    any(state, |_, here| {
        let is_busy = matches!(here.following, Following::Busy(_));
        is_busy && here.written.is_none() && here.place.is_some() && here.deadline.is_ahead()
    })
}

fn is_leaving(_: &Cluster, state: &State) -> bool {
    any(state, |_, here| here.following == Following::Leaving)
}

fn is_started_again(cluster: &Cluster, state: &State) -> bool {
    let processes = cluster.bounds.processes.len();
    any(state, |_, here| {
        here.id >= processes && here.written.is_some()
    })
}

fn is_late(_: &Cluster, state: &State) -> bool {
    state.late.is_some() && any(state, |_, here| here.deadline.is_ahead())
}

fn is_losing(_: &Cluster, state: &State) -> bool {
    state.database.would_lose()
}

fn is_shared(_: &Cluster, state: &State) -> bool {
    any(state, |_, here| {
        let under_way = here.verifications.iter().flatten();
        under_way
            .filter(|verification| verification.is_loading())
            .count()
            > 1
    })
}

fn is_outdated(_: &Cluster, state: &State) -> bool {
    any(
        state,
        |_, here| matches!(here.load, Load::Read(read) if read.seq < here.gate),
    )
}

fn is_broken(_: &Cluster, state: &State) -> bool {
    any(
        state,
        |_, here| matches!(here.following, Following::Busy(round) if round.is_broken()),
    )
}
