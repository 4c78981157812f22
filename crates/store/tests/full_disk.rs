//! A disk that takes no more, made of the process's own limit on the size of files: unlike SQLite's limit on pages,
//! it makes the commit itself fail. The limit is the whole process's, so this test has a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keywright_core::ambient::{Clock, Entropy, EntropyError};
use keywright_core::identifier::UserId;
use keywright_core::timestamp::Timestamp;
use keywright_store::sqlite::{Options, SqliteStore};
use keywright_store::{Store, StoreError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1)
    }
    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for Standing {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(7);
        Ok(())
    }
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(
        path,
        Arc::new(Standing),
        Arc::new(Standing),
        Options::default(),
    )
    .await
    .unwrap()
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

/// No file may grow beyond `bytes`.
fn limit_files(bytes: Option<u64>) {
    let all = getrlimit(Resource::Fsize);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: bytes,
            maximum: all.maximum,
        },
    )
    .unwrap();
}

#[tokio::test]
async fn what_was_answered_is_there_and_what_was_refused_is_not() {
    // Whoever writes beyond the limit gets this signal too, which ends a process that does not expect it.
    let _expected = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keywright.db");
    let store = open(&path).await;
    let now = Timestamp::from_micros(1);
    store.ensure_user(&user("before"), now).await.unwrap();

    let log = std::fs::metadata(folder.path().join("keywright.db-wal"))
        .unwrap()
        .len();
    limit_files(Some(log + 20_000));
    let (mut taken, mut refused) = (vec![], vec![]);
    for n in 0..20 {
        let id = user(&format!("{n:0>255}"));
        match store.ensure_user(&id, now).await {
            Ok(()) => taken.push(id),
            Err(error) => {
                assert!(matches!(error, StoreError::NotWritable(_)), "{error:?}");
                refused.push(id);
            }
        }
    }
    assert!(
        !taken.is_empty() && !refused.is_empty(),
        "{} taken, {} refused",
        taken.len(),
        refused.len()
    );
    assert!(
        store.find_user(&user("before")).await.unwrap().is_some(),
        "reading goes on"
    );
    for id in &refused {
        assert_eq!(
            store.find_user(id).await,
            Ok(None),
            "what was refused is not there"
        );
    }

    // A tiny change may still fit where a larger one does not: then the next one does not.
    let mut checked = store.check().await;
    for _ in 0..8 {
        if checked.is_err() {
            break;
        }
        assert!(store.ensure_user(&refused[0], now).await.is_err());
        checked = store.check().await;
    }
    assert!(
        matches!(checked, Err(StoreError::NotWritable(_))),
        "{checked:?}"
    );
    assert_eq!(store.check().await, checked, "it stays so");

    limit_files(getrlimit(Resource::Fsize).maximum);
    assert_eq!(store.check().await, Ok(()), "it recovers by itself");
    store.ensure_user(&user("after"), now).await.unwrap();
    taken.extend([user("before"), user("after")]);
    store.close().await;
    let store = open(&path).await;
    for id in &taken {
        assert!(
            store.find_user(id).await.unwrap().is_some(),
            "what was answered is there"
        );
    }
    for id in &refused {
        assert_eq!(
            store.find_user(id).await,
            Ok(None),
            "what was refused is not there"
        );
    }
}
