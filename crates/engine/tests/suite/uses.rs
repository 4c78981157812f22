//! What is noted of uses: every one of them, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use keywright_core::ambient::Clock;
use keywright_core::authority::{DetailsEdit, KeyEdit};
use keywright_core::decision::{Code, Question};
use keywright_core::identifier::KeyspaceName;
use keywright_core::keyspace::DEFAULT;
use keywright_core::lifecycle::Transition;
use keywright_core::timestamp::Timestamp;
use keywright_engine::usage::LIVE_MINUTES;
use keywright_engine::{Lease, VerifierOptions};
use keywright_store::{Period, Step, Store, StoreError, UsageOf, UsageQuery};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::pausable::Fault;
use crate::world::{Key, LONG, World, begin};

on_both_stores! {
    every_use_is_counted_once_however_many_count_and_write_at_once,
    every_code_is_counted_under_its_key,
    a_key_that_changes_while_it_is_used_loses_no_use,
    text_that_is_no_key_counts_for_the_keyspace_it_looks_like,
    without_a_lease_text_that_is_no_key_counts_for_its_keyspace_too,
    what_a_failing_store_did_not_take_is_written_later_and_once,
    a_writer_who_goes_away_has_nothing_lost_and_nothing_written_twice,
    uses_before_and_after_the_hour_are_counted_in_their_own,
    the_last_minutes_are_told_by_code,
    where_uses_are_not_to_be_noted_none_is,
    a_store_that_takes_its_time_keeps_no_record_waiting,
}

type Counts = BTreeMap<Code, u64>;

/// Every count of the day, by the hour it began in.
async fn by_hour(world: &World, of: UsageOf) -> Vec<(Timestamp, Counts)> {
    let end = world.clock.now().saturating_add(Duration::from_micros(1));
    let over = Period::before(Step::Hour, end, 24);
    let buckets = world.store.usage(&UsageQuery { of, over }).await;
    buckets
        .expect("an answer")
        .into_iter()
        .map(|bucket| (bucket.start, bucket.counts))
        .collect()
}

/// All counts of the day added up.
async fn counts(world: &World, of: UsageOf) -> Counts {
    let mut all = Counts::new();
    for (_, counts) in by_hour(world, of).await {
        for (code, count) in counts {
            *all.entry(code).or_default() += count;
        }
    }
    all
}

async fn of_key(world: &World, key: &Key) -> Counts {
    counts(world, UsageOf::Key(key.record.key.id)).await
}

async fn last_used(world: &World, key: &Key) -> Option<Timestamp> {
    let found = world.store.find_key(key.record.key.id).await;
    found.unwrap().unwrap().key.last_used_at
}

async fn flush(world: &World) -> Result<(), StoreError> {
    world.verifier.uses().flush(world.clock.now()).await
}

async fn verify_times(world: &World, key: &Key, times: usize) {
    for _ in 0..times {
        world.code(&key.text).await;
    }
}

