//! An empty database with a verifier in front of it, and short ways to fill, change and ask it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::audit::{Actor, ActorKind, Attribution};
use keywright_core::authority::{Caller, DetailsEdit, KeyEdit};
use keywright_core::decision::{Code, Facts, Question, decide};
use keywright_core::identifier::{KeyId, KeyPrefix, KeyspaceName, PermissionName, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::key_text::{KeyText, TagKey, TagKeys};
use keywright_core::keyspace::{DEFAULT, Keyspace, KeyspaceEdit, PermissionEdit};
use keywright_core::lifecycle::Transition;
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use keywright_core::timestamp::Timestamp;
use keywright_engine::{Decision, Lease, LoadBounds, Verifier, VerifierOptions, VerifyError};
use keywright_store::postgres::PostgresStore;
use keywright_store::sqlite::SqliteStore;
use keywright_store::{KeyCreated, KeyEdited, KeySelector, KeyspaceCreated, KeyspaceEdited, Store};
use keywright_testkit::{TestDatabase, fresh_database};
use tempfile::TempDir;

use crate::ambient::{Counting, ManualClock, id};
use crate::pausable::PausableStore;

/// Far longer than anything here takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// What every key of these tests may do.
pub(crate) const GRANTS: Grants = Grants(0b11);

enum Place {
    Sqlite(#[expect(dead_code, reason = "removed when it is dropped")] TempDir),
    Postgres(Arc<TestDatabase>),
}

/// An empty database with a verifier in front of it, whose lease has no end.
pub(crate) struct World {
    pub(crate) store: Arc<PausableStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) verifier: Verifier,
    place: Place,
}

/// A key as its holder has it.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) record: KeyRecord,
}

/// What a verification said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) code: Code,
    /// Name, metadata, permissions and expiry.
    pub(crate) of_key: Option<(String, String, Vec<String>, Option<Timestamp>)>,
}

impl Seen {
    fn of(decision: &Decision<'_>) -> Self {
        let of_key = decision.found.map(|found| {
            let key = found.key;
            (
                key.name().to_owned(),
                key.metadata_json().to_owned(),
                names(found.keyspace, key.grants()),
                key.expires_at(),
            )
        });
        Self {
            code: decision.code,
            of_key,
        }
    }

    pub(crate) fn nothing() -> Self {
        Self {
            code: Code::NotFound,
            of_key: None,
        }
    }
}

fn names(keyspace: &Keyspace, grants: Grants) -> Vec<String> {
    let names = keyspace.catalogue.names(grants);
    names.map(ToString::to_string).collect()
}

/// A question that any key of these tests answers.
pub(crate) const ANYTHING: Question<'static, &str> = Question {
    permissions: &[],
    keyspace: None,
};

