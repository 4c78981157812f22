//! A change is on the disk before it is answered (I1), seen from outside by `strace`: between the moment a request
//! has arrived and the first byte of its answer, the log is written and then synced.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use keywright_testkit::TemporaryPostgres;
use serde_json::json;

use crate::support::{Launch, World, eventually, now};

/// The log of an embedded database, which one process writes, one transaction after the other.
const WAL: Log = Log {
    path: "keywright.db-wal",
    written_by_others: false,
};

/// The log of PostgreSQL. Its background processes write to it when they like.
const PG_WAL: Log = Log {
    path: "pg_wal/",
    written_by_others: true,
};

/// The log of a database.
#[derive(Clone, Copy)]
struct Log {
    /// A part of its path that no other file has.
    path: &'static str,
    /// Whether what is written between a change's arrival and its answer may be something else.
    written_by_others: bool,
}

#[test]
fn on_sqlite_every_change_is_synced_before_it_is_answered() {
    let trace = Trace::new("sqlite");
    let world = World::on_sqlite_with(trace.launch(&[]));
    change_everything_once(&world, &trace, WAL);
    trace.assert_synced(WAL);
}

#[test]
fn on_postgres_every_change_is_synced_before_it_is_answered() {
    let cluster = TemporaryPostgres::options().durable(true).start();
    let trace = Trace::new("postgres");
    let world = World::on_cluster(&cluster, trace.launch(&server_processes(&cluster)));
    change_everything_once(&world, &trace, PG_WAL);
    trace.assert_synced(PG_WAL);
}

/// The trace is read rightly: what comes after the sync is not synced by it.
#[test]
fn what_is_written_after_the_sync_is_not_synced() {
    const ARRIVES: &str = r#"recvfrom(9<socket:[1]>, "POST /api/api-keys", 48) = 48"#;
    const WRITES: &str = r#"pwrite64(7</data/keywright.db-wal>, "..."..., 24, 32) = 24"#;
    const SYNCS: &str = "fdatasync(7</data/keywright.db-wal>) = 0";
    const ANSWERS: &str = r#"writev(9<socket:[1]>, [{iov_base="HTTP/1.1 200 OK"}]) = 15"#;
    for (calls, synced) in [
        (&[ARRIVES, WRITES, SYNCS, ANSWERS][..], true),
        (&[ARRIVES, WRITES, SYNCS, WRITES, SYNCS, ANSWERS], true),
        (&[ARRIVES, WRITES, SYNCS, WRITES, ANSWERS], false),
        (&[ARRIVES, WRITES, ANSWERS, SYNCS], false),
        (&[WRITES, ARRIVES, SYNCS, ANSWERS], false),
    ] {
        let mut seen = Seen::default();
        for call in calls {
            seen.began(call);
            seen.ended(call, WAL);
        }
        let answers: Vec<bool> = seen.answers.iter().map(|answer| answer.synced).collect();
        assert_eq!(answers, [synced], "{calls:#?}");
    }
}

/// What one client changes, one after the other, by every route that changes anything.
fn change_everything_once(world: &World, trace: &Trace, log: Log) {
    let ada = world.user("ada");
    let admin = world.admin();
    let mut changes = 0;
    for name in ["one", "two", "three"] {
        let key = ada.key(name);
        ada.patch(&key.path(), &json!({"name": "renamed"})).ok();
        let permissions = json!({"permissions": ["READ_BLOCK"]});
        ada.put(&format!("{}/permissions", key.path()), &permissions)
            .ok();
        ada.suspend(&key);
        ada.reactivate(&key);
        ada.revoke(&key);
        changes += 6;
    }
    // The uses of keys are written by the way, once a second: not in the middle of the next change.
    let wait_for_uses = || {
        let since = now().as_micros();
        admin.get("/api/users").ok();
        let written = format!("SELECT COUNT(*) FROM api_keys WHERE last_used_at >= {since}");
        eventually("the use is written", || {
            (world.database.number(&written) > 0).then_some(())
        });
    };
    wait_for_uses();
    let key = admin.acting_for("bob").key("his");
    wait_for_uses();
    world.holder(&key.text).delete("/api/whoami").ok();
    wait_for_uses();
    let keyspace = json!({"name": "live", "prefix": "sk_live_", "permissions": ["charge"]});
    admin.post("/api/keyspaces", &keyspace).ok();
    wait_for_uses();
    admin
        .patch("/api/keyspaces/live", &json!({"permissions": ["refund"]}))
        .ok();
    wait_for_uses();
    world.service(&["audit:read"]);
    wait_for_uses();
    assert_eq!(admin.delete("/api/users/ada").status, 204);
    changes += 6;

    eventually("the trace is written", || {
        (trace.read(log).answers.len() >= changes).then_some(())
    });
    assert_eq!(trace.read(log).answers.len(), changes);
}

/// All processes of a cluster; each new one is a child of the first.
fn server_processes(cluster: &TemporaryPostgres) -> Vec<String> {
    let file = fs::read_to_string(cluster.directory().join("data/postmaster.pid"));
    let first = file
        .expect("the cluster runs")
        .lines()
        .next()
        .expect("a number")
        .to_owned();
    let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
    let children = children.expect("the cluster runs");
    let others = children.split_whitespace().map(str::to_owned);
    std::iter::once(first.clone()).chain(others).collect()
}

