//! The trial: a cluster, those who change and ask, and what is done to it meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use keywright_testkit::TemporaryPostgres;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::changes::Changer;
use crate::client::{Answer, Client};
use crate::clock::{now, since};
use crate::faults::{Fault, disturb};
use crate::key::{Key, Stale};
use crate::node::{Launch, Node, lock};
use crate::outcome::{NodeAnswers, Outcome, SlowChange};
use crate::proxy::{Proxy, Weather};
use crate::verifications::verify;

/// When it is over.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// After so long, and when every node has decided so many verifications; but not so many times as long, whatever comes.
    For {
        /// So long.
        time: Duration,
        /// Each node.
        verifications: u64,
    },
    /// After so many verifications and faults.
    Until {
        /// Decided ones, on all nodes.
        verifications: u64,
        /// Of all kinds.
        faults: u64,
    },
}

/// What is tried.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program whose `serve` is tried.
    pub program: PathBuf,
    /// From which everything is drawn that the trial decides. What processes make of it is not the same twice.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// Their lease.
    pub lease: Duration,
    /// How many keys each keeps in memory; the default where `None`.
    pub cache_keys: Option<u32>,
    /// How long there are no faults first, until it is counted what verification costs the database.
    pub calm: Duration,
    /// What goes wrong afterwards; nothing where it is empty.
    pub faults: Vec<Fault>,
    /// How many things at once.
    pub faults_at_once: usize,
    /// When it is over, counted from the end of the calm.
    pub length: Length,
    /// How many change keys, and how many ask on each node.
    pub changers: usize,
    /// How many ask on each node.
    pub verifiers: usize,
    /// How long each of these rests between questions, but for the calm.
    pub pause: Duration,
    /// Further variables of the processes' environment.
    pub variables: Vec<(String, String)>,
}

/// Who changes keys rests so long on average, and while nothing is wrong so long: then it is seen what verification
/// alone costs the database.
const PAUSE_BETWEEN_CHANGES: Duration = Duration::from_millis(15);
const PAUSE_IN_THE_CALM: Duration = Duration::from_secs(4);
/// Keys that are asked about: the last ones that were made.
const KEYS: usize = 400;
/// Of which so many were made lately.
const YOUNG: usize = 30;
/// How long all nodes may take to have their leases after the last fault.
const RECOVERY: Duration = Duration::from_secs(30);
/// How many times as long as it should a trial may take on a busy machine.
const LONGEST: u32 = 3;
/// How many verifications tell what one costs the database.
const CALM: u64 = 20_000;
/// What a change may take beyond what the protocol takes: 3 s for a lock that a stopped process holds, until the database
/// ends its transaction, and the rest for a busy machine.
const SLACK: Duration = Duration::from_secs(5);

/// What all parts of a trial share.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) database: Arc<TemporaryPostgres>,
    /// Whether something is being done to it: one thing at a time.
    pub(crate) database_taken: AtomicBool,
    keys: RwLock<VecDeque<Arc<Key>>>,
    is_calm: AtomicBool,
    is_over: AtomicBool,
    changes: AtomicU64,
    unknown: AtomicU64,
    service_key: String,
    findings: Mutex<Findings>,
}

#[derive(Default)]
struct Findings {
    stale: Option<Stale>,
    unexpected: Vec<String>,
    faults: Vec<Lasted>,
    kinds: BTreeMap<Fault, u64>,
    recovered: Duration,
    /// What was done, by which node, when it was asked for and answered.
    answered: Vec<(String, usize, Duration, Duration)>,
}

/// When a fault began, and ended if it has.
struct Lasted {
    began: Duration,
    ended: Option<Duration>,
    /// At which node; `None` where it was the database.
    at: Option<usize>,
}

impl World {
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn pause_between_changes(&self) -> Duration {
        if self.is_calm.load(Ordering::Relaxed) {
            PAUSE_IN_THE_CALM
        } else {
            PAUSE_BETWEEN_CHANGES
        }
    }