async fn every_use_is_counted_once_however_many_count_and_write_at_once(world: World) {
    const TASKS: u64 = 8;
    const EACH: u64 = 500;
    let keys = Arc::new([
        world.key("ada").await,
        world.key("ada").await,
        world.key("bob").await,
    ]);
    let ended = Arc::new(AtomicBool::new(false));
    let writing = {
        let (uses, clock, ended) = (
            world.verifier.uses().clone(),
            world.clock.clone(),
            ended.clone(),
        );
        tokio::spawn(async move {
            while !ended.load(Ordering::SeqCst) {
                uses.take(clock.now());
                uses.flush(clock.now()).await.expect("it is written");
            }
        })
    };
    let using = (0..TASKS).map(|_| {
        let (verifier, keys, clock) = (world.verifier.clone(), keys.clone(), world.clock.clone());
        tokio::spawn(async move {
            for number in 0..EACH {
                for key in &*keys {
                    // Every fifth asks for what the key may not do.
                    let permissions = ["EXECUTE_BLOCK"];
                    let question = Question {
                        permissions: &permissions[..usize::from(number % 5 == 0)],
                        keyspace: None,
                    };
                    let answer = verifier.verify(&key.text, &question, |_| ()).await;
                    answer.expect("an answer");
                }
                clock.advance(Duration::from_micros(1));
                if number % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    for ended in join_all(using.collect::<Vec<_>>()).await {
        ended.unwrap();
    }
    // The last use of each.
    let last = world.clock.now();
    for key in &*keys {
        verify_times(&world, key, 1).await;
    }
    ended.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    flush(&world).await.unwrap();

    let lacking = TASKS * EACH / 5;
    let expected = Counts::from([
        (Code::InsufficientPermissions, lacking),
        (Code::Valid, TASKS * EACH - lacking + 1),
    ]);
    for key in &*keys {
        assert_eq!(of_key(&world, key).await, expected);
        assert_eq!(last_used(&world, key).await, Some(last));
    }
    let of_all: Counts = expected.iter().map(|(code, n)| (*code, 3 * n)).collect();
    assert_eq!(counts(&world, UsageOf::Everything).await, of_all);
}

async fn every_code_is_counted_under_its_key(world: World) {
    let [valid, suspended, revoked, expired] = [
        world.key("ada").await,
        world.key("ada").await,
        world.key("ada").await,
        world.key("ada").await,
    ];
    world.transition(&suspended, Transition::Suspend).await;
    world.transition(&revoked, Transition::Revoke).await;
    let details = DetailsEdit {
        expires_at: Some(Some(world.clock.now())),
        ..DetailsEdit::default()
    };
    world.edit(&expired, KeyEdit::Details(details)).await;
    let cases = [
        (&valid, Code::Valid, 3),
        (&suspended, Code::Suspended, 5),
        (&revoked, Code::Revoked, 7),
        (&expired, Code::Expired, 11),
    ];
    for (key, code, times) in &cases {
        for _ in 0..*times {
            assert_eq!(world.code(&key.text).await, *code);
        }
    }
    flush(&world).await.unwrap();
    for (key, code, times) in &cases {
        assert_eq!(of_key(&world, key).await, Counts::from([(*code, *times)]));
        let used = (*code == Code::Valid).then_some(world.clock.now());
        assert_eq!(last_used(&world, key).await, used, "{code:?}");
    }
}

async fn a_key_that_changes_while_it_is_used_loses_no_use(world: World) {
    let key = world.key("ada").await;
    verify_times(&world, &key, 3).await;
    let used = world.clock.now();
    world.clock.advance(Duration::from_secs(1));
    // Another record from here on, and nothing was written of the first.
    world.transition(&key, Transition::Suspend).await;
    verify_times(&world, &key, 2).await;
    world.transition(&key, Transition::Reactivate).await;
    world.transition(&key, Transition::Revoke).await;
    verify_times(&world, &key, 4).await;
    flush(&world).await.unwrap();
    let expected = [(Code::Valid, 3), (Code::Suspended, 2), (Code::Revoked, 4)];
    assert_eq!(of_key(&world, &key).await, Counts::from(expected));
    assert_eq!(last_used(&world, &key).await, Some(used));
}

async fn without_a_lease_text_that_is_no_key_counts_for_its_keyspace_too(world: World) {
    let world = world.with(Lease::none(), VerifierOptions::default());
    text_that_is_no_key_counts_for_the_keyspace_it_looks_like(world).await;
}

async fn text_that_is_no_key_counts_for_the_keyspace_it_looks_like(world: World) {
    for _ in 0..3 {
        let unknown = world.draft("ada").await;
        for text in [&unknown.text, "agpt_made up", "unheard_of", ""] {
            assert_eq!(world.code(text).await, Code::NotFound);
        }
    }
    flush(&world).await.unwrap();
    let of_keyspace = |name: &str| UsageOf::Keyspace(KeyspaceName::new(name).unwrap());
    let not_found = |count| Counts::from([(Code::NotFound, count)]);
    assert_eq!(counts(&world, of_keyspace(DEFAULT)).await, not_found(6));
    assert_eq!(
        counts(&world, of_keyspace("keywright")).await,
        Counts::new()
    );
    assert_eq!(counts(&world, UsageOf::Everything).await, not_found(12));
}

async fn what_a_failing_store_did_not_take_is_written_later_and_once(world: World) {
    let key = world.key("ada").await;
    verify_times(&world, &key, 3).await;
    assert_eq!(world.code("agpt_").await, Code::NotFound);
    let error = StoreError::Unavailable("as the test wants it".to_owned());
    world.store.uses.suffer(Fault::Error(error.clone()));
    for _ in 0..3 {
        assert_eq!(flush(&world).await, Err(error.clone()));
        verify_times(&world, &key, 1).await;
    }
    assert_eq!(counts(&world, UsageOf::Everything).await, Counts::new());
    world.store.uses.suffer(Fault::None);
    for _ in 0..2 {
        flush(&world).await.unwrap();
        let expected = [(Code::Valid, 6), (Code::NotFound, 1)];
        let all = counts(&world, UsageOf::Everything).await;
        assert_eq!(all, Counts::from(expected));
        assert_eq!(of_key(&world, &key).await, Counts::from([(Code::Valid, 6)]));
    }
}

async fn a_writer_who_goes_away_has_nothing_lost_and_nothing_written_twice(world: World) {
    let key = world.key("ada").await;
    let gates = [&world.store.uses.before, &world.store.uses.after];
    for (gate, expected) in gates.into_iter().zip([5, 10]) {
        verify_times(&world, &key, 3).await;
        gate.close();
        let flushing = begin(flush(&world)).await;
        gate.has(1).await;
        drop(flushing);
        verify_times(&world, &key, 2).await;
        // Waits for the one that nobody waits for.
        let flushing = begin(flush(&world)).await;
        gate.open();
        flushing.await.unwrap();
        let counted = of_key(&world, &key).await;
        assert_eq!(counted, Counts::from([(Code::Valid, expected)]));
    }
}

async fn uses_before_and_after_the_hour_are_counted_in_their_own(world: World) {
    let key = world.key("ada").await;
    let hour = world.clock.now();
    world
        .clock
        .advance(Duration::from_hours(1) - Duration::from_micros(1));
    verify_times(&world, &key, 2).await;
    world.verifier.uses().take(world.clock.now());
    world.clock.advance(Duration::from_micros(1));
    let next = world.clock.now();
    verify_times(&world, &key, 3).await;
    flush(&world).await.unwrap();
    let valid = |count| Counts::from([(Code::Valid, count)]);
    assert_eq!(
        by_hour(&world, UsageOf::Key(key.record.key.id)).await,
        [(hour, valid(2)), (next, valid(3))]
    );
}

async fn the_last_minutes_are_told_by_code(world: World) {
    let key = world.key("ada").await;
    verify_times(&world, &key, 2).await;
    let first = world.clock.now();
    world.verifier.uses().take(first);
    world.clock.advance(Duration::from_mins(1));
    verify_times(&world, &key, 1).await;
    world.code("agpt_").await;
    let now = world.clock.now();
    world.verifier.uses().take(now);
    let told: Vec<_> = world
        .verifier
        .uses()
        .minutes(now)
        .into_iter()
        .map(|minute| (minute.start, minute.counts))
        .collect();
    assert_eq!(told.len(), LIVE_MINUTES);
    assert_eq!(told[LIVE_MINUTES - 2], (first, [0, 0, 0, 0, 0, 2]));
    assert_eq!(told[LIVE_MINUTES - 1], (now, [1, 0, 0, 0, 0, 1]));
    let others = &told[..LIVE_MINUTES - 2];
    assert!(others.iter().all(|(_, counts)| *counts == [0; 6]));
}

async fn where_uses_are_not_to_be_noted_none_is(world: World) {
    let options = VerifierOptions {
        note_uses: false,
        ..VerifierOptions::default()
    };
    let world = world.with(Lease::endless(), options);
    let key = world.key("ada").await;
    verify_times(&world, &key, 3).await;
    world.code("agpt_").await;
    flush(&world).await.unwrap();
    assert_eq!(counts(&world, UsageOf::Everything).await, Counts::new());
    assert_eq!(last_used(&world, &key).await, None);
}

async fn a_store_that_takes_its_time_keeps_no_record_waiting(world: World) {
    let key = world.key("ada").await;
    verify_times(&world, &key, 1).await;
    world.store.uses.before.close();
    let (uses, clock) = (world.verifier.uses().clone(), world.clock.clone());
    let flushing = tokio::spawn({
        let (uses, clock) = (uses.clone(), clock.clone());
        // The first time comes at once, the second one never.
        async move {
            uses.flush_every(Duration::from_hours(1), move || clock.now())
                .await;
        }
    });
    world.store.uses.before.has(1).await;
    // As many as make it hurry.
    for _ in 0..=QUEUE / 2 {
        world.verifier.note_use(&key.record);
    }
    let taken = async {
        let noted = 1 + QUEUE / 2;
        while uses.minutes(clock.now())[LIVE_MINUTES - 1].counts[5] < noted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, taken)
        .await
        .expect("they are taken");
    flushing.abort();
    world.store.uses.before.open();
    flush(&world).await.unwrap();
    let all = QUEUE / 2 + 2;
    assert_eq!(
        of_key(&world, &key).await,
        Counts::from([(Code::Valid, all)])
    );
}

/// How many records may wait.
const QUEUE: u64 = 1 << 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_room_is_counted_as_dropped_and_the_rest_as_used() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let world = World::on_sqlite().await;
    let world = metrics::with_local_recorder(&recorder, || {
        world.with(Lease::endless(), VerifierOptions::default())
    });
    let key = world.key("ada").await;
    // Each is a record of its own.
    for _ in 0..QUEUE + 100 {
        world.verifier.note_use(&key.record);
    }
    flush(&world).await.unwrap();
    assert_eq!(
        of_key(&world, &key).await,
        Counts::from([(Code::Valid, QUEUE)])
    );
    let dropped = "keywright_uses_dropped_total 100";
    assert!(
        metrics.render().lines().any(|line| line == dropped),
        "{}",
        metrics.render()
    );
    // There is room again.
    world.verifier.note_use(&key.record);
    flush(&world).await.unwrap();
    assert_eq!(
        of_key(&world, &key).await,
        Counts::from([(Code::Valid, QUEUE + 1)])
    );
}