/// Where strace writes what it sees.
struct Trace {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

/// An answer to a change, and whether the log was synced before it.
struct Answered {
    /// How the request began.
    request: String,
    wrote: bool,
    synced: bool,
}

/// What a trace shows of a sequential client.
#[derive(Default)]
struct Seen {
    answers: Vec<Answered>,
    /// What the descriptors of the server are open on, as far as strace does not say.
    open: HashMap<String, String>,
    /// The request that has arrived and is not answered.
    arrived: Option<Answered>,
}

const CALLS: &str =
    "trace=openat,recvfrom,read,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync";

impl Trace {
    fn new(name: &str) -> Self {
        let found = Command::new("strace")
            .arg("-V")
            .stdout(Stdio::null())
            .status();
        assert!(
            found.is_ok_and(|status| status.success()),
            "strace is not on this machine: run scripts/test, which installs it"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(name);
        Self {
            _folder: folder,
            file,
        }
    }

    /// How a server is started so that it is traced, with all its threads, beside these processes.
    fn launch(&self, beside: &[String]) -> Launch {
        let file = self.file.to_str().expect("UTF-8");
        let fixed = ["strace", "-f", "-y", "-s", "48", "-e", CALLS, "-o", file];
        let attached = beside.iter().flat_map(|process| ["-p", process.as_str()]);
        Launch {
            under: fixed
                .into_iter()
                .chain(attached)
                .map(str::to_owned)
                .collect(),
            ..Launch::default()
        }
    }

    /// Reads the trace, in which lines stand in the order in which calls began and ended.
    fn read(&self, log: Log) -> Seen {
        let text = fs::read(&self.file).expect("strace writes it");
        let mut seen = Seen::default();
        let mut begun: HashMap<String, String> = HashMap::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((thread, event)) = line.split_once(' ') else {
                continue;
            };
            let event = event.trim_start();
            if let Some(rest) = event.strip_prefix("<... ") {
                let (_, rest) = rest.split_once(" resumed>").unwrap_or_default();
                let call = begun.remove(thread).unwrap_or_default() + rest;
                seen.ended(&call, log);
            } else if let Some(call) = event.strip_suffix(" <unfinished ...>") {
                seen.began(call);
                begun.insert(thread.to_owned(), call.to_owned());
            } else {
                seen.began(event);
                seen.ended(event, log);
            }
        }
        seen
    }

    /// Checks that `log` was written and then synced before each answer.
    fn assert_synced(&self, log: Log) {
        let seen = self.read(log);
        let unsynced = seen.answers.iter().filter(|answer| !answer.synced);
        let unsynced: Vec<_> = unsynced.map(|answer| &answer.request).collect();
        assert!(
            unsynced.is_empty(),
            "answered before {} was synced: {unsynced:#?}",
            log.path
        );
    }
}

impl Seen {
    /// A call begins: an answer is on its way when it begins to be written.
    fn began(&mut self, call: &str) {
        let (name, arguments) = call.split_once('(').unwrap_or_default();
        if ["write", "writev", "sendto", "sendmsg"].contains(&name)
            && arguments.contains("\"HTTP/1.1 20")
        {
            self.answers.extend(self.arrived.take());
        }
    }

    /// A call has ended: what it was to do is done.
    fn ended(&mut self, call: &str, log: Log) {
        let (name, arguments) = call.split_once('(').unwrap_or_default();
        match name {
            "openat" => {
                let path = arguments.split('"').nth(1).unwrap_or_default();
                let result = call.rsplit("= ").next().unwrap_or_default();
                let descriptor = result.split('<').next().unwrap_or_default();
                self.open
                    .insert(descriptor.trim().to_owned(), path.to_owned());
            }
            "recvfrom" | "read" => {
                let text = arguments.split('"').nth(1).unwrap_or_default();
                let change = ["POST", "PATCH", "PUT", "DELETE"]
                    .iter()
                    .any(|method| text.starts_with(&format!("{method} /api/")));
                if change {
                    self.arrived = Some(Answered {
                        request: text.to_owned(),
                        wrote: false,
                        synced: false,
                    });
                }
            }
            "write" | "pwrite64" | "pwritev" if self.is_on(arguments, log.path) => {
                if let Some(arrived) = &mut self.arrived {
                    arrived.wrote = true;
                    // Only a sync after the last write has the whole change on the disk.
                    arrived.synced &= log.written_by_others;
                }
            }
            "fsync" | "fdatasync" if call.ends_with("= 0") && self.is_on(arguments, log.path) => {
                if let Some(arrived) = &mut self.arrived {
                    arrived.synced = arrived.wrote;
                }
            }
            _ => {}
        }
    }

    /// Whether the first argument of a call is a descriptor of the log.
    fn is_on(&self, arguments: &str, log: &str) -> bool {
        let first = arguments.split([',', ')']).next().unwrap_or_default();
        match first.split_once('<') {
            Some((_, path)) => path.contains(log),
            // Of a process that keeps others from reading it, strace tells names to root only.
            None => self
                .open
                .get(first.trim())
                .is_some_and(|path| path.contains(log)),
        }
    }
}
