//! What is counted of the use of keys: exact after a stop in good order, and at most one flush behind after a kill.
//! And what a database that stalls is to those whose keys are in memory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::support::{NewKey, Persona, World, eventually, on_both_stores};

on_both_stores! {
    counts_are_exact_after_a_stop
    counts_are_at_most_one_flush_behind_after_a_kill
}

/// How often each code was counted, at `path`.
fn counted(by: &Persona<'_>, path: &str, code: &str) -> u64 {
    let usage = by.get(path).ok();
    let buckets = usage["buckets"].as_array().expect("buckets");
    let in_bucket = |bucket: &Value| bucket["counts"].get(code).and_then(Value::as_u64);
    buckets.iter().filter_map(in_bucket).sum()
}

fn of_key(world: &World, key: &NewKey, code: &str) -> u64 {
    counted(&world.admin(), &format!("{}/usage", key.path()), code)
}

fn verify_times(world: &World, question: &Value, code: &str, times: u64) {
    for _ in 0..times {
        assert_eq!(world.admin().ask(question)["code"], code);
    }
}

fn counts_are_exact_after_a_stop(world: &World) {
    let ada = world.user("ada");
    let [used, suspended, revoked] = ["used", "suspended", "revoked"].map(|name| ada.key(name));
    ada.suspend(&suspended);
    ada.revoke(&revoked);
    let plain = |key: &NewKey| json!({"key": key.text});
    let lacking = json!({"key": used.text, "permissions": ["READ_BLOCK"]});
    verify_times(world, &plain(&used), "VALID", 70);
    verify_times(world, &lacking, "INSUFFICIENT_PERMISSIONS", 11);
    verify_times(world, &plain(&suspended), "SUSPENDED", 13);
    verify_times(world, &plain(&revoked), "REVOKED", 17);
    verify_times(world, &json!({"key": "agpt_made up"}), "NOT_FOUND", 19);
    world.restart();

    assert_eq!(of_key(world, &used, "VALID"), 70);
    assert_eq!(of_key(world, &used, "INSUFFICIENT_PERMISSIONS"), 11);
    assert_eq!(of_key(world, &suspended, "SUSPENDED"), 13);
    assert_eq!(of_key(world, &revoked, "REVOKED"), 17);
    for of in ["/api/usage", "/api/usage?keyspace=default"] {
        assert_eq!(counted(&world.admin(), of, "NOT_FOUND"), 19);
    }
    let of_ada = "/api/usage?user_id=ada";
    assert_eq!(counted(&world.admin(), of_ada, "VALID"), 70);
}

fn counts_are_at_most_one_flush_behind_after_a_kill(world: &World) {
    let key = world.user("ada").key("used");
    let question = json!({"key": key.text});
    verify_times(world, &question, "VALID", 20);
    eventually("they are written", || {
        (of_key(world, &key, "VALID") == 20).then_some(())
    });
    verify_times(world, &question, "VALID", 30);
    world.node.kill();
    world.node.start_again();
    let left = of_key(world, &key, "VALID");
    assert!(
        (20..=50).contains(&left),
        "{left} of 50, 20 of them written"
    );
    // It goes on from there, and nothing is written that was lost.
    verify_times(world, &question, "VALID", 7);
    world.restart();
    assert_eq!(of_key(world, &key, "VALID"), left + 7);
}

/// Holds the locks that whoever reads a database in SQLite's WAL mode needs (<https://www.sqlite.org/walformat.html>,
/// section 2.3.1), as nothing but a broken file system would: readers then wait for their patience.
struct Stall(Child);

impl Stall {
    fn of(file: &Path) -> Self {
        const HOLD: &str = "
import fcntl, sys
index = open(sys.argv[1], 'r+b')
fcntl.lockf(index, fcntl.LOCK_EX, 5, 123)
print('held', flush=True)
sys.stdin.read()
";
        let mut index = file.as_os_str().to_owned();
        index.push("-shm");
        let mut child = Command::new("python3")
            .args(["-c", HOLD])
            .arg(index)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start python3: {error}"));
        let mut said = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut said).expect("text");
        assert_eq!(said, "held\n");
        Self(child)
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_database_that_stalls_keeps_no_key_in_memory_waiting() {
    let world = World::on_sqlite();
    let ada = world.user("ada");
    let (hot, cold) = (ada.key("hot"), ada.key("cold"));
    let admin = world.admin();
    assert_eq!(admin.verify(&hot), "VALID");
    let stall = Stall::of(&world.node.data().join("keywright.db"));
    thread::scope(|scope| {
        let miss = scope.spawn(|| admin.post("/api/verify", &json!({"key": cold.text})));
        let mut hits = 0;
        while !miss.is_finished() {
            assert_eq!(admin.verify(&hot), "VALID");
            hits += 1;
        }
        miss.join().expect("a client").unavailable();
        assert!(hits > 100, "{hits} hits while one miss waited");
    });
    drop(stall);
    eventually("the database answers again", || {
        let answer = admin.post("/api/verify", &json!({"key": cold.text}));
        (answer.status == 200).then(|| assert_eq!(answer.json()["code"], "VALID"))
    });
}

#[test]
fn metrics_show_what_memory_decided() {
    let world = World::on_sqlite();
    let key = world.user("ada").key("used");
    let admin = world.admin();
    let metric = |name: &str| {
        let text = world.nobody().get("/metrics").body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    };
    // The service key and the key, each once.
    assert_eq!(admin.verify(&key), "VALID");
    assert_rises(&metric, "keywright_cache_hits_total", 20.0, || {
        for _ in 0..10 {
            assert_eq!(admin.verify(&key), "VALID");
        }
    });
    assert_rises(&metric, "keywright_verify_refused_total", 1.0, || {
        admin.ask(&json!({"key": "agpt_made up"}));
    });
    let another = world.user("ada").key("another");
    assert_rises(&metric, "keywright_cache_misses_total", 1.0, || {
        assert_eq!(admin.verify(&another), "VALID");
    });
    assert!((metric("keywright_cache_keys") - 3.0).abs() < f64::EPSILON);
}

#[track_caller]
fn assert_rises(metric: &impl Fn(&str) -> f64, name: &str, by: f64, act: impl FnOnce()) {
    let before = metric(name);
    act();
    let rose = metric(name) - before;
    assert!((rose - by).abs() < f64::EPSILON, "{name} rose by {rose}");
}
