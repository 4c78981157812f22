//! What is read from the store: each key once for all who wait, no more at once than a bound, and nothing for junk.

use std::time::Duration;

use futures::future::join_all;
use futures::poll;
use keywright_core::decision::{Code, Question};
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyspaceName;
use keywright_core::key_text::{TagKey, TagKeys};
use keywright_core::keyspace::{DEFAULT, SERVICE};
use keywright_engine::{Lease, LoadBounds, VerifierOptions, VerifyError};
use keywright_store::{KeyFacts, StoreError};

use crate::ambient::Counting;
use crate::pausable::Fault;
use crate::world::{Key, World, begin};

on_both_stores! {
    a_hundred_who_ask_for_one_unknown_key_at_once_cost_one_query,
    a_hundred_tasks_that_ask_for_one_key_cost_one_query,
    what_is_beyond_the_bound_is_turned_away_at_once_while_hits_go_on,
    a_caller_who_goes_away_ends_no_load,
    a_store_that_panics_leaves_nothing_behind,
    an_error_reaches_all_who_wait_and_is_not_remembered,
    an_error_while_keyspaces_are_read_is_not_remembered,
    made_up_texts_cost_no_query,
    a_well_formed_unknown_key_costs_one_query_and_then_none,
    an_imported_key_is_found_in_a_lane_of_its_own,
    made_up_texts_cannot_take_the_places_of_keys_made_here,
    a_service_key_is_looked_up_though_the_places_of_other_keys_are_taken,
    keys_that_are_there_use_up_no_place,
    unknown_keys_wait_in_line_once_their_places_are_used_up,
    places_that_were_used_up_come_back,
    a_load_that_fails_uses_up_no_place,
}

/// A verifier that knows the keyspaces and nothing else.
async fn ready(world: World) -> World {
    assert_eq!(world.code("agpt_").await, Code::NotFound);
    assert_eq!(world.store.queries(), 0);
    world
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("as the test wants it".to_owned())
}

async fn a_hundred_who_ask_for_one_unknown_key_at_once_cost_one_query(world: World) {
    let world = ready(world).await;
    let unknown = world.draft("ada").await;
    world.store.keys.before.close();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(begin(world.code(&unknown.text)).await);
    }
    world.store.keys.before.open();
    for code in join_all(waiting).await {
        assert_eq!(code, Code::NotFound);
    }
    assert_eq!(world.store.queries(), 1);
}

async fn a_hundred_tasks_that_ask_for_one_key_cost_one_query(world: World) {
    let world = ready(world).await;
    // Both are filled at another moment than they are told.
    for key in [world.key("ada").await, world.draft("ada").await] {
        let truth = world.truth(&key).await.code;
        let asking = (0..100).map(|_| {
            let (verifier, text) = (world.verifier.clone(), key.text.clone());
            tokio::spawn(async move {
                verifier
                    .verify(&text, &crate::world::ANYTHING, |decision| decision.code)
                    .await
            })
        });
        for code in join_all(asking.collect::<Vec<_>>()).await {
            assert_eq!(code.unwrap(), Ok(truth));
        }
        assert_eq!(world.store.queries(), 1);
    }
}

async fn what_is_beyond_the_bound_is_turned_away_at_once_while_hits_go_on(world: World) {
    let world = ready(world.bounded(4, 1)).await;
    let hit = world.key("ada").await;
    assert_eq!(world.code(&hit.text).await, Code::Valid);
    let mut keys = Vec::new();
    for _ in 0..6 {
        keys.push(world.key("ada").await);
    }
    world.store.queries();
    world.store.keys.before.close();
    let mut waiting = Vec::new();
    for key in &keys[..4] {
        waiting.push(begin(world.code(&key.text)).await);
    }
    for key in &keys[4..] {
        assert_eq!(world.try_verify(&key.text).await, Err(VerifyError::Busy));
    }
    // Who asks for what is being read already takes no place.
    waiting.push(begin(world.code(&keys[0].text)).await);
    assert_eq!(world.code(&hit.text).await, Code::Valid);
    world.store.keys.before.open();
    assert_eq!(join_all(waiting).await, [Code::Valid; 5]);
    assert_eq!(world.store.queries(), 4);
    for key in &keys {
        assert_eq!(world.code(&key.text).await, Code::Valid);
    }
    assert_eq!(world.store.queries(), 2);
}