    pub(crate) fn pause_between_verifications(&self) -> Duration {
        if self.is_calm.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            self.settings.pause
        }
    }

    pub(crate) fn any_key(&self, random: &mut fastrand::Rng) -> Option<Arc<Key>> {
        let keys = self.keys.read().expect("nobody panics with it");
        // Mostly those that still change.
        let of = if random.u8(0..4) == 0 {
            keys.len()
        } else {
            keys.len().min(YOUNG)
        };
        let place = random.usize(..).checked_rem(of)?;
        keys.get(keys.len() - 1 - place).cloned()
    }

    pub(crate) fn add(&self, key: &Arc<Key>) {
        let mut keys = self.keys.write().expect("nobody panics with it");
        if keys.len() == KEYS {
            keys.pop_front();
        }
        keys.push_back(key.clone());
        drop(keys);
        self.heat(key);
    }

    /// It changes, or has, as was just answered: every node is asked about it.
    pub(crate) fn heat(&self, key: &Arc<Key>) {
        for node in &self.nodes {
            node.heat(key);
        }
    }

    pub(crate) fn found_stale(&self, stale: Stale) {
        lock(&self.findings).stale.get_or_insert(stale);
        self.end();
    }

    pub(crate) fn unexpected(&self, node: &Node, what: &str, answer: &Answer) {
        let Answer { status, body } = answer;
        let said = format!("node {} answered {status} to {what}: {body}", node.number);
        lock(&self.findings).unexpected.push(said);
    }

    pub(crate) fn note_unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_change(
        &self,
        what: &str,
        node: usize,
        called: Duration,
        answered: Duration,
    ) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let done = (what.to_owned(), node, called, answered);
        lock(&self.findings).answered.push(done);
    }

    pub(crate) fn fault_begins(&self, at: Option<usize>) -> usize {
        let mut findings = lock(&self.findings);
        findings.faults.push(Lasted {
            began: now(),
            ended: None,
            at,
        });
        findings.faults.len() - 1
    }

    pub(crate) fn fault_ends(&self, fault: usize, kind: Fault) {
        let mut findings = lock(&self.findings);
        findings.faults[fault].ended = Some(now());
        *findings.kinds.entry(kind).or_default() += 1;
    }

    /// Whether it may decide from memory.
    async fn has_lease(&self, node: &Arc<Node>) -> bool {
        let mut client = Client::of(node, &self.service_key);
        let patience = Duration::from_secs(1);
        let ready = client
            .ask_within(patience, "GET", "/health/ready", None, None)
            .await;
        ready.is_ok_and(|answer| answer.status == 200)
    }

    /// The database is there again: how long until those that nothing else is wrong with may decide from memory.
    pub(crate) async fn watch_recovery(&self) {
        let began = now();
        for node in &self.nodes {
            while !node.taken.load(Ordering::Relaxed) && !self.is_over() {
                if self.has_lease(node).await {
                    let mut findings = lock(&self.findings);
                    findings.recovered = findings.recovered.max(since(began));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn decided(&self) -> u64 {
        let decided = self
            .nodes
            .iter()
            .map(|node| node.decided.load(Ordering::Relaxed));
        decided.sum()
    }

    fn statements(&self) -> u64 {
        self.nodes.iter().map(|node| node.proxy.statements()).sum()
    }
}

/// Starts a cluster, tries it, and ends it.
///
/// # Panics
/// If a process does not start, ends by itself, or has no lease long after the last fault.
pub async fn run(settings: Settings) -> Outcome {
    let began = now();
    let folder = TempDir::new().expect("a temporary folder");
    let (nodes, database, service_key) = start(&settings, &folder).await;
    let world = Arc::new(World {
        nodes,
        database,
        database_taken: AtomicBool::new(false),
        keys: RwLock::default(),
        is_calm: AtomicBool::new(true),
        is_over: AtomicBool::new(false),
        changes: AtomicU64::new(0),
        unknown: AtomicU64::new(0),
        service_key,
        findings: Mutex::default(),
        settings,
    });
    let settings = &world.settings;
    all_have_leases(&world).await;

    let mut random = fastrand::Rng::with_seed(settings.seed);
    let mut parts = JoinSet::new();
    for number in 0..settings.changers {
        let clients = world
            .nodes
            .iter()
            .map(|node| Client::of(node, &world.service_key));
        let changer = Changer::new(world.clone(), random.fork(), clients.collect(), number);
        parts.spawn(changer.run());
    }
    for node in &world.nodes {
        for _ in 0..settings.verifiers {
            let client = Client::of(node, &world.service_key);
            parts.spawn(verify(world.clone(), client, random.fork()));
        }
    }
    let calm = calm(&world).await;
    if !settings.faults.is_empty() {
        for _ in 0..settings.faults_at_once {
            parts.spawn(disturb(world.clone(), random.fork()));
        }
    }
    until_enough(&world).await;
    world.end();
    while let Some(ended) = parts.join_next().await {
        ended.expect("no part of the trial panics");
    }
    if lock(&world.findings).stale.is_none() {
        for node in &world.nodes {
            node.proxy.set(Weather::Fair);
        }
        all_have_leases(&world).await;
        ask_about_all(&world).await;
    }
    outcome(&world, calm, since(began))
}

async fn start(
    settings: &Settings,
    folder: &TempDir,
) -> (Vec<Arc<Node>>, Arc<TemporaryPostgres>, String) {
    let database = tokio::task::spawn_blocking(TemporaryPostgres::start)
        .await
        .expect("PostgreSQL starts");
    let url = database.create_database();
    let port = database.port();
    let mut nodes = Vec::new();
    for number in 0..settings.nodes {
        let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], port)))
            .await
            .expect("a free port");
        let beside = url.replace(
            &format!(":{port}/"),
            &format!(":{}/", proxy.address().port()),
        );
        let mut launch = Launch {
            program: settings.program.clone(),
            arguments: vec![
                "--lease".to_owned(),
                format!("{}ms", settings.lease.as_millis()),
                "--workers".to_owned(),
                "1".to_owned(),
            ],
            variables: vec![
                (
                    "KEYWRIGHT_DATABASE".to_owned(),
                    format!("{beside}?sslmode=disable"),
                ),
                (
                    "KEYWRIGHT_JWT_SECRET".to_owned(),
                    "a secret of the trial that nobody else has".to_owned(),
                ),
            ],
        };
        launch.variables.extend(settings.variables.clone());
        if let Some(keys) = settings.cache_keys {
            launch
                .arguments
                .extend(["--cache-keys".to_owned(), keys.to_string()]);
        }
        let place = folder.path().join(format!("node-{number}"));
        let node = Arc::new(Node::new(number, proxy, launch, place));
        node.start().await;
        nodes.push(node);
    }
    let service_key = nodes
        .iter()
        .find_map(|node| node.service_key())
        .expect("the first node makes one");
    (nodes, Arc::new(database), service_key)
}

