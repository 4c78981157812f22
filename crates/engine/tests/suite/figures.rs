//! What the metrics show of verification: each moves when it should, and only then.

use std::collections::BTreeMap;
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::identifier::KeyspaceName;
use keywright_core::keyspace::DEFAULT;
use keywright_engine::{Lease, LoadBounds, Verifier, VerifierOptions, VerifyError};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::world::{LONG, World, begin};

/// A world whose verifier has metrics of its own.
struct Watched {
    world: World,
    metrics: PrometheusHandle,
    before: BTreeMap<String, f64>,
}

impl Watched {
    async fn new(lease: Lease, options: VerifierOptions) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let world = World::on_sqlite().await;
        let world = metrics::with_local_recorder(&recorder, || world.with(lease, options));
        let mut watched = Self {
            world,
            metrics,
            before: BTreeMap::new(),
        };
        watched.changed();
        watched
    }

    fn verifier(&self) -> &Verifier {
        &self.world.verifier
    }

    /// All that has another value than when this was asked last, and by how much.
    fn changed(&mut self) -> Vec<(String, f64)> {
        self.verifier().uses().take(self.world.clock.now());
        self.verifier().publish();
        let now: BTreeMap<String, f64> = self
            .metrics
            .render()
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
            .collect();
        let before = std::mem::replace(&mut self.before, now);
        self.before
            .iter()
            .map(|(name, value)| {
                let short = name.strip_prefix("keywright_").expect("one of ours");
                let before = before.get(name).copied().unwrap_or_default();
                (short.to_owned(), value - before)
            })
            .filter(|(_, by)| by.abs() > f64::EPSILON)
            .collect()
    }

    #[track_caller]
    fn assert_changed(&mut self, expected: &[(&str, f64)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, by)| ((*name).to_owned(), *by))
            .collect();
        assert_eq!(self.changed(), expected);
    }
}

const TAGGED: &str = "cache_loads_total{lane=\"tagged\"}";
const UNTAGGED: &str = "cache_loads_total{lane=\"untagged\"}";

const DELAYED_ONCE: &str = "keywright_cache_delayed_loads_total 1";

fn few_loads() -> VerifierOptions {
    VerifierOptions {
        loads: LoadBounds {
            tagged: 1,
            untagged: 1,
            ..LoadBounds::default()
        },
        ..VerifierOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_misses_and_junk_are_told_apart() {
    let mut watched = Watched::new(Lease::endless(), VerifierOptions::default()).await;
    let key = watched.world.key("ada").await;
    let unknown = watched.world.draft("ada").await;

    watched.world.verify(&key.text).await;
    watched.assert_changed(&[
        ("cache_bytes", 256.0),
        ("cache_keys", 1.0),
        (TAGGED, 1.0),
        ("cache_misses_total", 1.0),
        ("uses_waiting", 1.0),
    ]);
    for _ in 0..3 {
        watched.world.verify(&key.text).await;
    }
    watched.assert_changed(&[("cache_hits_total", 3.0)]);
    watched.world.verify(&unknown.text).await;
    watched.assert_changed(&[
        ("cache_absent", 1.0),
        (TAGGED, 1.0),
        ("cache_misses_total", 1.0),
    ]);
    watched.world.verify(&unknown.text).await;
    watched.assert_changed(&[("cache_absent_hits_total", 1.0)]);
    watched.world.verify("agpt_made up").await;
    watched.assert_changed(&[("verify_refused_total", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_loading_and_being_turned_away_are_told() {
    let mut watched = Watched::new(Lease::endless(), few_loads()).await;
    watched
        .world
        .store
        .mark_as_imported(KeyspaceName::new(DEFAULT).unwrap());
    watched.world.verify("kw_").await;
    let [one, another] = [
        watched.world.draft("ada").await,
        watched.world.draft("ada").await,
    ];
    watched.changed();
    let world = &watched.world;
    world.store.keys.before.close();
    let (verifier, question) = (world.verifier.clone(), &crate::world::ANYTHING);
    let ask = |text| verifier.verify(text, question, |decision| decision.code);
    let first = begin(ask(&one.text)).await;
    let second = begin(ask(&one.text)).await;
    let slow = begin(ask("agpt_from elsewhere")).await;
    assert_eq!(ask(&another.text).await, Err(VerifyError::Busy));
    watched.assert_changed(&[
        ("cache_loading", 2.0),
        (TAGGED, 1.0),
        (UNTAGGED, 1.0),
        ("cache_misses_total", 4.0),
        ("cache_waits_total", 1.0),
        ("verify_turned_away_total", 1.0),
    ]);
    watched.world.store.keys.before.open();
    for answer in [first.await, second.await, slow.await] {
        answer.expect("an answer");
    }
    watched.assert_changed(&[("cache_absent", 2.0), ("cache_loading", -2.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_waits_for_its_turn_is_told() {
    let mut options = few_loads();
    options.loads.absent_interval = Duration::from_hours(24);
    let watched = Watched::new(Lease::endless(), options).await;
    let first = watched.world.draft("ada").await;
    let second = watched.world.draft("ada").await;
    watched.world.verify(&first.text).await;
    let waiting = begin(watched.world.verify(&second.text)).await;
    drop(waiting);
    tokio::time::timeout(LONG, async {
        while !watched.metrics.render().contains(DELAYED_ONCE) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_room_is_told_as_evicted() {
    const KEYS: usize = 32;
    let options = VerifierOptions {
        cache_keys: KEYS,
        ..VerifierOptions::default()
    };
    let mut watched = Watched::new(Lease::endless(), options).await;
    for _ in 0..2 * KEYS {
        let key = watched.world.key("ada").await;
        watched.world.verify(&key.text).await;
    }
    let kept = watched.verifier().occupancy().keys;
    let evicted = |(name, by): &(String, f64)| (name == "cache_evictions_total").then_some(*by);
    let evictions: f64 = watched.changed().iter().filter_map(evicted).sum();
    let expected = f64::from(u32::try_from(2 * KEYS - kept).unwrap());
    assert!(
        (evictions - expected).abs() < f64::EPSILON,
        "{evictions}, {kept} are left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_want_of_a_lease_is_told() {
    let mut watched = Watched::new(Lease::none(), VerifierOptions::default()).await;
    let key = watched.world.key("ada").await;
    for _ in 0..2 {
        watched.world.verify(&key.text).await;
    }
    watched.assert_changed(&[
        ("cache_misses_total", 2.0),
        ("uses_waiting", 1.0),
        ("verify_without_lease_total", 2.0),
    ]);
}

#[tokio::test]
async fn one_decision_in_a_thousand_and_twenty_four_is_timed() {
    let mut watched = Watched::new(Lease::endless(), VerifierOptions::default()).await;
    let key = watched.world.key("ada").await;
    watched.world.verify(&key.text).await;
    watched.changed();
    // They are drawn by the thread, which is one here.
    for _ in 0..4 * 1024 {
        watched.world.verify(&key.text).await;
    }
    let timed = |(name, by): &(String, f64)| (name == "decision_seconds_count").then_some(*by);
    let timed: f64 = watched.changed().iter().filter_map(timed).sum();
    assert!((timed - 4.0).abs() < f64::EPSILON, "{timed}");
}
