//! Several nodes on one PostgreSQL: what one has answered, the others know (I2).

use std::sync::Arc;
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::authority::{Caller, KeyEdit};
use keywright_core::decision::Code;
use keywright_core::digest::Digest;
use keywright_core::lifecycle::Transition;
use keywright_engine::coherence::{Membership, NodeOptions, Settled};
use keywright_engine::{Lease, VerifierOptions};
use keywright_store::cluster::{
    LeaseTerms, LogMark, LogRow, NodeCard, NodeId, Settling, Standing, Told, Word,
};
use keywright_store::{KeyEdited, KeySelector, LoggedChange, Scope, Store};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::ambient::id;
use crate::world::{Key, LONG, World};

/// Short, for the tests that wait for one to run out.
const TERMS: LeaseTerms = LeaseTerms {
    lease: Duration::from_millis(600),
    margin: Duration::from_millis(30),
};

/// A node with a store, a clock and a memory of its own.
struct Node {
    world: World,
    membership: Membership,
}

/// Has the changes of a store wait, as the server does.
struct Waits(keywright_engine::coherence::Changes);

#[async_trait::async_trait]
impl Settling for Waits {
    async fn settled(&self, standing: Option<Standing>) {
        let Settled { .. } = self.0.settled(standing.expect("nodes share it")).await;
    }
}

impl Node {
    async fn of(world: World) -> Self {
        Self::with(world, true).await
    }

    async fn with(world: World, notices: bool) -> Self {
        let world = world.with(Lease::none(), VerifierOptions::default());
        let card = NodeCard {
            id: NodeId(id()),
            name: "a node".to_owned(),
            version: "0.0.0".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            since: world.clock.now(),
        };
        let options = NodeOptions {
            card,
            wanted: Some(TERMS),
            notices,
        };
        let store: Arc<dyn Store> = world.store.clone();
        let membership = Membership::begin(&store, &world.verifier, world.clock.clone(), options);
        let membership = membership.expect("nodes share it");
        store.settle_with(Arc::new(Waits(membership.changes())));
        let node = Self { world, membership };
        node.until_leased().await;
        node
    }

    fn has_lease(&self) -> bool {
        let deadline = self.world.verifier.lease().deadline();
        deadline.is_ahead(&*self.world.clock)
    }

    async fn until_leased(&self) {
        let leased = async {
            while !self.has_lease() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONG, leased).await.expect("a lease");
    }

    async fn code(&self, key: &Key) -> Code {
        self.world.code(&key.text).await
    }

    async fn change(&self, key: &Key, transition: Transition) -> KeyEdited {
        let which = KeySelector::Id(key.record.key.id);
        let edit = KeyEdit::Transition(transition);
        let edited = self
            .world
            .store
            .edit_key(which, Caller::Operator, edit, self.world.by())
            .await;
        edited.expect("an answer")
    }

    /// Ends as a killed process does: nobody is told. Its tasks end some time after they were told to.
    async fn killed(self) -> World {
        let Self { world, membership } = self;
        let id = membership.card().id;
        drop(membership);
        let cluster = world.store.clone().cluster().expect("nodes share it");
        let mut session = cluster.session();
        let mut renewal = async || {
            let nodes = session.nodes().await.expect("an answer");
            nodes
                .into_iter()
                .find(|node| node.card.id == id)
                .map(|node| node.renewal)
        };
        let mut before = None;
        loop {
            let now = renewal().await;
            assert!(now.is_some(), "nobody removed it");
            if now == before {
                return world;
            }
            before = now;
            tokio::time::sleep(TERMS.lease).await;
        }
    }
}

/// Two, of which each has verified a key.
async fn two() -> (Node, Node, Key) {
    let one = World::on_postgres().await;
    let other = one.beside().await;
    let (one, other) = (Node::of(one).await, Node::of(other).await);
    let key = one.world.key("ada").await;
    for node in [&one, &other] {
        assert_eq!(node.code(&key).await, Code::Valid);
        node.world.store.queries();
        assert_eq!(node.code(&key).await, Code::Valid);
        assert_eq!(node.world.store.queries(), 0, "it is in memory");
    }
    (one, other, key)
}