/// Verifications and statements while nothing is wrong.
async fn calm(world: &World) -> (u64, u64) {
    // The first keys are made, and asked about once.
    tokio::time::sleep(world.settings.calm).await;
    let (decided, statements) = (world.decided(), world.statements());
    let began = now();
    while world.decided() - decided < CALM && since(began) < world.settings.calm * LONGEST {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let calm = (world.decided() - decided, world.statements() - statements);
    world.is_calm.store(false, Ordering::Relaxed);
    calm
}

async fn until_enough(world: &World) {
    let began = now();
    let is_enough = || match world.settings.length {
        Length::For {
            time,
            verifications,
        } => {
            let is_done = |node: &Arc<Node>| node.decided.load(Ordering::Relaxed) >= verifications;
            let took = since(began);
            took >= time && (world.nodes.iter().all(is_done) || took >= time * LONGEST)
        }
        Length::Until {
            verifications,
            faults,
        } => {
            let done: u64 = lock(&world.findings).kinds.values().sum();
            world.decided() >= verifications && done >= faults
        }
    };
    while !world.is_over() && !is_enough() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        for node in &world.nodes {
            assert!(
                node.taken.load(Ordering::Relaxed) || !node.ended(),
                "node {} has ended by itself: {}",
                node.number,
                node.log()
            );
        }
    }
}

