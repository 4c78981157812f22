//! Five nodes on one PostgreSQL, while keys change all the time and everything goes wrong: after a change has answered,
//! no verification that starts later on any node is decided by the older state (CONTRACT §5, I2).
//!
//! `KEYWRIGHT_TRIAL_SEED` repeats what a trial decided; `bench/run trial` is the same for hours.

use std::time::Duration;

use keywright_engine::rules::Rule;
use keywright_trial::{Fault, Length, Outcome, Settings, run};

/// Of the nodes.
const LEASE: Duration = Duration::from_secs(1);
/// How many answers each node is to give, at least.
const THOUSANDS: u64 = 2_000;
/// Far more than five processes on two processors take to be heard.
const BUSY: Duration = Duration::from_secs(3);

fn settings(name: &str) -> Settings {
    let seed = std::env::var("KEYWRIGHT_TRIAL_SEED").map_or_else(
        |_| u64::from(std::process::id()),
        |seed| seed.parse().expect("a number"),
    );
    print(&format!("{name}: KEYWRIGHT_TRIAL_SEED={seed}"));
    Settings {
        program: env!("CARGO_BIN_EXE_keywright").into(),
        seed,
        nodes: 5,
        lease: LEASE,
        cache_keys: None,
        calm: Duration::from_secs(4),
        faults: Fault::ALL.to_vec(),
        faults_at_once: 2,
        length: Length::For {
            time: Duration::from_secs(20),
            verifications: THOUSANDS,
        },
        changers: 6,
        verifiers: 2,
        pause: Duration::from_millis(1),
        variables: Vec::new(),
    }
}

#[expect(clippy::print_stdout, reason = "whoever reads of a failure needs it")]
fn print(what: &str) {
    println!("{what}");
}

fn tried(settings: Settings) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads");
    let outcome = runtime.block_on(run(settings));
    print(&format!("{outcome:#?}"));
    outcome
}

/// What holds of every trial in which all rules are kept.
#[track_caller]
fn assert_kept(outcome: &Outcome) {
    assert!(
        outcome.stale.is_none(),
        "{}",
        outcome.stale.as_ref().unwrap()
    );
    assert!(outcome.unexpected.is_empty(), "{:#?}", outcome.unexpected);
    assert!(outcome.slow.is_empty(), "{:#?}", outcome.slow);
    for (node, answers) in outcome.nodes.iter().enumerate() {
        assert!(answers.decided >= THOUSANDS, "node {node}: {answers:?}");
    }
    assert!(outcome.changes > 60, "{}", outcome.changes);
    assert!(outcome.faults() > 10, "{:?}", outcome.faults);
    // Within a lease of the database's return, and what a busy machine takes.
    assert!(outcome.recovered < LEASE + BUSY, "{:?}", outcome.recovered);
}

#[test]
fn no_answer_is_stale_whatever_goes_wrong() {
    let outcome = tried(settings("whatever goes wrong"));
    assert_kept(&outcome);
    let (verifications, statements) = outcome.calm;
    assert!(
        statements * 20 < verifications,
        "{statements} statements for {verifications} verifications while nothing was wrong"
    );
}

/// Loads and changes of the same keys meet all the time.
#[test]
fn no_answer_is_stale_where_memory_has_room_for_eight_keys() {
    let outcome = tried(Settings {
        cache_keys: Some(8),
        calm: Duration::from_secs(1),
        ..settings("room for eight keys")
    });
    assert_kept(&outcome);
}

/// The trial is worth something only if it notices.
#[track_caller]
fn assert_noticed(rule: Rule, faults: &[Fault], cache_keys: Option<u32>) {
    let outcome = tried(Settings {
        faults: faults.to_vec(),
        faults_at_once: 4,
        cache_keys,
        calm: Duration::from_millis(200),
        length: Length::For {
            time: Duration::from_mins(2),
            verifications: 0,
        },
        variables: vec![("KEYWRIGHT_WITHOUT_RULE".to_owned(), rule.name().to_owned())],
        ..settings(rule.name())
    });
    assert!(
        outcome.stale.is_some(),
        "nobody noticed that {rule:?} is off"
    );
}

#[test]
fn a_lease_without_end_is_noticed() {
    assert_noticed(Rule::LeasesEnd, &[Fault::Stall, Fault::Stop], None);
}

#[test]
fn a_fill_without_the_gate_is_noticed() {
    assert_noticed(Rule::FillsAreGated, &[Fault::Slow], Some(8));
}

#[test]
fn a_change_that_answers_at_once_is_noticed() {
    assert_noticed(Rule::ChangesWait, &[Fault::Slow], None);
}

#[test]
fn a_repeat_that_answers_at_once_is_noticed() {
    assert_noticed(Rule::RepeatsWait, &[Fault::Stall, Fault::Slow], None);
}

#[test]
fn what_is_told_before_it_is_applied_is_noticed() {
    assert_noticed(Rule::AppliedBeforeTold, &[Fault::Slow], None);
}