async fn a_caller_who_goes_away_ends_no_load(world: World) {
    let world = ready(world).await;
    let key = world.key("ada").await;
    world.store.keys.before.close();
    let first = begin(world.code(&key.text)).await;
    let second = begin(world.code(&key.text)).await;
    drop(first);
    world.store.keys.before.open();
    assert_eq!(second.await, Code::Valid);
    assert_eq!(world.store.queries(), 1);

    // Also where nobody waits any more.
    let other = world.key("ada").await;
    world.store.keys.after.close();
    drop(begin(world.code(&other.text)).await);
    world.store.keys.after.has(1).await;
    let late = begin(world.code(&other.text)).await;
    world.store.keys.after.open();
    assert_eq!(late.await, Code::Valid);
    assert_eq!(world.store.queries(), 1);
}

async fn a_store_that_panics_leaves_nothing_behind(world: World) {
    let world = ready(world.bounded(1, 1)).await;
    let key = world.key("ada").await;
    world.store.keys.suffer(Fault::Panic);
    for _ in 0..2 {
        world.store.keys.before.close();
        let waiting = [
            begin(world.try_verify(&key.text)).await,
            begin(world.try_verify(&key.text)).await,
        ];
        world.store.keys.before.open();
        for verified in join_all(waiting).await {
            assert!(
                matches!(verified, Err(VerifyError::Store(StoreError::Internal(_)))),
                "{verified:?}"
            );
        }
        assert_eq!(world.store.queries(), 1);
    }
    world.store.keys.suffer(Fault::None);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(world.store.queries(), 1);
}

async fn an_error_reaches_all_who_wait_and_is_not_remembered(world: World) {
    let world = ready(world.bounded(1, 1)).await;
    let key = world.key("ada").await;
    world.store.keys.suffer(Fault::Error(unavailable()));
    world.store.keys.before.close();
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(begin(world.try_verify(&key.text)).await);
    }
    world.store.keys.before.open();
    for verified in join_all(waiting).await {
        assert_eq!(verified, Err(VerifyError::Store(unavailable())));
    }
    assert_eq!(world.store.queries(), 1);
    world.store.keys.suffer(Fault::None);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(world.store.queries(), 1);
}

async fn an_error_while_keyspaces_are_read_is_not_remembered(world: World) {
    let key = world.key("ada").await;
    for fault in [Fault::Error(unavailable()), Fault::Panic] {
        world.store.keyspaces.suffer(fault.clone());
        world.store.keyspaces.before.close();
        let waiting = [
            begin(world.try_verify(&key.text)).await,
            begin(world.try_verify(&key.text)).await,
        ];
        world.store.keyspaces.before.open();
        for verified in join_all(waiting).await {
            match &fault {
                Fault::Error(error) => {
                    assert_eq!(verified, Err(VerifyError::Store(error.clone())));
                }
                _ => assert!(
                    matches!(verified, Err(VerifyError::Store(StoreError::Internal(_)))),
                    "{verified:?}"
                ),
            }
        }
        assert_eq!(world.store.keyspaces.asked(), 1);
    }
    world.store.keyspaces.suffer(Fault::None);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(world.store.keyspaces.asked(), 1);
}

