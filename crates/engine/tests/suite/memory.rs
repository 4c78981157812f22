//! Memory: bounded whatever is asked, and the keys in use stay in it.

use std::time::Duration;

use keywright_core::decision::{Code, Question};
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::key::Metadata;
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::{DEFAULT, Keyspace};
use keywright_engine::{Lease, LoadBounds, VerifierOptions};
use keywright_store::KeyFacts;
use serde_json::json;

use crate::ambient::id;
use crate::world::{Key, World};

/// What one key is reckoned to take.
const KEY_BYTES: u64 = 256;

const KEYS: usize = 64;

/// A verifier with room for few keys, over a store that finds keys which nobody wrote: there are too many.
struct Small {
    world: World,
    keyspace: Keyspace,
    tag_keys: TagKeys,
}

impl Small {
    async fn new() -> Self {
        let options = VerifierOptions {
            cache_keys: KEYS,
            loads: LoadBounds {
                // Unknown keys are asked for as fast as they can be here.
                absent_interval: Duration::ZERO,
                ..LoadBounds::default()
            },
            ..VerifierOptions::default()
        };
        let world = World::on_sqlite().await.with(Lease::endless(), options);
        let (keyspace, tag_keys) = world.keyspace(DEFAULT).await;
        Self {
            world,
            keyspace,
            tag_keys,
        }
    }

    fn unknown(&self) -> Key {
        let user = format!("user {}", id());
        let mut key = self
            .world
            .draft_in(self.keyspace.clone(), &self.tag_keys, &user);
        key.record.key.id = KeyId(id());
        key
    }

    /// A key that the store finds.
    fn key(&self) -> Key {
        self.key_with(Metadata::empty())
    }

    fn key_with(&self, metadata: Metadata) -> Key {
        let mut key = self.unknown();
        key.record.key.metadata = metadata;
        let facts = KeyFacts::from(&key.record.key);
        self.world.store.invent(Digest::of(&key.text), facts);
        key
    }

    async fn code(&self, key: &Key) -> Code {
        let verifier = &self.world.verifier;
        let question = &crate::world::ANYTHING;
        let code = verifier.verify(&key.text, question, |decision| decision.code);
        code.await.expect("an answer")
    }

    #[track_caller]
    fn assert_within_bounds(&self) {
        let full = self.world.verifier.occupancy();
        assert!(full.keys <= KEYS, "{full:?}");
        assert!(full.bytes <= KEY_BYTES * KEYS as u64, "{full:?}");
        assert!(full.absent <= 64, "{full:?}");
    }
}

#[tokio::test]
async fn a_question_of_more_permissions_than_a_catalogue_has_is_decided_from_memory() {
    let small = Small::new().await;
    let key = small.key();
    assert_eq!(small.code(&key).await, Code::Valid);
    assert_ne!(small.world.store.queries(), 0);
    for (last, code) in [
        ("READ_GRAPH", Code::Valid),
        ("READ_BLOCK", Code::InsufficientPermissions),
    ] {
        let mut permissions = vec!["READ_GRAPH"; 1000];
        permissions.push(last);
        let question = Question {
            permissions: &permissions,
            keyspace: None,
        };
        let verifier = &small.world.verifier;
        let decided = verifier.decide_from_memory(&key.text, &question, |decision| {
            (decision.code, decision.found.is_some())
        });
        assert_eq!(decided, Some((code, true)));
    }
    assert_eq!(small.world.store.queries(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_more_keys_than_there_is_room_for_stay_within_it() {
    let small = Small::new().await;
    for _ in 0..100 * KEYS {
        assert_eq!(small.code(&small.key()).await, Code::Valid);
        small.assert_within_bounds();
    }
    let full = small.world.verifier.occupancy();
    assert!(full.keys > KEYS / 2, "{full:?}");
    assert!(full.evictions >= 99 * KEYS as u64, "{full:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_with_much_metadata_takes_the_room_of_many() {
    let small = Small::new().await;
    let large = json!({"note": "x".repeat(4000)});
    let large = Metadata::new(large.as_object().unwrap()).unwrap();
    for _ in 0..KEYS {
        assert_eq!(
            small.code(&small.key_with(large.clone())).await,
            Code::Valid
        );
        small.assert_within_bounds();
    }
    let full = small.world.verifier.occupancy();
    assert!(full.keys <= KEYS / 16, "{full:?}");
    // Those that are asked for more than once take their room.
    for _ in 0..8 * KEYS {
        let key = small.key();
        for _ in 0..3 {
            assert_eq!(small.code(&key).await, Code::Valid);
        }
        small.assert_within_bounds();
    }
    assert!(small.world.verifier.occupancy().keys > KEYS / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_use_stay_while_many_others_are_asked_for_once() {
    let small = Small::new().await;
    let hot: Vec<_> = (0..KEYS / 4).map(|_| small.key()).collect();
    for _ in 0..3 {
        for key in &hot {
            assert_eq!(small.code(key).await, Code::Valid);
        }
    }
    let mut missed = 0;
    let mut uses = 0;
    for round in 0..100 * KEYS / 16 {
        for _ in 0..16 {
            small.code(&small.key()).await;
        }
        small.world.store.queries();
        for key in hot.iter().skip(round % 4).step_by(4) {
            assert_eq!(small.code(key).await, Code::Valid);
            uses += 1;
        }
        missed += small.world.store.queries();
    }
    assert!(missed * 20 <= uses, "{missed} of {uses} were read again");
    small.assert_within_bounds();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_without_end_stay_within_bounds_and_push_no_key_out() {
    let small = Small::new().await;
    let key = small.key();
    assert_eq!(small.code(&key).await, Code::Valid);
    for _ in 0..3000 {
        assert_eq!(small.code(&small.unknown()).await, Code::NotFound);
        small.assert_within_bounds();
    }
    small.world.store.queries();
    assert_eq!(small.code(&key).await, Code::Valid);
    assert_eq!(small.world.store.queries(), 0);
    assert_eq!(small.world.verifier.occupancy().keys, 1);
}