const CYCLE: [(Transition, Code); 2] = [
    (Transition::Suspend, Code::Suspended),
    (Transition::Reactivate, Code::Valid),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_node_is_seen_by_the_next_verification_on_every_other() {
    let (one, other, key) = two().await;
    for round in 0..20 {
        let by = if round % 3 == 0 { &other } else { &one };
        for (transition, code) in CYCLE {
            by.change(&key, transition).await;
            for node in [&one, &other] {
                assert_eq!(node.code(&key).await, code, "{round}");
                node.world.store.queries();
                assert_eq!(node.code(&key).await, code);
                assert_eq!(node.world.store.queries(), 0, "from memory");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_word_from_the_database_the_next_renewal_brings_it() {
    let one = World::on_postgres().await;
    let other = one.beside().await;
    let (one, other) = (Node::with(one, false).await, Node::with(other, false).await);
    let key = one.world.key("ada").await;
    assert_eq!(other.code(&key).await, Code::Valid);
    for (transition, code) in CYCLE {
        one.change(&key, transition).await;
        assert_eq!(other.code(&key).await, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_of_its_memory_and_sees_how_much_can_be_left_of_the_other_lease() {
    let (one, other, key) = two().await;
    other.world.verifier.uses().take(other.world.clock.now());
    let told = async || {
        let all = one.world.store.survey().await.expect("an answer").nodes;
        let id = other.membership.card().id;
        all.into_iter().find(|node| node.card.id == id)
    };
    // At its next renewal.
    let figures = async {
        loop {
            let node = told().await.expect("it is there");
            if node.figures.hits > 0 {
                return node.figures;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let figures = tokio::time::timeout(LONG, figures).await.expect("in time");
    assert_eq!((figures.keys, figures.hits, figures.misses), (1, 1, 1));
    // Its clock stands still: whatever renewal it saw last, it saw now.
    let left = one
        .membership
        .lease_left_at_most(&told().await.expect("it is there"));
    assert_eq!(left, Some(TERMS.lease));
    assert_eq!(other.code(&key).await, Code::Valid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seconds_without_a_lease_are_shown_whether_or_not_it_is_back() {
    let node = Node::of(World::on_postgres().await).await;
    let shown = || {
        let recorder = PrometheusBuilder::new().build_recorder();
        let publish = || node.membership.publish(node.world.verifier.lease());
        metrics::with_local_recorder(&recorder, publish);
        recorder.handle().render()
    };
    let before = shown();
    for line in [
        "keywright_fenced_seconds_total 0",
        "keywright_lease_left_seconds 0.57",
        "keywright_applied_seq 0",
    ] {
        assert!(
            before.lines().any(|shown| shown == line),
            "{line} in {before}"
        );
    }
    node.world
        .clock
        .advance(TERMS.lease + Duration::from_secs(5));
    let after = shown();
    assert!(
        after.contains("keywright_fenced_seconds_total 5"),
        "{after}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_user_is_unknown_on_every_node() {
    let (one, other, key) = two().await;
    one.world.delete_user("ada").await;
    for node in [&one, &other] {
        assert_eq!(node.code(&key).await, Code::NotFound);
    }
    // Who finds nothing to do has waited as well.
    let refused = other.change(&key, Transition::Suspend).await;
    assert!(matches!(refused, KeyEdited::Refused(_)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_catalogue_is_known_on_every_node() {
    let (one, other, key) = two().await;
    let grants = one.world.permission("NEW").await;
    one.world.edit(&key, KeyEdit::Permissions(grants)).await;
    assert_eq!(
        other.world.verify(&key.text).await,
        other.world.truth(&key).await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_waits_for_a_node_that_was_killed_until_its_lease_has_run_out_and_no_further_change_does()
 {
    let (one, other, key) = two().await;
    let left = other.killed().await;
    let began = one.world.clock.uptime();
    // The change waits by its own clock, which stands.
    let change = one.change(&key, Transition::Suspend);
    let mut change = crate::world::begin(change).await;
    let early = tokio::time::timeout(2 * TERMS.outwaited(), change.as_mut()).await;
    assert!(early.is_err(), "its clock stands");
    one.world.clock.advance(TERMS.outwaited());
    tokio::time::timeout(LONG, change)
        .await
        .expect("it is outwaited");
    assert_eq!(one.world.clock.uptime(), began + TERMS.outwaited());
    // Its clock stands still: only by it would the node still decide from memory.
    drop(left);
    // The node that was not heard of is removed.
    let next = one.change(&key, Transition::Reactivate);
    tokio::time::timeout(LONG, next)
        .await
        .expect("nobody is waited for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_is_waited_for_by_nobody() {
    let (one, other, key) = two().await;
    other.membership.leave().await;
    assert!(!other.has_lease());
    one.change(&key, Transition::Suspend).await;
    assert_eq!(other.code(&key).await, Code::Suspended, "it asks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_lease_has_run_out_asks_and_decides_from_memory_again_after_its_renewal() {
    let (one, other, key) = two().await;
    other.world.clock.advance(TERMS.lease);
    assert!(!other.has_lease());
    one.change(&key, Transition::Suspend).await;
    assert_eq!(other.code(&key).await, Code::Suspended);
    other.until_leased().await;
    assert_eq!(other.code(&key).await, Code::Suspended);
    other.world.store.queries();
    assert_eq!(other.code(&key).await, Code::Suspended);
    assert_eq!(other.world.store.queries(), 0);
}

/// What it remembers from before may be of a database that was set back while the node waited for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_lease_runs_out_while_it_is_renewed_begins_anew() {
    let (_one, other, key) = two().await;
    let answers = &other.world.store.renewals.after;
    let half = TERMS.lease / 2;
    answers.close();
    answers.has(1).await;
    other.world.clock.advance(half);
    answers.let_one_go();
    // This one was begun under the lease.
    answers.has(1).await;
    other.world.clock.advance(half);
    assert!(!other.has_lease());
    answers.open();
    other.until_leased().await;
    other.world.store.queries();
    assert_eq!(other.code(&key).await, Code::Valid);
    assert_eq!(other.world.store.queries(), 1, "nothing was in memory");
}

/// Whoever may connect to the database can spread word, of whatever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn word_of_a_change_that_nobody_committed_has_no_change_answered() {
    let (one, other, key) = two().await;
    one.change(&key, Transition::Suspend).await;
    one.change(&key, Transition::Reactivate).await;
    assert_eq!(other.code(&key).await, Code::Valid);
    let cluster = one.world.store.clone().cluster().expect("nodes share it");
    let mut session = cluster.session();
    for round in 0..10 {
        let newest = session.read_log(None).await.expect("an answer").rows[0].mark;
        let invented = LogRow {
            mark: LogMark {
                seq: newest.seq + 1,
                nonce: [7; 16],
            },
            scope: Scope::Key(Digest::of("no key")),
        };
        other.world.store.word.spread(Word::Of(vec![Told {
            after: newest.nonce,
            row: invented,
        }]));
        let (transition, code) = CYCLE[round % 2];
        one.change(&key, transition).await;
        assert_eq!(other.code(&key).await, code, "{round}");
    }
}

/// What a node told may be lost with the machine of the database: it is not durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_told_and_was_lost_is_told_again() {
    let (one, other, key) = two().await;
    other.world.store.word.lose_one();
    // Its clock stands: only by being told can the change be answered.
    let change = one.change(&key, Transition::Suspend);
    tokio::time::timeout(LONG, change)
        .await
        .expect("it is told");
    assert!(other.world.store.word.is_lost());
    assert_eq!(other.code(&key).await, Code::Suspended);
}

/// As where a restore lost a change that this process had committed, of which its memory is told only then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_knows_of_a_change_beyond_the_log_begins_anew() {
    let (_one, other, key) = two().await;
    other.world.store.tell(LoggedChange {
        seq: 1_000_000,
        scope: Scope::Key(key.record.digest),
    });
    let decided_from_memory = async {
        while other.world.try_verify(&key.text).await.is_err() || other.world.store.queries() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, decided_from_memory)
        .await
        .expect("what was read is as new as the log");
}