async fn made_up_texts_cost_no_query(world: World) {
    let world = ready(world).await;
    let (keyspace, tag_keys) = world.keyspace(DEFAULT).await;
    let good = world.draft_in(keyspace.clone(), &tag_keys, "ada").text;
    let other_tag_keys = TagKeys::new(TagKey::generate(&Counting).unwrap());
    let wrong_tag = world.draft_in(keyspace, &other_tag_keys, "ada").text;
    let (unknown, its_tag_keys) = world.draft_of_keyspace("partners", "partner_");
    let unknown_prefix = world.draft_in(unknown, &its_tag_keys, "ada").text;
    let last = if good.ends_with('0') { '1' } else { '0' };
    let wrong_check = format!("{}{last}", &good[..good.len() - 1]);
    for text in [
        "",
        "agpt",
        "agpt_",
        &good[1..],
        &good[..good.len() - 1],
        &format!("{good}0"),
        &good.replacen("agpt_", "agpu_", 1),
        "ägpt_",
        &wrong_tag,
        &unknown_prefix,
        &wrong_check,
    ] {
        assert_eq!(world.code(text).await, Code::NotFound, "{text}");
    }
    assert_eq!(world.store.queries(), 0);
    assert_eq!(world.store.keyspaces.asked(), 1);
}

async fn a_well_formed_unknown_key_costs_one_query_and_then_none(world: World) {
    let world = ready(world).await;
    let unknown = world.draft("ada").await;
    assert_eq!(world.code(&unknown.text).await, Code::NotFound);
    assert_eq!(world.store.queries(), 1);
    for _ in 0..3 {
        assert_eq!(world.code(&unknown.text).await, Code::NotFound);
    }
    assert_eq!(world.store.queries(), 0);
}

/// A key of `default` that was made elsewhere.
async fn imported(world: &World, text: &str) -> Key {
    let mut key = world.draft("ada").await;
    key.text = text.to_owned();
    key.record.digest = Digest::of(text);
    world.create(&key).await;
    key
}

async fn an_imported_key_is_found_in_a_lane_of_its_own(world: World) {
    let world = world.bounded(1, 1);
    world
        .store
        .mark_as_imported(KeyspaceName::new(DEFAULT).unwrap());
    let key = imported(&world, "agpt_of another make").await;
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(world.store.queries(), 1);
    assert_eq!(world.verify(&key.text).await, world.truth(&key).await);
    assert_eq!(world.store.queries(), 0);
    // One that is not there is remembered to be none.
    for queries in [1, 0] {
        assert_eq!(world.code("agpt_of no make").await, Code::NotFound);
        assert_eq!(world.store.queries(), queries);
    }
    // Another keyspace's are told from made-up ones as ever.
    assert_eq!(world.code("kw_of another make").await, Code::NotFound);
    assert_eq!(world.store.queries(), 0);
}

async fn made_up_texts_cannot_take_the_places_of_keys_made_here(world: World) {
    let world = world.bounded(2, 2);
    world
        .store
        .mark_as_imported(KeyspaceName::new(DEFAULT).unwrap());
    assert_eq!(world.code("kw_").await, Code::NotFound);
    let keys = [world.key("ada").await, world.key("ada").await];
    world.store.keys.before.close();
    let mut waiting = Vec::new();
    for text in ["agpt_one", "agpt_two"] {
        waiting.push(begin(world.code(text)).await);
    }
    assert_eq!(world.try_verify("agpt_three").await, Err(VerifyError::Busy));
    for key in &keys {
        waiting.push(begin(world.code(&key.text)).await);
    }
    let one_more = world.key("ada").await;
    assert_eq!(
        world.try_verify(&one_more.text).await,
        Err(VerifyError::Busy)
    );
    world.store.keys.before.open();
    let codes = [Code::NotFound, Code::NotFound, Code::Valid, Code::Valid];
    assert_eq!(join_all(waiting).await, codes);
    // The places are free again.
    assert_eq!(world.code("agpt_three").await, Code::NotFound);
    assert_eq!(world.code(&one_more.text).await, Code::Valid);
}

