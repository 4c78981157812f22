//! PostgreSQL goes away under load and comes back: refusals are clear, no decision is wrong, nothing is half done,
//! and the server goes on by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use keywright_testkit::TemporaryPostgres;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Launch, NewKey, Persona, World, assert_whole, eventually};

#[test]
fn a_server_outlives_the_stops_and_crashes_of_its_database() {
    let cluster = TemporaryPostgres::start();
    let world = World::on_cluster(&cluster, Launch::default());
    let process = world.node.process();
    let steady = Steady::new(&world);
    let clients: Vec<Client<'_>> = (0..4).map(|n| Client::new(&world, &steady, n)).collect();
    let ended = AtomicBool::new(false);

    thread::scope(|scope| {
        // However this ends, so do the clients.
        let _end = OnDrop(|| ended.store(true, Ordering::Relaxed));
        for client in &clients {
            scope.spawn(|| client.work_until(&ended));
        }
        let ways_to_go: [fn(&TemporaryPostgres); 3] = [
            TemporaryPostgres::stop,
            TemporaryPostgres::abort,
            TemporaryPostgres::kill,
        ];
        for go in ways_to_go {
            each_goes_beyond(&note(&clients, SERVED), &clients, "served", SERVED);
            let refused = note(&clients, REFUSED);
            go(&cluster);
            let why = world.nobody().get("/health/ready").unavailable();
            assert!(why.contains("database"), "{why}");
            assert_eq!(world.nobody().get("/health/live").status, 200);
            each_goes_beyond(&refused, &clients, "refused", REFUSED);

            cluster.start_again();
            eventually("the server is ready again", || {
                (world.nobody().get("/health/ready").status == 200).then_some(())
            });
        }
        each_goes_beyond(&note(&clients, SERVED), &clients, "served", SERVED);
    });

    assert_eq!(world.node.process(), process);
    assert_whole(&world.database);
    for client in &clients {
        assert_eq!(client.wrong.load(Ordering::Relaxed), 0);
        client.check();
    }
    steady.check(&world.admin());
}

/// Waits until every client has been served, or refused, more often than when this was noted.
fn each_goes_beyond(noted: &[usize], clients: &[Client<'_>], what: &str, count: Count) {
    for (client, before) in clients.iter().zip(noted) {
        eventually(&format!("every client is {what}"), || {
            let wrong = client.wrong.load(Ordering::Relaxed);
            (count(client).load(Ordering::Relaxed) > *before || wrong > 0).then_some(())
        });
    }
}

/// How often each client has been served, or refused.
fn note(clients: &[Client<'_>], count: Count) -> Vec<usize> {
    clients
        .iter()
        .map(|client| count(client).load(Ordering::Relaxed))
        .collect()
}

type Count = for<'a> fn(&'a Client<'_>) -> &'a AtomicUsize;
const SERVED: Count = |client| &client.served;
const REFUSED: Count = |client| &client.refused;

/// The codes that a key may have after a change to the last of them: this one if the change was acknowledged.
fn after<'a>(acknowledged: bool, codes: &'a [&'a str]) -> &'a [&'a str] {
    if acknowledged {
        &codes[codes.len() - 1..]
    } else {
        codes
    }
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Keys that nobody changes.
struct Steady(Vec<(NewKey, &'static str)>);

impl Steady {
    fn new(world: &World) -> Self {
        let ada = world.user("ada");
        let [active, suspended, revoked] =
            ["active", "suspended", "revoked"].map(|name| ada.key(name));
        ada.suspend(&suspended);
        ada.revoke(&revoked);
        Self(vec![
            (active, "VALID"),
            (suspended, "SUSPENDED"),
            (revoked, "REVOKED"),
        ])
    }

    fn check(&self, service: &Persona<'_>) {
        for (key, code) in &self.0 {
            assert_eq!(service.verify(key), *code);
        }
    }
}

/// One who makes keys, revokes them and has them verified, and takes no wrong answer.
struct Client<'a> {
    user: Persona<'a>,
    service: Persona<'a>,
    steady: &'a Steady,
    served: AtomicUsize,
    refused: AtomicUsize,
    /// That it panicked, so that nobody waits for it.
    wrong: AtomicUsize,
    /// Every key it was given, with the codes that a verification may answer for good.
    ended: Mutex<Vec<(NewKey, &'static [&'static str])>>,
}

impl<'a> Client<'a> {
    fn new(world: &'a World, steady: &'a Steady, number: usize) -> Self {
        Self {
            user: world.user(&format!("client {number}")),
            service: world.admin(),
            steady,
            served: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            wrong: AtomicUsize::new(0),
            ended: Mutex::default(),
        }
    }

    fn work_until(&self, ended: &AtomicBool) {
        let panicked = OnDrop(|| {
            if thread::panicking() {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
        });
        while !ended.load(Ordering::Relaxed) {
            self.live_one_life();
        }
        drop(panicked);
    }

    /// The life of one key. What was refused may have been done all the same; what was acknowledged was.
    fn live_one_life(&self) {
        for (key, code) in &self.steady.0 {
            self.verify(key, &[code]);
        }
        let wanted = json!({"name": "of a life", "permissions": []});
        let Some(created) = self.sent(&self.user, Method::POST, "/api/api-keys", Some(&wanted))
        else {
            return;
        };
        let key = NewKey::of(&created);
        self.verify(&key, &["VALID"]);
        let suspended = self.sent(
            &self.user,
            Method::POST,
            &format!("{}/suspend", key.path()),
            None,
        );
        self.verify(&key, after(suspended.is_some(), &["VALID", "SUSPENDED"]));
        let revoked = self.sent(&self.user, Method::DELETE, &key.path(), None);
        let possible = after(revoked.is_some(), &["VALID", "SUSPENDED", "REVOKED"]);
        self.verify(&key, possible);
        self.ended.lock().expect("no panic").push((key, possible));
    }

    /// Checks that what was acknowledged before a crash is so after it.
    fn check(&self) {
        let ended = self.ended.lock().expect("no panic");
        assert!(!ended.is_empty());
        for (key, possible) in ended.iter() {
            let code = self.service.verify(key);
            assert!(
                possible.contains(&code.as_str()),
                "{} is {code}, not {possible:?}",
                key.id
            );
        }
    }

    fn verify(&self, key: &NewKey, possible: &[&str]) {
        let question = json!({"key": key.text});
        if let Some(answer) = self.sent(&self.service, Method::POST, "/api/verify", Some(&question))
        {
            let code = answer["code"].as_str().expect("a code");
            assert!(
                possible.contains(&code),
                "{answer}, though it can only be {possible:?}"
            );
        }
    }

    /// The document of a 200, or `None` for a clear refusal. Nothing else is taken.
    fn sent(
        &self,
        by: &Persona<'_>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Value> {
        let answer: Answer = by.send(method, path, body);
        if answer.status == 503 {
            answer.unavailable();
            self.refused.fetch_add(1, Ordering::Relaxed);
            None
        } else {
            let document = answer.ok();
            self.served.fetch_add(1, Ordering::Relaxed);
            Some(document)
        }
    }
}
