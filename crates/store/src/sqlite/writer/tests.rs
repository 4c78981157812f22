//! What happens to changes that share a commit, and on a disk that takes no more.

mod creations;
mod measured;

use std::path::Path;
use std::sync::{Arc, Mutex};

use keywright_core::identifier::UserId;
use keywright_core::timestamp::Timestamp;
use tokio::sync::oneshot;

use super::*;
use crate::sqlite::{Options, SqliteStore};
use crate::standing::Standing;
use crate::{Store, User};

async fn open(folder: &Path) -> SqliteStore {
    let path = folder.join("keywright.db");
    SqliteStore::open(
        &path,
        Arc::new(Standing),
        Arc::new(Standing),
        Options::default(),
    )
    .await
    .unwrap()
}

/// Runs statements in the writer's transaction, and can wait, fail and panic after them.
#[derive(Default)]
struct Script {
    statements: Vec<&'static str>,
    begun: Mutex<Option<oneshot::Sender<()>>>,
    gate: Mutex<Option<oneshot::Receiver<()>>>,
    fails: bool,
    panics: bool,
}

impl Script {
    fn of(statements: &[&'static str]) -> Self {
        Self {
            statements: statements.to_vec(),
            ..Self::default()
        }
    }
}

impl Change for Script {
    type Outcome = ();

    async fn make(&self, connection: &mut SqliteConnection) -> Result<Made<()>, Failure> {
        for statement in &self.statements {
            sqlx::raw_sql(*statement).execute(&mut *connection).await?;
        }
        if let Some(begun) = self.begun.lock().unwrap().take() {
            begun.send(()).unwrap();
        }
        let gate = self.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            gate.await.unwrap();
        }
        assert!(!self.panics, "as it was told to");
        if self.fails {
            Err(Failure::Damaged("as it was told to".to_owned()))
        } else {
            Ok(Made::unrecorded(()))
        }
    }
}

/// Makes a user of this name.
fn make(name: &str) -> Script {
    let statement = format!("INSERT INTO users (id, created_at, api_keys) VALUES ('{name}', 1, 0)");
    Script::of(&[&*statement.leak()])
}

/// Has the writer find all of what is `queued` at once: it queues while the writer is busy with something else.
async fn while_busy<F: Future>(store: &SqliteStore, queued: F) -> F::Output {
    let (tell_begun, begun) = oneshot::channel();
    let (open, gate) = oneshot::channel();
    let busy = Script {
        begun: Mutex::new(Some(tell_begun)),
        gate: Mutex::new(Some(gate)),
        ..Script::default()
    };
    let queued = async {
        begun.await.unwrap();
        // However many there are, tokio does not make them take turns.
        let mut queued = Box::pin(tokio::task::unconstrained(queued));
        // There is room in the queue, so once asked is enough.
        assert!(futures::poll!(&mut queued).is_pending());
        open.send(()).unwrap();
        queued.await
    };
    let (busy, answers) = tokio::join!(store.write(busy), queued);
    busy.unwrap();
    answers
}

/// Puts all changes into one batch.
async fn run_together(store: &SqliteStore, changes: Vec<Script>) -> Vec<Result<(), StoreError>> {
    let all = changes.into_iter().map(|change| store.write(change));
    while_busy(store, futures::future::join_all(all)).await
}

async fn names(store: &SqliteStore) -> Vec<String> {
    let everybody = crate::UserQuery {
        id_start: None,
        after: None,
        limit: 100,
    };
    let page = store.list_users(&everybody).await.unwrap();
    let mut names: Vec<_> = page
        .entries
        .into_iter()
        .map(|User { id, .. }| id.to_string())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_change_that_fails_harms_no_other_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let failing = Script {
        fails: true,
        ..make("failed")
    };
    let answers = run_together(
        &store,
        vec![make("a"), failing, make("b"), make("a"), make("c")],
    )
    .await;
    assert!(matches!(
        answers[..],
        [
            Ok(()),
            Err(StoreError::Damaged(_)),
            Ok(()),
            Err(StoreError::Internal(_)),
            Ok(())
        ]
    ));
    assert_eq!(names(&store).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_change_that_panics_is_undone_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let panicking = Script {
        panics: true,
        ..make("panicked")
    };
    let answers = run_together(&store, vec![make("a"), panicking, make("b")]).await;
    assert!(matches!(
        answers[..],
        [Ok(()), Err(StoreError::Internal(_)), Ok(())]
    ));
    assert_eq!(names(&store).await, ["a", "b"]);
    assert_eq!(store.check().await, Ok(()));
}

#[tokio::test]
async fn a_commit_that_fails_fails_all_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    // A broken reference that is looked at only by the commit.
    let broken = Script::of(&[
        "PRAGMA defer_foreign_keys = ON",
        "INSERT INTO api_keys SELECT x'01', x'02', 'nowhere', '', 'n', NULL, 'p', 'p', 'ACTIVE', 0, 1, 1, NULL, \
         NULL, NULL, NULL, '{}'",
    ]);
    let answers = run_together(&store, vec![make("a"), broken, make("b")]).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert_eq!(names(&store).await, [""; 0]);
    store.write(make("c")).await.unwrap();
    assert_eq!(names(&store).await, ["c"]);
}