impl World {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let clock = Arc::new(ManualClock::new());
        let file = folder.path().join("keywright.db");
        let options = keywright_store::sqlite::Options::default();
        let store = SqliteStore::open(&file, clock.clone(), Arc::new(Counting), options)
            .await
            .expect("an empty database opens");
        Self::over(Arc::new(store), clock, Place::Sqlite(folder))
    }

    pub(crate) async fn on_postgres() -> Self {
        let database = tokio::task::spawn_blocking(fresh_database)
            .await
            .expect("a database");
        Self::on(Arc::new(database)).await
    }

    /// Another process on the same PostgreSQL, with a clock of its own.
    pub(crate) async fn beside(&self) -> Self {
        let Place::Postgres(database) = &self.place else {
            panic!("an embedded database has one process")
        };
        Self::on(database.clone()).await
    }

    async fn on(database: Arc<TestDatabase>) -> Self {
        let clock = Arc::new(ManualClock::new());
        let options = keywright_store::postgres::Options::default();
        let store =
            PostgresStore::connect(database.url(), clock.clone(), Arc::new(Counting), options)
                .await
                .expect("an empty database opens");
        Self::over(Arc::new(store), clock, Place::Postgres(database))
    }

    fn over(real: Arc<dyn Store>, clock: Arc<ManualClock>, place: Place) -> Self {
        let store = Arc::new(PausableStore::over(real));
        let verifier = Verifier::new(
            store.clone(),
            clock.clone(),
            Lease::endless(),
            VerifierOptions::default(),
        );
        Self {
            store,
            clock,
            verifier,
            place,
        }
    }

    /// The same, with another verifier.
    pub(crate) fn with(mut self, lease: Lease, options: VerifierOptions) -> Self {
        self.verifier = Verifier::new(self.store.clone(), self.clock.clone(), lease, options);
        self
    }

    /// The same, with few loads at once.
    pub(crate) fn bounded(self, tagged: usize, untagged: usize) -> Self {
        let options = VerifierOptions {
            loads: LoadBounds {
                tagged,
                untagged,
                ..LoadBounds::default()
            },
            ..VerifierOptions::default()
        };
        self.with(Lease::endless(), options)
    }

    /// A key of `user` in `default`, written.
    pub(crate) async fn key(&self, user: &str) -> Key {
        let key = self.draft(user).await;
        self.create(&key).await;
        key
    }

    /// A key of `user` in `default`, not written.
    pub(crate) async fn draft(&self, user: &str) -> Key {
        let (keyspace, tag_keys) = self.keyspace(DEFAULT).await;
        self.draft_in(keyspace, &tag_keys, user)
    }

    pub(crate) fn draft_in(&self, keyspace: Keyspace, tag_keys: &TagKeys, user: &str) -> Key {
        let text = KeyText::mint(&keyspace.prefix, tag_keys.newest(), &Counting).unwrap();
        let record = KeyRecord::minted(
            &text,
            KeyId(id()),
            Arc::new(keyspace),
            self::user(user),
            KeyName::new("a key").unwrap(),
            GRANTS,
            self.clock.now(),
        );
        Key {
            text: text.expose().to_owned(),
            record,
        }
    }

    pub(crate) async fn create(&self, key: &Key) {
        let created = self
            .store
            .create_key(key.record.clone(), Caller::Operator, self.by())
            .await;
        assert_eq!(created, Ok(KeyCreated::Done));
    }

    pub(crate) async fn keyspace(&self, name: &str) -> (Keyspace, TagKeys) {
        let name = KeyspaceName::new(name).unwrap();
        let found = self.store.find_keyspace(&name).await;
        found.expect("an answer").expect("a keyspace")
    }

    /// A keyspace that is not written.
    pub(crate) fn draft_of_keyspace(&self, name: &str, prefix: &str) -> (Keyspace, TagKeys) {
        let [mut keyspace, _] = Keyspace::built_in(self.clock.now());
        keyspace.name = KeyspaceName::new(name).unwrap();
        keyspace.prefix = KeyPrefix::new(prefix).unwrap();
        (
            keyspace,
            TagKeys::new(TagKey::generate(&Counting).expect("random bytes")),
        )
    }

    pub(crate) async fn create_keyspace(&self, keyspace: &Keyspace, tag_keys: &TagKeys) {
        let created = self
            .store
            .create_keyspace(keyspace.clone(), tag_keys.clone(), self.by())
            .await;
        assert_eq!(created, Ok(KeyspaceCreated::Done));
    }

    /// Adds a permission to `default`; gives the grants of a key that may do this and nothing else.
    pub(crate) async fn permission(&self, name: &str) -> Grants {
        let edit = KeyspaceEdit {
            permissions: vec![PermissionEdit {
                name: PermissionName::new(name).unwrap(),
                description: None,
            }],
            ..KeyspaceEdit::default()
        };
        let default = KeyspaceName::new(DEFAULT).unwrap();
        let edited = self.store.edit_keyspace(default, edit, self.by()).await;
        let Ok(KeyspaceEdited::Done(keyspace)) = edited else {
            panic!("{edited:?}")
        };
        keyspace.catalogue.grant(&[name]).unwrap()
    }

    pub(crate) async fn edit(&self, key: &Key, edit: KeyEdit) {
        let which = KeySelector::Id(key.record.key.id);
        let edited = self
            .store
            .edit_key(which, Caller::Operator, edit, self.by())
            .await;
        assert!(matches!(edited, Ok(KeyEdited::Done(_))), "{edited:?}");
    }

    pub(crate) async fn transition(&self, key: &Key, transition: Transition) {
        self.edit(key, KeyEdit::Transition(transition)).await;
    }

    pub(crate) async fn rename(&self, key: &Key, name: &str) {
        let details = DetailsEdit {
            name: Some(KeyName::new(name).unwrap()),
            ..DetailsEdit::default()
        };
        self.edit(key, KeyEdit::Details(details)).await;
    }

    pub(crate) async fn delete_user(&self, id: &str) {
        let deleted = self.store.delete_user(user(id), self.by()).await;
        assert_eq!(deleted, Ok(true));
    }

    pub(crate) fn by(&self) -> Attribution {
        Attribution {
            entry_id: id(),
            at: self.clock.now(),
            actor: Actor {
                kind: ActorKind::CommandLine,
                id: "tests".to_owned(),
            },
            ip: None,
            user_agent: None,
            request_id: None,
        }
    }

    /// What the verifier says.
    pub(crate) async fn try_verify(&self, text: &str) -> Result<Seen, VerifyError> {
        let then = |decision: Decision<'_>| Seen::of(&decision);
        let verified = self.verifier.verify(text, &ANYTHING, then);
        tokio::time::timeout(LONG, verified)
            .await
            .expect("an answer in time")
    }

    pub(crate) async fn verify(&self, text: &str) -> Seen {
        self.try_verify(text).await.expect("an answer")
    }

    pub(crate) async fn code(&self, text: &str) -> Code {
        self.verify(text).await.code
    }

    /// What the verifier must say: what the store knows, decided without any memory.
    pub(crate) async fn truth(&self, key: &Key) -> Seen {
        let found = self.store.real.find_key_by_digest(&key.record.digest).await;
        let Some(record) = found.expect("an answer") else {
            return Seen::nothing();
        };
        let (keyspace, facts) = (&record.keyspace, Facts::from(&record.key));
        Seen {
            code: decide(facts, keyspace, &ANYTHING, self.clock.now()),
            of_key: Some((
                record.key.name.to_string(),
                record.key.metadata.as_json().to_owned(),
                names(keyspace, record.key.grants),
                record.key.expires_at,
            )),
        }
    }
}

/// Begins to wait for something that is not there yet: it goes as far as it can by itself.
pub(crate) async fn begin<F: Future>(waiting: F) -> Pin<Box<F>> {
    let mut waiting = Box::pin(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending(), "it waits");
    waiting
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}
