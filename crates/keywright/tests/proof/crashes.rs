//! `kill -9` in the middle of everything: what was acknowledged stays, and nothing is half there (I1).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{NewKey, Persona, World, assert_whole, eventually, on_both_stores};

on_both_stores! {
    what_was_acknowledged_survives_a_kill_of_the_server
    a_server_that_is_killed_while_idle_keeps_what_it_took
}

/// How many clients work at once, each on keys of its own.
const CLIENTS: usize = 4;

/// How often the server is killed.
const ROUNDS: usize = 8;

/// What a client knows of one of its keys: every code that a verification may answer now.
struct Known {
    key: NewKey,
    codes: Vec<&'static str>,
}

fn what_was_acknowledged_survives_a_kill_of_the_server(world: &World) {
    let users: Vec<_> = (0..CLIENTS)
        .map(|n| world.user(&format!("client {n}")))
        .collect();
    let mut known: Vec<Known> = Vec::new();
    for round in 0..ROUNDS {
        let acknowledged = AtomicUsize::new(0);
        let of_this_round: Vec<Known> = thread::scope(|scope| {
            let working: Vec<_> = users
                .iter()
                .map(|user| scope.spawn(|| work_until_it_dies(user, &acknowledged)))
                .collect();
            // Each round another moment, always in the middle of something.
            eventually("clients are served", || {
                (acknowledged.load(Ordering::Relaxed) > 60 + 17 * round).then_some(())
            });
            world.node.kill();
            working
                .into_iter()
                .flat_map(|thread| thread.join().expect("a client"))
                .collect()
        });
        known.extend(of_this_round);

        world.node.start_again();
        assert_whole(&world.database);
        check(world, &mut known);
    }
    assert!(known.len() > 100, "{} keys", known.len());
    let rows = world.database.number("SELECT COUNT(*) FROM api_keys");
    let in_memory = i64::try_from(known.len()).expect("not so many") + 1;
    // A creation that was not answered may have been made: one for each client and kill.
    let unanswered = i64::try_from(ROUNDS * CLIENTS).expect("not so many");
    assert!(
        (in_memory..=in_memory + unanswered).contains(&rows),
        "{rows} keys, {in_memory} known"
    );
}

/// Makes keys and puts them through every state, until no answer comes.
fn work_until_it_dies(user: &Persona<'_>, acknowledged: &AtomicUsize) -> Vec<Known> {
    let mut known = Vec::new();
    for number in 0.. {
        let wanted = json!({"name": number.to_string(), "permissions": []});
        let Some(created) = acknowledged_by(user, Method::POST, "/api/api-keys", Some(&wanted))
        else {
            break;
        };
        acknowledged.fetch_add(1, Ordering::Relaxed);
        let mut known_now = Known {
            key: NewKey::of(&created),
            codes: vec!["VALID"],
        };
        let lived = live(user, &mut known_now, number, acknowledged);
        known.push(known_now);
        if lived.is_none() {
            break;
        }
    }
    known
}

/// One life of a key: every fourth is left as it is, the others are suspended, reactivated, revoked, as far as they
/// come. `None` where no answer came.
fn live(
    user: &Persona<'_>,
    known: &mut Known,
    number: usize,
    acknowledged: &AtomicUsize,
) -> Option<()> {
    let path = known.key.path();
    let suspend = (Method::POST, format!("{path}/suspend"), "SUSPENDED");
    let reactivate = (Method::POST, format!("{path}/reactivate"), "VALID");
    let revoke = (Method::DELETE, path, "REVOKED");
    for (method, path, code) in [suspend, reactivate, revoke].into_iter().take(number % 4) {
        // While it is under way, both may be so.
        known.codes.push(code);
        acknowledged_by(user, method, &path, None)?;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        known.codes = vec![code];
    }
    Some(())
}

/// The document of a 200; `None` where the server went away.
fn acknowledged_by(
    user: &Persona<'_>,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Option<Value> {
    Some(user.try_send(method, path, body).ok()?.ok())
}

/// Checks that every key is as it was acknowledged; what was unknown is known from here on.
fn check(world: &World, known: &mut [Known]) {
    let admin = world.admin();
    for batch in known.chunks_mut(1000) {
        let requests: Vec<_> = batch
            .iter()
            .map(|known| json!({"key": known.key.text}))
            .collect();
        let answer = admin
            .post("/api/verify/batch", &json!({"requests": requests}))
            .ok();
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.len(), batch.len());
        for (known, result) in batch.iter_mut().zip(results) {
            let possible = |code: &&&str| result["code"] == **code;
            let code = known.codes.iter().find(possible).unwrap_or_else(|| {
                panic!(
                    "{} was acknowledged as {:?}, and is {result}",
                    known.key.id, known.codes
                )
            });
            assert_eq!(result["key_id"], known.key.id);
            known.codes = vec![code];
        }
    }
}

fn a_server_that_is_killed_while_idle_keeps_what_it_took(world: &World) {
    let ada = world.user("ada");
    let key = ada.key("last");
    ada.revoke(&key);
    world.admin().delete("/api/users/ada");
    let kept = world.user("bob").key("first");
    world.node.kill();
    world.node.start_again();
    assert_eq!(world.admin().verify(&key), "NOT_FOUND");
    assert_eq!(world.admin().verify(&kept), "VALID");
    assert_whole(&world.database);
}
