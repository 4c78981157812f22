//! By all rules, the promise is kept in every state of every configuration.

use keywright_models::bounds::Bounds;
use keywright_models::cluster::Cluster;
use keywright_models::exploration::Exploration;

const EXPLORED: &str = include_str!("../EXPLORED.md");

/// Visits every state of a configuration, in which the promise is kept and just these things happen. What EXPLORED.md
/// says of it is true.
#[track_caller]
fn is_kept(bounds: Bounds, happens: &[&str]) {
    let cells = format!(
        "| `{}` | {} | {} | {} | {} |",
        bounds.name,
        bounds.processes.len(),
        bounds.changes,
        bounds.renewals,
        bounds.verifications
    );
    let exploration = Cluster::by_all_rules(bounds).explore();
    let Exploration {
        states,
        depth,
        witnessed,
    } = exploration.expect("the promise is kept");
    assert_eq!(Vec::from_iter(witnessed), happens);
    let row = format!("{cells} {states} | {depth} |");
    assert!(EXPLORED.contains(&row), "EXPLORED.md should say: {row}");
}

#[test]
fn while_leases_are_renewed_and_run_out() {
    is_kept(
        Bounds::renewals(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node that has gone is deleted",
            "a node that was deleted joins again",
            "a verification is decided from memory after a change",
        ],
    );
}

#[test]
fn while_one_node_changes_what_another_is_asked_for() {
    is_kept(
        Bounds::two_nodes(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a verification is decided from memory after a change",
            "somebody who asks for a change that holds waits",
        ],
    );
}

#[test]
fn while_three_processes_each_go_by_their_own_clock() {
    is_kept(
        Bounds::three_clocks(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node that has gone is deleted",
            "a node that was deleted joins again",
            "a verification is decided from memory after a change",
            "somebody who asks for a change that holds waits",
        ],
    );
}

#[test]
fn while_statements_are_done_after_nobody_waits_for_them() {
    is_kept(
        Bounds::late_statements(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node has a lease and a statement of it is still on its way",
            "a node that has gone is deleted",
            "a node that was deleted joins again",
            "a verification is decided from memory after a change",
        ],
    );
}

#[test]
fn while_nodes_leave_and_crash_and_start_again() {
    is_kept(
        Bounds::departures(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node is started again as another",
            "a node takes its leave",
            "a node that has gone is deleted",
            "a node that was deleted joins again",
            "a verification is decided from memory after a change",
        ],
    );
}

#[test]
fn while_the_database_crashes() {
    is_kept(
        Bounds::database_crashes(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a crash loses what a node told",
            "a node that has gone is deleted",
            "a node that was deleted joins again",
            "a verification is decided from memory after a change",
        ],
    );
}

#[test]
fn while_the_key_is_loaded_and_changes_elsewhere() {
    is_kept(
        Bounds::loads(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a verification is decided from memory after a change",
            "two verifications wait for one load",
            "what was loaded is outdated",
        ],
    );
}

#[test]
fn while_the_key_is_loaded_and_changes_in_the_same_process() {
    is_kept(
        Bounds::loads_and_own_changes(),
        &[
            "a change is answered since every node knows",
            "a verification is decided from memory after a change",
            "two verifications wait for one load",
            "what was loaded is outdated",
        ],
    );
}

#[test]
fn while_the_database_is_set_back() {
    is_kept(
        Bounds::restores(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node finds that the database was set back",
            "a verification is decided from memory after a change",
            "what was loaded is outdated",
        ],
    );
}

#[test]
fn while_the_database_is_set_back_that_the_same_process_changes() {
    is_kept(
        Bounds::restores_and_own_changes(),
        &[
            "a change is answered since every node knows",
            "a node finds that the database was set back",
            "a verification is decided from memory after a change",
            "what was loaded is outdated",
        ],
    );
}

#[test]
fn while_the_database_is_set_back_in_which_a_node_is_taken_for_gone() {
    is_kept(
        Bounds::restores_and_deletions(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node finds that the database was set back",
            "a node that has gone is deleted",
            "a node that was deleted joins again",
            "a verification is decided from memory after a change",
        ],
    );
}

/// The same with more of everything.
#[test]
#[ignore = "it takes minutes"]
fn within_wider_bounds() {
    let wider = |bounds: Bounds, changes: u8, renewals: u8| Bounds {
        changes,
        renewals,
        ..bounds
    };
    let mut loads_and_deletions = Bounds::restores_and_deletions();
    loads_and_deletions.events.loads_take_time = true;
    let mut both_change = Bounds::two_nodes();
    for role in &mut both_change.processes {
        role.changes = true;
        role.repeats = true;
    }
    let mut deleted = Bounds::two_nodes();
    deleted.processes[1].deletes = true;
    for bounds in [
        wider(Bounds::renewals(), 3, 9),
        both_change,
        deleted,
        wider(Bounds::three_clocks(), 2, 3),
        wider(Bounds::late_statements(), 2, 4),
        wider(Bounds::departures(), 2, 3),
        wider(Bounds::database_crashes(), 3, 5),
        wider(Bounds::loads(), 3, 5),
        wider(Bounds::loads_and_own_changes(), 3, 4),
        wider(Bounds::restores(), 3, 4),
        wider(Bounds::restores_and_own_changes(), 3, 3),
        wider(loads_and_deletions, 1, 4),
    ] {
        println!("{bounds:?}");
        let exploration = Cluster::by_all_rules(bounds)
            .explore()
            .expect("the promise is kept");
        println!("{} states", exploration.states);
    }
}
