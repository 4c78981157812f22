//! What a memory of keys lives on: readings that know how new they are, and news of every change before its answer.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use keywright_core::authority::{Caller, DetailsEdit, KeyEdit};
use keywright_core::digest::Digest;
use keywright_core::identifier::{KeyPrefix, PermissionName};
use keywright_core::key::{KeyRecord, Metadata};
use keywright_core::key_text::{TagKey, TagKeys};
use keywright_core::keyspace::{Keyspace, KeyspaceEdit, PermissionEdit};
use keywright_core::lifecycle::Transition;
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use keywright_core::timestamp::Timestamp;
use keywright_store::{
    ChangeObserver, KeyEdited, KeyFacts, KeySelector, KeyspaceCreated, Loaded, LoggedChange, Scope,
};

use crate::ambient::Counting;
use crate::world::{BUILT_IN, Place, World, key_line, keyspace_name, user};

contract! {
    what_is_read_of_a_key_is_what_a_verification_needs,
    a_key_that_is_not_there_is_read_with_a_seq_as_well,
    many_readings_at_once_give_each_its_own_key,
    a_key_that_is_damaged_is_an_error_for_nobody_else,
    a_reading_has_the_seq_of_the_newest_change_it_knows,
    readings_at_once_with_changes_never_show_more_or_less_than_their_seq_says,
    all_keyspaces_are_read_with_what_tells_their_keys,
    every_kind_of_change_is_told_once_and_with_its_seq,
    what_changed_nothing_is_not_told,
    a_change_is_told_before_it_is_answered,
    changes_at_once_are_all_told_with_the_seqs_of_the_log,
    a_change_that_is_rolled_back_is_not_told,
    only_the_first_observer_is_told,
    an_embedded_database_alone_is_exclusive,
}

/// Writes down what it is told.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<LoggedChange>>);

impl Told {
    pub(crate) fn of(world: &World) -> Arc<Self> {
        let told = Arc::new(Self::default());
        world.store.observe(told.clone());
        told
    }

