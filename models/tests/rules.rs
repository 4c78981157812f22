//! Without any one of the rules, the promise is broken in a configuration in which it is kept with it.

use keywright_models::bounds::Bounds;
use keywright_models::cluster::{Cluster, LOST, PROMISE};
use keywright_models::rules::{Duty, LeaseLooks, Look, Moment, Rules};

const EXPLORED: &str = include_str!("../EXPLORED.md");

/// Finds how a promise is broken in a configuration by other rules, and prints it. What EXPLORED.md says of it is true.
#[expect(clippy::print_stdout, reason = "whoever asks for it wants to read it")]
#[track_caller]
fn breaks(promise: &'static str, rule: &str, bounds: Bounds, change: impl FnOnce(&mut Rules)) {
    let name = bounds.name;
    let steps = Cluster::but(bounds, change)
        .counterexample(promise)
        .expect("the promise is broken");
    for step in &steps {
        println!("{step:?}");
    }
    let row = format!("| {rule} | `{name}` | {} |", steps.len());
    assert!(EXPLORED.contains(&row), "EXPLORED.md should say: {row}");
}

#[test]
fn a_log_that_is_read_before_the_renewal_is_visible() {
    breaks(
        PROMISE,
        "`renewal`: the log is read first",
        Bounds::loads_and_deletions(),
        |rules| {
            rules.renewal = [
                Duty::LookAtLease,
                Duty::ReadLog,
                Duty::Apply,
                Duty::Renew,
                Duty::SetDeadline,
                Duty::Tell,
            ];
        },
    );
}

#[test]
fn a_deadline_that_is_stored_before_the_log_is_applied() {
    breaks(
        PROMISE,
        "`renewal`: the deadline is set before applying",
        Bounds::renewals(),
        |rules| {
            rules.renewal = [
                Duty::LookAtLease,
                Duty::Renew,
                Duty::ReadLog,
                Duty::SetDeadline,
                Duty::Apply,
                Duty::Tell,
            ];
        },
    );
}

#[test]
fn an_applied_seq_that_is_written_before_the_log_is_applied() {
    breaks(
        PROMISE,
        "`renewal`: it is told before applying",
        Bounds::renewals(),
        |rules| {
            rules.renewal = [
                Duty::LookAtLease,
                Duty::Renew,
                Duty::ReadLog,
                Duty::Tell,
                Duty::Apply,
                Duty::SetDeadline,
            ];
        },
    );
}

#[test]
fn a_deadline_from_when_the_log_was_there() {
    breaks(
        PROMISE,
        "`deadline_counts_from`: the log's answer",
        Bounds::renewals(),
        |rules| {
            rules.deadline_counts_from = Moment::LogAnswered;
        },
    );
}

#[test]
fn a_deadline_from_when_the_renewal_was_answered() {
    breaks(
        PROMISE,
        "`deadline_counts_from`: the renewal's answer",
        Bounds::renewals(),
        |rules| {
            rules.deadline_counts_from = Moment::RenewalAnswered;
        },
    );
}

#[test]
fn a_deadline_that_is_loaded_after_memory_was_read() {
    breaks(
        PROMISE,
        "`verification`: memory first",
        Bounds::renewals(),
        |rules| {
            rules.verification = [Look::AtMemory, Look::AtDeadline, Look::AtClock];
        },
    );
}

/// What it looks at is newer than what it was allowed to look at. (It may look at it long after its deadline, but it
/// began before that, so nothing more was promised to it.)
#[test]
fn a_clock_that_is_asked_before_memory_is_read_breaks_nothing() {
    let kept = Cluster::but(Bounds::three_clocks(), |rules| {
        rules.verification = [Look::AtDeadline, Look::AtClock, Look::AtMemory];
    });
    assert_eq!(kept.counterexample(PROMISE), None);
}

#[test]
fn a_fill_without_the_gate() {
    breaks(PROMISE, "`fills_are_gated`", Bounds::loads(), |rules| {
        rules.fills_are_gated = false;
    });
}

