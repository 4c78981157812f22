//! The lease: without one nothing is decided from memory, and nothing that was read under one is used after its end.

use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::decision::Code;
use keywright_core::lifecycle::Transition;
use keywright_engine::verifier::ASKING;
use keywright_engine::{Lease, VerifierOptions, VerifyError};

use crate::world::{World, begin};

on_both_stores! {
    without_a_lease_every_verification_asks_the_store_and_nothing_is_remembered,
    a_lease_that_ends_before_the_deadline_is_compared_is_not_used,
    what_is_known_to_be_absent_is_not_used_after_the_lease,
    a_load_that_ends_after_the_lease_is_not_handed_out,
    a_change_that_nobody_told_of_is_seen_after_the_lease,
    memory_is_used_again_once_the_lease_is_longer,
    without_a_lease_a_malformed_text_costs_no_query,
    without_a_lease_only_so_many_ask_at_once,
}

const LEASE: Duration = Duration::from_secs(3);

fn without_a_lease(world: World) -> World {
    world.with(Lease::none(), VerifierOptions::default())
}

fn extend(world: &World) {
    world
        .verifier
        .lease()
        .extend_to(world.clock.uptime() + LEASE);
}

/// A verifier with a lease, which knows the keyspaces.
async fn leased(world: World) -> World {
    let world = without_a_lease(world);
    extend(&world);
    assert_eq!(world.code("agpt_").await, Code::NotFound);
    world
}

/// How many keys were loaded for memory, and how many verifications asked for themselves.
fn asked(world: &World) -> (usize, usize) {
    (world.store.keys.asked(), world.store.direct.asked())
}

async fn without_a_lease_every_verification_asks_the_store_and_nothing_is_remembered(world: World) {
    let world = without_a_lease(world);
    let (key, unknown) = (world.key("ada").await, world.draft("ada").await);
    for _ in 0..3 {
        assert_eq!(world.code(&key.text).await, Code::Valid);
        assert_eq!(world.code(&unknown.text).await, Code::NotFound);
        assert_eq!(asked(&world), (0, 2));
    }
    world.transition(&key, Transition::Suspend).await;
    assert_eq!(world.code(&key.text).await, Code::Suspended);
    // Once, to know under which keyspace the unknown one counts.
    assert_eq!(world.store.keyspaces.asked(), 1);
    // Nothing was left for when there is one.
    extend(&world);
    asked(&world);
    assert_eq!(world.code(&key.text).await, Code::Suspended);
    assert_eq!(asked(&world), (1, 0));
}

async fn a_lease_that_ends_before_the_deadline_is_compared_is_not_used(world: World) {
    let world = leased(world).await;
    let key = world.key("ada").await;
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(asked(&world), (1, 0));
    // The clock is read once memory was.
    let less = LEASE.saturating_sub(Duration::from_micros(1));
    world.clock.jump_when_asked(less);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(asked(&world), (0, 0), "the last microsecond");
    extend(&world);
    world.clock.jump_when_asked(LEASE);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(asked(&world), (0, 1), "none is left");
}

async fn what_is_known_to_be_absent_is_not_used_after_the_lease(world: World) {
    let world = leased(world).await;
    let unknown = world.draft("ada").await;
    for queries in [(1, 0), (0, 0)] {
        assert_eq!(world.code(&unknown.text).await, Code::NotFound);
        assert_eq!(asked(&world), queries);
    }
    world.clock.jump_when_asked(LEASE);
    assert_eq!(world.code(&unknown.text).await, Code::NotFound);
    assert_eq!(asked(&world), (0, 1));
    // Nor is a prefix that no keyspace had.
    let (keyspace, tag_keys) = world.draft_of_keyspace("partners", "partner_");
    let of_unknown_prefix = world.draft_in(keyspace.clone(), &tag_keys, "ada");
    extend(&world);
    assert_eq!(world.code(&of_unknown_prefix.text).await, Code::NotFound);
    assert_eq!(asked(&world), (0, 0));
    world.store.tell_nobody();
    world.create_keyspace(&keyspace, &tag_keys).await;
    world.create(&of_unknown_prefix).await;
    world.clock.advance(LEASE);
    assert_eq!(world.code(&of_unknown_prefix.text).await, Code::Valid);
    assert_eq!(asked(&world), (0, 1));
}

async fn a_load_that_ends_after_the_lease_is_not_handed_out(world: World) {
    let world = leased(world).await;
    let key = world.key("ada").await;
    world.store.tell_nobody();
    world.store.keys.after.close();
    let early = begin(world.code(&key.text)).await;
    let joined = begin(world.code(&key.text)).await;
    world.store.keys.after.has(1).await;
    // Another process's change, which waits for the end of this one's lease.
    world.transition(&key, Transition::Suspend).await;
    world.clock.advance(LEASE);
    // Whoever comes now does not even wait for what was begun before.
    assert_eq!(world.code(&key.text).await, Code::Suspended);
    world.store.keys.after.open();
    let suspended = (Code::Suspended, Code::Suspended);
    assert_eq!(futures::join!(early, joined), suspended);
    assert_eq!(asked(&world), (1, 3));
}

async fn a_change_that_nobody_told_of_is_seen_after_the_lease(world: World) {
    let world = leased(world).await;
    let key = world.key("ada").await;
    assert_eq!(world.code(&key.text).await, Code::Valid);
    world.store.tell_nobody();
    world.transition(&key, Transition::Revoke).await;
    assert_eq!(world.code(&key.text).await, Code::Valid, "as it may");
    world.clock.advance(LEASE);
    assert_eq!(world.code(&key.text).await, Code::Revoked);
    world.verifier.lease().end();
    assert_eq!(world.code(&key.text).await, Code::Revoked);
    assert_eq!(asked(&world), (1, 2));
}

async fn memory_is_used_again_once_the_lease_is_longer(world: World) {
    let world = leased(world).await;
    let key = world.key("ada").await;
    assert_eq!(world.code(&key.text).await, Code::Valid);
    world.clock.advance(LEASE);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(asked(&world), (1, 1));
    extend(&world);
    assert_eq!(world.code(&key.text).await, Code::Valid);
    assert_eq!(asked(&world), (0, 0));
}

async fn without_a_lease_a_malformed_text_costs_no_query(world: World) {
    let world = without_a_lease(world);
    for text in ["", "agpt_", "nothing like a key"] {
        assert_eq!(world.code(text).await, Code::NotFound);
    }
    assert_eq!(asked(&world), (0, 0));
}

async fn without_a_lease_only_so_many_ask_at_once(world: World) {
    let world = without_a_lease(world);
    let key = world.key("ada").await;
    world.store.direct.before.close();
    let mut asking = Vec::new();
    for _ in 0..ASKING {
        asking.push(begin(world.code(&key.text)).await);
    }
    let beyond = world.try_verify(&key.text).await;
    assert_eq!(beyond, Err(VerifyError::Busy));
    world.store.direct.before.open();
    for code in futures::future::join_all(asking).await {
        assert_eq!(code, Code::Valid);
    }
    assert_eq!(
        world.code(&key.text).await,
        Code::Valid,
        "there is room again"
    );
}