    /// What was told since this was asked last.
    pub(crate) fn take(&self) -> Vec<LoggedChange> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl ChangeObserver for Told {
    fn committed(&self, changes: &[LoggedChange]) {
        let ascend = changes.windows(2).all(|pair| pair[0].seq < pair[1].seq);
        assert!(ascend, "{changes:?}");
        self.0.lock().unwrap().extend_from_slice(changes);
    }
}

async fn load(world: &World, digest: &Digest) -> Loaded<Option<KeyFacts>> {
    world.store.load_key(digest).await.expect("an answer")
}

fn of_key(seq: u64, record: &KeyRecord) -> LoggedChange {
    let scope = Scope::Key(record.digest);
    LoggedChange { seq, scope }
}

fn rename(name: &str) -> KeyEdit {
    KeyEdit::Details(DetailsEdit {
        name: Some(KeyName::new(name).unwrap()),
        ..DetailsEdit::default()
    })
}

fn permission(name: &str) -> KeyspaceEdit {
    KeyspaceEdit {
        permissions: vec![PermissionEdit {
            name: PermissionName::new(name).unwrap(),
            description: None,
        }],
        ..KeyspaceEdit::default()
    }
}

async fn what_is_read_of_a_key_is_what_a_verification_needs(world: World) {
    let mut draft = world.draft("ada");
    draft.key.expires_at = Some(Timestamp::from_micros(1_900_000_000_000_000));
    draft.key.metadata = Metadata::from_json(r#"{"a":[1,"ü"]}"#.to_owned()).expect("an object");
    let keys = [
        world.create(draft).await,
        world.key("ada").await,
        world.service_key(Grants(1)).await,
    ];
    world.transition(&keys[1], Transition::Suspend).await;
    for record in &keys {
        let record = world.look_up(record).await;
        let loaded = load(&world, &record.digest).await;
        assert_eq!(loaded.found, Some(KeyFacts::from(&record.key)));
        assert_eq!(loaded.seq, 1);
    }
}

async fn a_key_that_is_not_there_is_read_with_a_seq_as_well(world: World) {
    let digest = Digest::of("no key");
    let nothing = |seq| Loaded { seq, found: None };
    assert_eq!(load(&world, &digest).await, nothing(0));
    let record = world.key("ada").await;
    assert_eq!(
        load(&world, &digest).await,
        nothing(0),
        "a creation is no change"
    );
    world.transition(&record, Transition::Suspend).await;
    assert_eq!(load(&world, &digest).await, nothing(1));
    world
        .store
        .delete_user(user("ada"), world.by())
        .await
        .unwrap();
    assert_eq!(load(&world, &record.digest).await, nothing(2));
}

async fn many_readings_at_once_give_each_its_own_key(world: World) {
    let mut asked = Vec::new();
    for number in 0..200 {
        let mut draft = world.draft("ada");
        if number % 3 == 0 {
            asked.push((draft.digest, None));
        } else {
            draft.key.name = KeyName::new(number.to_string()).unwrap();
            let record = world.create(draft).await;
            asked.push((record.digest, Some(KeyFacts::from(&record.key))));
        }
    }
    // Some are asked for twice.
    asked.extend_from_within(50..100);
    let answers = join_all(asked.iter().map(|(digest, _)| load(&world, digest))).await;
    for ((_, expected), loaded) in asked.into_iter().zip(answers) {
        assert_eq!(
            loaded,
            Loaded {
                seq: 0,
                found: expected
            }
        );
    }
}

async fn a_key_that_is_damaged_is_an_error_for_nobody_else(world: World) {
    let mut keys = Vec::new();
    for _ in 0..40 {
        keys.push(world.key("ada").await);
    }
    world
        .execute("UPDATE api_keys SET metadata = '[' WHERE id IN (SELECT id FROM api_keys LIMIT 1)")
        .await;
    let loads = keys
        .iter()
        .map(|record| world.store.load_key(&record.digest));
    let failed = join_all(loads)
        .await
        .iter()
        .filter(|loaded| loaded.is_err())
        .count();
    assert_eq!(failed, 1);
}

async fn a_reading_has_the_seq_of_the_newest_change_it_knows(world: World) {
    let record = world.key("ada").await;
    for (seq, name) in (1..).zip(["one", "two", "three"]) {
        world.edit(&record, rename(name)).await;
        let loaded = load(&world, &record.digest).await;
        assert_eq!(loaded.seq, seq);
        assert_eq!(loaded.found.unwrap().name.as_str(), name);
        assert_eq!(world.store.load_keyspaces().await.unwrap().seq, seq);
    }
}

async fn readings_at_once_with_changes_never_show_more_or_less_than_their_seq_says(world: World) {
    const CHANGES: u64 = 60;
    let record = world.key("ada").await;
    // The n-th change gives the key n for its name.
    let changing = async {
        for number in 1..=CHANGES {
            world.edit(&record, rename(&number.to_string())).await;
        }
    };
    let (store, digest) = (world.store.clone(), record.digest);
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|(seq, _)| *seq < CHANGES) {
            let loaded = store.load_key(&digest).await.expect("an answer");
            let name = loaded.found.expect("a key").name.to_string();
            seen.push((loaded.seq, name));
        }
        seen
    });
    changing.await;
    for (seq, name) in reading.await.unwrap() {
        let expected = if seq == 0 {
            "a key".to_owned()
        } else {
            seq.to_string()
        };
        assert_eq!(name, expected, "as of {seq}");
    }
}

async fn all_keyspaces_are_read_with_what_tells_their_keys(world: World) {
    let loaded = world.store.load_keyspaces().await.unwrap();
    assert_eq!(loaded.seq, 0);
    let mut names: Vec<_> = loaded
        .found
        .iter()
        .map(|facts| facts.keyspace.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, BUILT_IN);
    for facts in &loaded.found {
        let found = world.store.find_keyspace(&facts.keyspace.name).await;
        let (keyspace, tag_keys) = found.unwrap().unwrap();
        assert_eq!(facts.keyspace, keyspace);
        assert_eq!(facts.tag_keys.to_bytes(), tag_keys.to_bytes());
        assert!(!facts.holds_imported);
    }
    let yes = match world.place {
        Place::Sqlite(_) => "1",
        Place::Postgres(_) => "TRUE",
    };
    world
        .execute(&format!(
            "UPDATE keyspaces SET holds_imported = {yes} WHERE name = 'default'"
        ))
        .await;
    for facts in world.store.load_keyspaces().await.unwrap().found {
        let is_default = facts.keyspace.name.as_str() == "default";
        assert_eq!(facts.holds_imported, is_default);
    }
}