async fn a_service_key_is_looked_up_though_the_places_of_other_keys_are_taken(world: World) {
    let world = ready(world.bounded(1, 1)).await;
    let (keyspace, tag_keys) = world.keyspace(SERVICE).await;
    let service = world.draft_in(keyspace, &tag_keys, "an operator");
    let facts = KeyFacts::from(&service.record.key);
    world.store.invent(Digest::of(&service.text), facts);
    let unknown = [world.draft("ada").await, world.draft("ada").await];
    world.store.keys.before.close();
    let waiting = begin(world.code(&unknown[0].text)).await;
    let refused = world.try_verify(&unknown[1].text).await;
    assert_eq!(refused, Err(VerifyError::Busy));
    let question = Question {
        permissions: &[""; 0],
        keyspace: Some(SERVICE),
    };
    let verified = world
        .verifier
        .verify(&service.text, &question, |decision| decision.code);
    let verified = begin(verified).await;
    world.store.keys.before.has(2).await;
    world.store.keys.before.open();
    assert_eq!(verified.await, Ok(Code::Valid));
    assert_eq!(waiting.await, Code::NotFound);
}

/// A verifier with four places for loads; those that find nothing come back one by one after `interval`.
async fn with_four_places(world: World, interval: Duration) -> World {
    let options = VerifierOptions {
        loads: LoadBounds {
            tagged: 4,
            untagged: 1,
            service: 1,
            absent_interval: interval,
        },
        ..VerifierOptions::default()
    };
    ready(world.with(Lease::endless(), options)).await
}

/// Longer than any test.
const NEVER: Duration = Duration::from_hours(24);

async fn keys_that_are_there_use_up_no_place(world: World) {
    let world = with_four_places(world, NEVER).await;
    for _ in 0..20 {
        let key = world.key("ada").await;
        assert_eq!(world.code(&key.text).await, Code::Valid);
    }
    assert_eq!(world.store.queries(), 20);
}

async fn unknown_keys_wait_in_line_once_their_places_are_used_up(world: World) {
    let world = with_four_places(world, NEVER).await;
    let hit = world.key("ada").await;
    assert_eq!(world.code(&hit.text).await, Code::Valid);
    let mut known = Vec::new();
    for _ in 0..4 {
        let unknown = world.draft("ada").await;
        assert_eq!(world.code(&unknown.text).await, Code::NotFound);
        known.push(unknown);
    }
    assert_eq!(world.store.queries(), 5);
    // Nobody knows yet that one of them is there.
    let mut asked = vec![world.key("ada").await];
    for _ in 0..4 {
        asked.push(world.draft("ada").await);
    }
    let mut waiting = Vec::new();
    for key in &asked[..4] {
        waiting.push(begin(world.code(&key.text)).await);
    }
    let beyond = world.try_verify(&asked[4].text).await;
    assert_eq!(beyond, Err(VerifyError::Busy));
    // What memory knows waits for nothing.
    assert_eq!(world.code(&hit.text).await, Code::Valid);
    for unknown in &known {
        assert_eq!(world.code(&unknown.text).await, Code::NotFound);
    }
    assert_eq!(world.store.queries(), 0);
    for waiting in &mut waiting {
        assert!(poll!(waiting.as_mut()).is_pending());
    }
}

async fn places_that_were_used_up_come_back(world: World) {
    let world = with_four_places(world, Duration::from_millis(1)).await;
    for _ in 0..20 {
        let unknown = world.draft("ada").await;
        assert_eq!(world.code(&unknown.text).await, Code::NotFound);
    }
    assert_eq!(world.store.queries(), 20);
}

async fn a_load_that_fails_uses_up_no_place(world: World) {
    let world = with_four_places(world, NEVER).await;
    let unknown = world.draft("ada").await;
    for fault in [Fault::Error(unavailable()), Fault::Panic] {
        world.store.keys.suffer(fault);
        for _ in 0..4 {
            assert!(world.try_verify(&unknown.text).await.is_err());
        }
    }
    world.store.keys.suffer(Fault::None);
    assert_eq!(world.code(&unknown.text).await, Code::NotFound);
}
