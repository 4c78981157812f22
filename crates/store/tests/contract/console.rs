//! Who is signed in to the console, and which forms were sent.

use std::sync::Arc;

use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::timestamp::Timestamp;
use keywright_store::console::{Console, Session, SignedIn};
use uuid::Uuid;

use crate::world::{World, user};

contract! {
    a_session_is_found_by_what_the_browser_keeps,
    a_session_ends_when_nothing_is_seen_of_it_and_in_any_case_at_its_end,
    somebody_sees_and_ends_own_sessions_only,
    the_sessions_of_a_user_end_when_the_user_is_deleted,
    a_form_is_used_once,
    what_has_ended_is_forgotten,
}

const MINUTE: i64 = 60_000_000;

const fn at(minutes: i64) -> Timestamp {
    Timestamp::from_micros(minutes * MINUTE)
}

fn console(world: &World) -> Arc<dyn Console> {
    world.store.clone().console()
}

fn by_key(number: u128) -> SignedIn {
    SignedIn::ServiceKey(KeyId(Uuid::from_u128(number)))
}

fn ada() -> SignedIn {
    SignedIn::User {
        id: user("ada"),
        operator: false,
    }
}

fn session(number: u128, who: SignedIn) -> Session {
    Session {
        id: Uuid::from_u128(number),
        who,
        began_at: at(10),
        seen_at: at(10),
        ends_at: at(100),
        ip: Some("192.0.2.7".to_owned()),
        user_agent: None,
    }
}

fn kept(number: u128) -> Digest {
    Digest::of(&number.to_string())
}

async fn begun(world: &World, number: u128, who: SignedIn) -> Session {
    let session = session(number, who);
    console(world)
        .begin_session(session.clone(), kept(number))
        .await
        .unwrap();
    session
}

async fn found(world: &World, number: u128, now: Timestamp) -> Option<Session> {
    let console = console(world);
    console
        .find_session(&kept(number), now, at(0))
        .await
        .unwrap()
}

async fn a_session_is_found_by_what_the_browser_keeps(world: World) {
    let operator = SignedIn::User {
        id: user("grace"),
        operator: true,
    };
    let all = [
        begun(&world, 1, by_key(7)).await,
        begun(&world, 2, ada()).await,
        begun(&world, 3, operator).await,
    ];
    for (number, session) in (1..).zip(all) {
        assert_eq!(found(&world, number, at(10)).await, Some(session));
    }
    assert_eq!(found(&world, 4, at(10)).await, None);
    assert!(world.store.find_user(&user("ada")).await.unwrap().is_some());
}

async fn a_session_ends_when_nothing_is_seen_of_it_and_in_any_case_at_its_end(world: World) {
    let mut session = begun(&world, 1, by_key(7)).await;
    let find = async |now, seen_after| {
        let console = console(&world);
        console
            .find_session(&kept(1), now, seen_after)
            .await
            .unwrap()
    };
    assert_eq!(find(at(20), at(10)).await, None);
    assert_eq!(find(at(20), at(9)).await, Some(session.clone()));
    console(&world)
        .note_session(session.id, at(20))
        .await
        .unwrap();
    // One that comes late takes nothing back.
    console(&world)
        .note_session(session.id, at(15))
        .await
        .unwrap();
    session.seen_at = at(20);
    assert_eq!(find(at(20), at(19)).await, Some(session.clone()));
    console(&world)
        .note_session(session.id, at(100))
        .await
        .unwrap();
    session.seen_at = at(100);
    assert_eq!(find(at(99), at(90)).await, Some(session));
    assert_eq!(find(at(100), at(90)).await, None);
}

async fn somebody_sees_and_ends_own_sessions_only(world: World) {
    let first = begun(&world, 1, ada()).await;
    let second = begun(&world, 2, ada()).await;
    let other = begun(&world, 3, by_key(7)).await;
    let console = console(&world);
    let list = console.list_sessions(&ada(), at(10), at(0)).await.unwrap();
    assert_eq!(list, [second.clone(), first.clone()]);
    assert_eq!(
        console.list_sessions(&ada(), at(100), at(0)).await.unwrap(),
        []
    );
    assert_eq!(console.end_session(&ada(), other.id).await, Ok(false));
    assert_eq!(console.end_session(&by_key(7), first.id).await, Ok(false));
    assert_eq!(console.end_session(&ada(), first.id).await, Ok(true));
    assert_eq!(found(&world, 1, at(10)).await, None);
    assert_eq!(console.end_sessions(&ada()).await, Ok(1));
    assert_eq!(found(&world, 2, at(10)).await, None);
    assert_eq!(found(&world, 3, at(10)).await, Some(other));
}

async fn the_sessions_of_a_user_end_when_the_user_is_deleted(world: World) {
    begun(&world, 1, ada()).await;
    let deleted = world.store.delete_user(user("ada"), world.by()).await;
    assert_eq!(deleted, Ok(true));
    assert_eq!(found(&world, 1, at(10)).await, None);
}

async fn a_form_is_used_once(world: World) {
    let console = console(&world);
    assert_eq!(console.use_form(kept(1), at(1)).await, Ok(true));
    assert_eq!(console.use_form(kept(1), at(2)).await, Ok(false));
    assert_eq!(console.use_form(kept(2), at(2)).await, Ok(true));
}

async fn what_has_ended_is_forgotten(world: World) {
    begun(&world, 1, ada()).await;
    let console = console(&world);
    console.use_form(kept(1), at(1)).await.unwrap();
    console.trim_console(at(100), at(1)).await.unwrap();
    assert_eq!(
        world.number("SELECT COUNT(*) FROM console_sessions").await,
        1
    );
    assert_eq!(world.number("SELECT COUNT(*) FROM console_forms").await, 1);
    console.trim_console(at(101), at(2)).await.unwrap();
    assert_eq!(
        world.number("SELECT COUNT(*) FROM console_sessions").await,
        0
    );
    assert_eq!(world.number("SELECT COUNT(*) FROM console_forms").await, 0);
}