/// A keyspace that is not written.
fn draft_of_keyspace(world: &World) -> (Keyspace, TagKeys) {
    let [mut keyspace, _] = Keyspace::built_in(world.now());
    keyspace.name = keyspace_name("partners");
    keyspace.prefix = KeyPrefix::new("partner_").unwrap();
    (keyspace, TagKeys::new(TagKey::generate(&Counting).unwrap()))
}

async fn every_kind_of_change_is_told_once_and_with_its_seq(world: World) {
    let told = Told::of(&world);
    let record = world.key("ada").await;
    assert_eq!(told.take(), [], "a creation makes no earlier answer wrong");
    let edits = [
        KeyEdit::Transition(Transition::Suspend),
        KeyEdit::Transition(Transition::Reactivate),
        KeyEdit::Permissions(Grants(0b1)),
        rename("another name"),
        KeyEdit::Transition(Transition::Revoke),
    ];
    for (seq, edit) in (1..).zip(edits) {
        world.edit(&record, edit).await;
        assert_eq!(told.take(), [of_key(seq, &record)]);
    }
    let (keyspace, tag_keys) = draft_of_keyspace(&world);
    let scope = Scope::Keyspace(keyspace.name.clone());
    let created = world
        .store
        .create_keyspace(keyspace, tag_keys, world.by())
        .await;
    assert_eq!(created, Ok(KeyspaceCreated::Done));
    assert_eq!(told.take(), [LoggedChange { seq: 6, scope }]);
    let default = keyspace_name("default");
    let scope = Scope::Keyspace(default.clone());
    let edited = world
        .store
        .edit_keyspace(default, permission("NEW"), world.by())
        .await;
    edited.unwrap();
    assert_eq!(told.take(), [LoggedChange { seq: 7, scope }]);
    let deleted = world.store.delete_user(user("ada"), world.by()).await;
    assert_eq!(deleted, Ok(true));
    let scope = Scope::User(user("ada"));
    assert_eq!(told.take(), [LoggedChange { seq: 8, scope }]);
    assert_eq!(world.logged().await.len(), 8);
}

async fn what_changed_nothing_is_not_told(world: World) {
    let record = world.key("ada").await;
    world.transition(&record, Transition::Revoke).await;
    let told = Told::of(&world);
    // Repeated, refused, of nobody.
    let again = world.transition(&record, Transition::Revoke).await;
    assert!(matches!(again, KeyEdited::Unchanged(_)));
    let refused = world.transition(&record, Transition::Suspend).await;
    assert!(matches!(refused, KeyEdited::Refused(_)));
    let nobodys = world
        .transition(&world.draft("ada"), Transition::Revoke)
        .await;
    assert!(matches!(nobodys, KeyEdited::Refused(_)));
    let deleted = world.store.delete_user(user("nobody"), world.by()).await;
    assert_eq!(deleted, Ok(false));
    let unchanged = world
        .store
        .edit_keyspace(
            keyspace_name("default"),
            KeyspaceEdit::default(),
            world.by(),
        )
        .await;
    unchanged.unwrap();
    let [default, _] = Keyspace::built_in(world.now());
    let taken = world
        .store
        .create_keyspace(default, draft_of_keyspace(&world).1, world.by())
        .await;
    assert_eq!(taken, Ok(KeyspaceCreated::NameTaken));
    // Nor what is no change of an answer.
    world
        .store
        .ensure_user(&user("bob"), world.now())
        .await
        .unwrap();
    world.key("bob").await;
    assert_eq!(told.take(), []);
}

