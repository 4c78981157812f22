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
            "a node whose lease ran out begins anew",
            "a verification is decided from memory after a change",
        ],
    );
}

#[test]
fn while_nodes_are_told_of_what_nobody_committed() {
    is_kept(
        Bounds::invented_words(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node that has gone is deleted",
            "a node whose lease ran out begins anew",
            "a verification is decided from memory after a change",
        ],
    );
}

#[test]
fn while_leases_are_long() {
    is_kept(
        Bounds::long_leases(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node that has gone is deleted",
            "a node whose lease ran out begins anew",
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
            "a node whose lease ran out begins anew",
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
            "a node joins again with what it remembers",
            "a node that has gone is deleted",
            "a node whose lease ran out begins anew",
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
            "a node whose lease ran out begins anew",
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
            "a node whose lease ran out begins anew",
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
            "a node whose lease ran out begins anew",
            "a verification is decided from memory after a change",
            "two verifications wait for one load",
            "what was loaded is outdated",
        ],
    );
}

#[test]
fn while_the_key_is_loaded_and_a_node_is_taken_for_gone() {
    is_kept(
        Bounds::loads_and_deletions(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node that has gone is deleted",
            "a node whose lease ran out begins anew",
            "a verification is decided from memory after a change",
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
            "a node whose lease ran out begins anew",
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
            "a node whose lease ran out begins anew",
            "a verification is decided from memory after a change",
            "what was loaded is outdated",
        ],
    );
}

#[test]
fn while_the_database_is_set_back_and_leases_are_long() {
    is_kept(
        Bounds::restores_in_long_leases(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node finds that the database was set back",
            "a node whose lease ran out begins anew",
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
            "a node whose lease ran out begins anew",
            "a verification is decided from memory after a change",
            "what was loaded is outdated",
        ],
    );
}

#[test]
fn while_the_database_is_set_back_that_a_node_and_others_change() {
    is_kept(
        Bounds::restores_and_all_changes(),
        &[
            "a change is answered since every node knows",
            "a change is answered since the leases of nodes that do not know ran out",
            "a node finds that the database was set back",
            "a node whose lease ran out begins anew",
            "a verification is decided from memory after a change",
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
            "a node whose lease ran out begins anew",
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
    let mut both_change = Bounds::two_nodes();
    for role in &mut both_change.processes {
        role.changes = true;
        role.repeats = true;
    }
    let mut both_join = Bounds::two_nodes();
    both_join.processes[1].has_joined = false;
    let mut both_have_joined = Bounds::two_nodes();
    both_have_joined.processes[0].has_joined = true;
    let mut deleted = Bounds::two_nodes();
    deleted.processes[1].deletes = true;
    let mut loads_and_deletions = Bounds::restores_and_deletions();
    loads_and_deletions.events.loads_take_time = true;
    let drifting = Bounds {
        clocks_are_right: false,
        ..Bounds::database_crashes()
    };
    let mut states = 0;
    for bounds in [
        wider(Bounds::renewals(), 3, 7),
        wider(Bounds::long_leases(), 3, 8),
        both_change,
        both_join,
        wider(both_have_joined, 1, 2),
        deleted,
        wider(Bounds::three_clocks(), 2, 3),
        wider(Bounds::late_statements(), 2, 4),
        wider(Bounds::departures(), 2, 3),
        drifting,
        wider(Bounds::loads(), 3, 4),
        wider(Bounds::loads_and_own_changes(), 3, 3),
        wider(Bounds::loads_and_deletions(), 2, 4),
        wider(Bounds::restores(), 2, 3),
        wider(Bounds::restores_in_long_leases(), 2, 4),
        wider(Bounds::restores_and_own_changes(), 2, 3),
        wider(Bounds::restores_and_all_changes(), 1, 3),
        loads_and_deletions,
    ] {
        println!("{bounds:?}");
        let exploration = Cluster::by_all_rules(bounds)
            .explore()
            .expect("the promise is kept");
        println!("{} states", exploration.states);
        states += exploration.states;
    }
    println!("{states} states in all");
}