#[tokio::test]
async fn a_transaction_that_sqlite_itself_ends_fails_all_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    // As SQLite may do on a full disk.
    let ending = Script {
        fails: true,
        ..Script::of(&["ROLLBACK"])
    };
    let answers = run_together(&store, vec![make("a"), ending, make("b")]).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert_eq!(names(&store).await, [""; 0]);
    store.write(make("c")).await.unwrap();
    assert_eq!(names(&store).await, ["c"]);
}

#[tokio::test]
async fn a_connection_that_lost_its_way_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    // It leaves a transaction open behind the writer's back.
    let stray = Script {
        fails: true,
        ..Script::of(&["ROLLBACK", "BEGIN"])
    };
    let answers = run_together(&store, vec![stray]).await;
    assert!(answers[0].is_err());
    store.write(make("a")).await.unwrap();
    assert_eq!(names(&store).await, ["a"]);
}

#[tokio::test]
async fn a_full_disk_takes_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.write(make("before")).await.unwrap();
    // As large as it is, and no larger.
    store
        .write(Script::of(&["PRAGMA max_page_count = 1"]))
        .await
        .unwrap();
    let mut refused = None;
    for n in 0..2000 {
        if let Err(error) = store.write(make(&format!("{n}{}", "x".repeat(200)))).await {
            refused = Some(error);
            break;
        }
    }
    assert!(
        matches!(refused, Some(StoreError::NotWritable(_))),
        "{refused:?}"
    );
    let there = names(&store).await;
    let found = store
        .find_user(&UserId::new("before").unwrap())
        .await
        .unwrap();
    assert!(found.is_some(), "reading goes on");

    store
        .write(Script::of(&["PRAGMA max_page_count = 1000000"]))
        .await
        .unwrap();
    store.write(make("after")).await.unwrap();
    assert_eq!(names(&store).await.len(), (there.len() + 1).min(100));
    store.close().await;
    let store = open(folder.path()).await;
    assert!(
        store
            .find_user(&UserId::new("before").unwrap())
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        store
            .find_user(&UserId::new("after").unwrap())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_connection_that_became_read_only_says_so_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let answers = run_together(
        &store,
        vec![
            make("before"),
            Script::of(&["PRAGMA query_only = ON"]),
            make("meanwhile"),
        ],
    );
    let answers = answers.await;
    assert!(
        matches!(
            answers[..],
            [Ok(()), Ok(()), Err(StoreError::NotWritable(_))]
        ),
        "{answers:?}"
    );
    assert_eq!(names(&store).await, ["before"]);
    assert_eq!(store.check().await, Ok(()), "it found out by trying");
    store.write(make("after")).await.unwrap();
    assert_eq!(names(&store).await, ["after", "before"]);
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut reader = store.read().await.unwrap();
    let refused = execute(&mut reader, "DELETE FROM users")
        .await
        .map_err(meaning);
    assert!(
        matches!(refused, Err(StoreError::NotWritable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_writer_syncs_each_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    // I1: 2 is FULL. The pragmas answer in the transaction's own connection.
    store
        .write(Script::of(&[
            "CREATE TEMP TABLE told AS SELECT * FROM pragma_synchronous, pragma_journal_mode, pragma_foreign_keys",
            "INSERT INTO users SELECT journal_mode || synchronous || foreign_keys, 1, 0 FROM told",
        ]))
        .await
        .unwrap();
    assert_eq!(names(&store).await, ["wal21"]);
}

/// How many commits are in the write-ahead log: <https://www.sqlite.org/fileformat2.html#walformat>.
fn commits(folder: &Path) -> usize {
    let log = std::fs::read(folder.join("keywright.db-wal")).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let page = usize::try_from(number(8)).unwrap();
    // The frame that commits tells the size of the database in its second number; the others say 0.
    (32..log.len())
        .step_by(24 + page)
        .filter(|frame| number(frame + 4) != 0)
        .count()
}

#[tokio::test]
async fn changes_that_wait_together_share_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let before = commits(folder.path());
    let names: Vec<_> = (0..50).map(|n| make(&format!("user {n}"))).collect();
    let answers = run_together(&store, names).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(commits(folder.path()) - before, 1);
}