/// Waits until every node may decide from memory.
async fn all_have_leases(world: &World) {
    let began = now();
    for node in &world.nodes {
        while !world.has_lease(node).await {
            assert!(
                since(began) < RECOVERY,
                "node {} has no lease: {}",
                node.number,
                node.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// When all is quiet again, every node says the same.
async fn ask_about_all(world: &World) {
    let keys: Vec<_> = world
        .keys
        .read()
        .expect("nobody panics with it")
        .iter()
        .cloned()
        .collect();
    for node in &world.nodes {
        let mut client = Client::of(node, &world.service_key);
        for key in &keys {
            let question = json!({ "key": key.text });
            let began = now();
            let answer = client
                .ask("POST", "/api/verify", None, Some(&question))
                .await;
            match answer {
                Ok(answer) if answer.status == 200 => {
                    node.count(true);
                    if let Err(stale) = key.judge(node.number, &answer.body, began, now()) {
                        world.found_stale(*stale);
                        return;
                    }
                }
                Ok(answer) => world.unexpected(node, "a verification at the end", &answer),
                Err(_) => {
                    let said = format!("node {} did not answer at the end", node.number);
                    lock(&world.findings).unexpected.push(said);
                }
            }
        }
    }
}

fn outcome(world: &World, calm: (u64, u64), took: Duration) -> Outcome {
    let findings = std::mem::take(&mut *lock(&world.findings));
    // With its margin.
    let lease = world.settings.lease.mul_f64(1.05);
    let mut outcome = Outcome {
        stale: findings.stale,
        nodes: world
            .nodes
            .iter()
            .map(|node| NodeAnswers {
                decided: node.decided.load(Ordering::Relaxed),
                undecided: node.undecided.load(Ordering::Relaxed),
            })
            .collect(),
        changes: world.changes.load(Ordering::Relaxed),
        unknown: world.unknown.load(Ordering::Relaxed),
        unexpected: findings.unexpected,
        faults: findings.kinds,
        calm,
        recovered: findings.recovered,
        took,
        ..Outcome::default()
    };
    for (what, node, called, answered) in findings.answered {
        let took = answered.saturating_sub(called);
        outcome.slowest = outcome.slowest.max(took);
        let allowed = lease + overlap(&findings.faults, node, called, answered);
        if took > allowed + SLACK {
            outcome.slow.push(SlowChange {
                what,
                node,
                took,
                allowed,
            });
        }
    }
    outcome
}

/// For how long between two times some fault was at this node, or at the database. (One at another node is worth a lease and
/// its margin, however long it lasts.)
fn overlap(faults: &[Lasted], node: usize, from: Duration, to: Duration) -> Duration {
    let mut sum = Duration::ZERO;
    let mut covered = from;
    // In the order of their beginnings, as they were noted.
    for fault in faults {
        if fault.at.is_some_and(|at| at != node) {
            continue;
        }
        let begin = fault.began.max(covered);
        let end = fault.ended.unwrap_or(to).min(to);
        if end > begin {
            sum += end.saturating_sub(begin);
            covered = end;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_overlap_are_counted_once() {
        let second = Duration::from_secs;
        let fault = |began, ended: Option<u64>, at| Lasted {
            began: second(began),
            ended: ended.map(second),
            at,
        };
        let faults = [
            fault(1, Some(4), Some(0)),
            fault(2, Some(9), Some(1)),
            fault(3, Some(6), None),
            fault(9, None, Some(0)),
        ];
        let overlap = |from, to| overlap(&faults, 0, second(from), second(to));
        assert_eq!(overlap(2, 10), second(4 + 1));
        assert_eq!(overlap(6, 9), second(0));
        assert_eq!(overlap(0, 20), second(5 + 11));
    }
}
