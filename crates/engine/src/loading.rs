//! Reading from the store into memory.
//!
//! What is read is as of some seq. Where a change that was applied meanwhile makes it old, it is read again (I3).

use std::sync::Arc;

use keywright_core::digest::Digest;
use keywright_store::Store;
use tokio::sync::watch;

use crate::loads::{KeyOutcome, Outcome};
use crate::memory::Memory;
use crate::record::CachedKey;
use crate::verifier::VerifyError;

/// How often something is read again. A key that changes faster than that is nobody's key.
const TRIES: usize = 16;

/// From where, and into what.
pub(crate) struct Source {
    pub(crate) memory: Arc<Memory>,
    pub(crate) store: Arc<dyn Store>,
}

/// Something on its way from the store into memory. However it ends, nobody finds it going on afterwards.
pub(crate) trait Load: Send + 'static {
    /// Reads it, and tells all who wait.
    fn run(self) -> impl Future<Output = ()> + Send;
}

/// A key.
pub(crate) struct KeyLoad {
    pub(crate) from: Source,
    pub(crate) digest: Digest,
    pub(crate) tell: watch::Sender<KeyOutcome>,
}

impl KeyLoad {
    async fn read(&self) -> Result<Option<CachedKey>, VerifyError> {
        for _ in 0..TRIES {
            let loaded = self.from.store.load_key(&self.digest).await?;
            if let Ok(found) = self.from.memory.fill(&self.digest, &loaded) {
                return Ok(found);
            }
        }
        Err(VerifyError::Busy)
    }

    fn end(&self) {
        self.from.memory.gate().loads.end(&self.digest);
    }
}

impl Load for KeyLoad {
    async fn run(self) {
        let outcome = self.read().await;
        if outcome.is_err() {
            self.end();
        }
        self.tell.send_replace(Some(outcome));
    }
}

impl Drop for KeyLoad {
    fn drop(&mut self) {
        // The store panicked, or the process is ending.
        if self.tell.borrow().is_none() {
            self.end();
        }
    }
}

/// All keyspaces.
pub(crate) struct KeyspacesLoad {
    pub(crate) from: Source,
    pub(crate) tell: watch::Sender<Outcome<()>>,
}

impl KeyspacesLoad {
    async fn read(&self) -> Result<(), VerifyError> {
        for _ in 0..TRIES {
            let loaded = self.from.store.load_keyspaces().await?;
            if self.from.memory.fill_keyspaces(loaded).is_ok() {
                return Ok(());
            }
        }
        Err(VerifyError::Busy)
    }

    fn end(&self) {
        self.from.memory.gate().loads.end_keyspaces();
    }
}

impl Load for KeyspacesLoad {
    async fn run(self) {
        let outcome = self.read().await;
        if outcome.is_err() {
            self.end();
        }
        self.tell.send_replace(Some(outcome));
    }
}

impl Drop for KeyspacesLoad {
    fn drop(&mut self) {
        // The store panicked, or the process is ending.
        if self.tell.borrow().is_none() {
            self.end();
        }
    }
}