/// Keeps the store from going on until it is let.
struct Slow {
    arrived: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
}

impl ChangeObserver for Slow {
    fn committed(&self, _: &[LoggedChange]) {
        let _ = self.arrived.lock().unwrap().send(());
        // One that panicked lets it go as well.
        let _ = tokio::task::block_in_place(|| self.go.lock().unwrap().recv());
    }
}

async fn a_change_is_told_before_it_is_answered(world: World) {
    let (arrived, told) = mpsc::channel();
    let (lets_go, go) = mpsc::channel();
    world.store.observe(Arc::new(Slow {
        arrived: Mutex::new(arrived),
        go: Mutex::new(go),
    }));
    let record = world.key("ada").await;
    let store = world.store.clone();
    let (by, which) = (world.by(), KeySelector::Id(record.key.id));
    let suspending = tokio::spawn(async move {
        let edit = KeyEdit::Transition(Transition::Suspend);
        store.edit_key(which, Caller::Operator, edit, by).await
    });
    tokio::task::spawn_blocking(move || told.recv())
        .await
        .unwrap()
        .expect("it is told");
    // It is committed, and nobody is answered.
    assert_eq!(world.number("SELECT last_seq FROM cluster").await, 1);
    assert!(!suspending.is_finished());
    lets_go.send(()).unwrap();
    assert!(matches!(suspending.await.unwrap(), Ok(KeyEdited::Done(_))));
}

async fn changes_at_once_are_all_told_with_the_seqs_of_the_log(world: World) {
    let told = Told::of(&world);
    let mut keys = Vec::new();
    for _ in 0..24 {
        keys.push(world.key("ada").await);
    }
    let suspensions = join_all(
        keys.iter()
            .map(|record| world.transition(record, Transition::Suspend)),
    );
    // Repeats among them.
    let repeats = join_all(
        keys.iter()
            .map(|record| world.transition(record, Transition::Suspend)),
    );
    tokio::join!(suspensions, repeats);
    let mut told = told.take();
    told.sort_unstable_by_key(|change| change.seq);
    let lines: Vec<_> = told
        .iter()
        .map(|change| match &change.scope {
            Scope::Key(digest) => key_line(digest.as_bytes()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lines, world.logged().await);
    let seqs: Vec<_> = told.iter().map(|change| change.seq).collect();
    assert_eq!(seqs, (1..=24).collect::<Vec<_>>());
}

async fn a_change_that_is_rolled_back_is_not_told(world: World) {
    let record = world.key("ada").await;
    let told = Told::of(&world);
    // The audit entry of this one cannot be written again, and so nothing of the change is.
    let by = world.by();
    let which = KeySelector::Id(record.key.id);
    let edit = |name| {
        let (store, by) = (world.store.clone(), by.clone());
        async move {
            store
                .edit_key(which, Caller::Operator, rename(name), by)
                .await
        }
    };
    edit("first").await.unwrap();
    assert_eq!(told.take(), [of_key(1, &record)]);
    // Some that can be made are under way with it.
    let other = world.key("ada").await;
    let (failed, done) = tokio::join!(edit("second"), world.edit(&other, rename("other")));
    assert!(failed.is_err());
    assert!(matches!(done, KeyEdited::Done(_)));
    assert_eq!(told.take(), [of_key(2, &other)]);
    assert_eq!(world.look_up(&record).await.key.name.as_str(), "first");
    assert_eq!(world.number("SELECT last_seq FROM cluster").await, 2);
}

async fn only_the_first_observer_is_told(world: World) {
    let (first, second) = (Told::of(&world), Told::of(&world));
    let record = world.key("ada").await;
    world.transition(&record, Transition::Suspend).await;
    assert_eq!(first.take(), [of_key(1, &record)]);
    assert_eq!(second.take(), []);
}

async fn an_embedded_database_alone_is_exclusive(world: World) {
    let is_embedded = matches!(world.place, Place::Sqlite(_));
    assert_eq!(world.store.is_exclusive(), is_embedded);
}