#[test]
fn a_fill_without_the_gate_beside_a_change_of_the_same_process() {
    breaks(
        PROMISE,
        "`fills_are_gated`",
        Bounds::loads_and_own_changes(),
        |rules| rules.fills_are_gated = false,
    );
}

#[test]
fn no_margin() {
    breaks(PROMISE, "`margin_is_kept`", Bounds::renewals(), |rules| {
        rules.margin_is_kept = false;
    });
}

#[test]
fn a_deletion_that_is_judged_from_t1() {
    breaks(
        PROMISE,
        "`deletion_counts_from_reading`",
        Bounds::long_leases(),
        |rules| {
            rules.deletion_counts_from_reading = false;
        },
    );
}

#[test]
fn a_repeat_that_answers_at_once() {
    breaks(PROMISE, "`repeats_wait`", Bounds::two_nodes(), |rules| {
        rules.repeats_wait = false;
    });
}

#[test]
fn the_same_node_id_twice() {
    breaks(
        PROMISE,
        "`node_ids_are_unique`",
        Bounds::two_nodes(),
        |rules| rules.node_ids_are_unique = false,
    );
}

#[test]
fn a_renewal_that_is_lost_in_a_crash_of_the_database() {
    breaks(
        PROMISE,
        "`renewals_are_durable`",
        Bounds::database_crashes(),
        |rules| {
            rules.renewals_are_durable = false;
        },
    );
}

#[test]
fn a_rejoin_with_a_number_that_was_seen_before() {
    breaks(
        PROMISE,
        "`rejoining_counts_on`",
        Bounds::renewals(),
        |rules| rules.rejoining_counts_on = false,
    );
}

#[test]
fn a_join_that_is_done_after_a_later_one() {
    breaks(
        PROMISE,
        "`late_joins_are_refused`",
        Bounds::late_statements(),
        |rules| {
            rules.late_joins_are_refused = false;
        },
    );
}

/// As long as restores outlast leases: then a node begins anew in any case. See EXPLORED.md.
#[test]
fn nonces_that_are_not_compared_break_nothing() {
    let kept = Cluster::but(Bounds::restores_and_deletions(), |rules| {
        rules.nonces_are_compared = false;
    });
    assert_eq!(kept.explore().err(), None);
}

#[test]
fn a_load_from_before_the_lease_ran_out() {
    breaks(
        PROMISE,
        "`lease_is_looked_at`: never",
        Bounds::restores_and_own_changes(),
        |rules| rules.lease_is_looked_at = LeaseLooks::Never,
    );
}

#[test]
fn memory_from_before_the_lease_ran_out() {
    breaks(
        LOST,
        "`lease_is_looked_at`: never",
        Bounds::restores(),
        |rules| rules.lease_is_looked_at = LeaseLooks::Never,
    );
}

#[test]
fn a_lease_that_runs_out_while_it_is_renewed() {
    breaks(
        PROMISE,
        "`lease_is_looked_at`: before",
        Bounds::restores_in_long_leases(),
        |rules| rules.lease_is_looked_at = LeaseLooks::Before,
    );
}

#[test]
fn memory_from_before_a_lease_that_runs_out_while_it_is_renewed() {
    breaks(
        LOST,
        "`lease_is_looked_at`: before",
        Bounds::restores_in_long_leases(),
        |rules| rules.lease_is_looked_at = LeaseLooks::Before,
    );
}

#[test]
fn a_change_that_is_taken_for_known_by_its_number() {
    breaks(
        PROMISE,
        "`own_changes_are_compared`",
        Bounds::restores_and_all_changes(),
        |rules| rules.own_changes_are_compared = false,
    );
}

#[test]
fn a_restore_that_is_faster_than_a_lease() {
    breaks(
        PROMISE,
        "`restores_outlast_leases`",
        Bounds::restores_and_deletions(),
        |rules| {
            rules.restores_outlast_leases = false;
        },
    );
}

#[test]
fn a_telling_that_nothing_confirms() {
    breaks(
        PROMISE,
        "`telling_is_confirmed`",
        Bounds::invented_words(),
        |rules| {
            rules.telling_is_confirmed = false;
        },
    );
}
