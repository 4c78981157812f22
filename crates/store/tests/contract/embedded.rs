//! What only the embedded store promises: its file is its process's own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use keywright_core::lifecycle::Transition;
use keywright_core::permission::Grants;
use keywright_store::sqlite::{Options, SqliteStore};
use keywright_store::{OpenError, Store, StoreError};

use crate::ambient::{Counting, StandingClock};
use crate::world::{World, eventually};

async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(
        path,
        Arc::new(StandingClock::new()),
        Arc::new(Counting),
        Options::default(),
    )
    .await
}

#[tokio::test]
async fn an_embedded_database_is_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keywright.db");
    let store = open(&path).await.unwrap();
    let link = folder.path().join("another-name.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for path in [&path, &link] {
        let refused = open(path).await.err().expect("refused");
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
        assert!(
            refused.to_string().contains("stop that process"),
            "{refused}"
        );
    }
    store.close().await;
    assert!(open(&link).await.is_ok(), "closing lets go of the file");
}

#[tokio::test]
async fn whether_there_is_a_service_key_is_told_while_a_server_runs() {
    let world = World::on_sqlite().await;
    let path = world.place.file();
    let exists = async || SqliteStore::service_key_exists(&path).await.unwrap();
    world.key("alice").await;
    assert!(!exists().await);
    let service_key = world.service_key(Grants(1)).await;
    world.transition(&service_key, Transition::Revoke).await;
    assert!(exists().await, "of whatever status");
    world.store.close().await;
    assert!(exists().await);
    let nowhere = path.with_file_name("nowhere.db");
    assert!(SqliteStore::service_key_exists(&nowhere).await.is_err());
    assert!(!nowhere.exists(), "asking makes nothing");
}

#[tokio::test]
async fn a_dropped_store_lets_go_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keywright.db");
    drop(open(&path).await.unwrap());
    eventually("the file is free", || async { open(&path).await.is_ok() }).await;
}

#[tokio::test]
async fn an_embedded_database_is_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new").join("data");
    let store = open(&data.join("keywright.db")).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let mut files = 0;
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert_eq!(
        files, 4,
        "the database, its log, the log's index and the lock"
    );
    drop(store);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    let letter = "Dear reader, this is no database. ".repeat(100);
    std::fs::write(&path, &letter).unwrap();
    let refused = open(&path).await.err().expect("refused");
    assert!(
        matches!(refused, OpenError::Store(StoreError::Damaged(_))),
        "{refused}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), letter);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = open(&file.join("keywright.db"))
        .await
        .err()
        .expect("refused");
    assert!(matches!(&refused, OpenError::File { .. }), "{refused}");
    assert!(
        refused.to_string().contains(file.to_str().unwrap()),
        "{refused}"
    );
}
