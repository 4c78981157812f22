//! The task that writes: takes out of the queue what waits, makes it, commits, tells, answers.

use std::sync::{Arc, OnceLock};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::mpsc;

use super::super::classification::{is_elsewhere, meaning};
use super::super::file::DatabaseFile;
use super::waiting::{Batch, Queued};
use super::{BEGIN, BEGIN_IN_MEMORY, Reluctance, execute};
use crate::failure::Failure;
use crate::{ChangeObserver, StoreError};

/// How many changes share a commit at most, so that the first is not kept waiting for ever.
const BATCH: usize = 128;

/// Makes the first page one to be written, though its content stays as it is.
const WRITE_SOMETHING: &str = "PRAGMA user_version = 0";

/// Moves the whole log into the database and empties it.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The task itself.
pub(in crate::sqlite) struct Task {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    pub(super) reluctance: Reluctance,
    observer: Arc<OnceLock<Arc<dyn ChangeObserver>>>,
    /// Dropped last: the file is let go of when nothing writes to it any more.
    _file: DatabaseFile,
}

impl Task {
    /// A task that writes with `connection`, opens another with `options` where that one is of no more use, and tells
    /// `observer` of what it has committed.
    pub(in crate::sqlite) fn new(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        file: DatabaseFile,
        observer: Arc<OnceLock<Arc<dyn ChangeObserver>>>,
    ) -> Self {
        Self {
            connection,
            options,
            reluctance: Reluctance::default(),
            observer,
            _file: file,
        }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Queued>) {
        let mut queued = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut queued, BATCH).await > 0 {
            let changes = queued.len();
            let mut batch = Batch::of(queued.drain(..));
            let mut results = Vec::with_capacity(changes);
            if let Err(error) = self.commit_together(&mut batch, &mut results).await {
                tracing::error!(changes, %error, "changes could not be committed");
                self.roll_back().await;
                results = vec![Err(error); changes];
            }
            let refused = |result: &Result<(), StoreError>| match result {
                Err(error @ StoreError::NotWritable(_)) => Some(error.clone()),
                _ => None,
            };
            if let Some(reason) = results.iter().find_map(refused) {
                self.reluctance.set(Some(reason));
            } else if self.reluctance.get().is_some() {
                match self.try_to_write().await {
                    Ok(()) => {
                        tracing::info!("the database takes changes again");
                        self.reluctance.set(None);
                    }
                    Err(_) => self.roll_back().await,
                }
            }
            self.tell(&mut batch, &results);
            batch.answer(results);
        }
        // The last connection does this when it is closed, unless one of a reader's lingers. What stays in the log is
        // safe there, but whoever copies the file alone would miss it.
        if let Err(error) = self.execute(CHECKPOINT).await {
            tracing::warn!(%error, "the log was not moved into the database");
        }
        if let Err(error) = self.connection.close().await {
            tracing::error!(%error, "the database was not closed well");
        }
    }

    /// Tells the observer of what was committed, before anybody is answered.
    fn tell(&self, batch: &mut Batch, results: &[Result<(), StoreError>]) {
        let Some(observer) = self.observer.get() else {
            return;
        };
        let committed: Vec<_> = batch
            .jobs()
            .zip(results)
            .filter(|(_, result)| result.is_ok())
            .filter_map(|(job, _)| job.logged().cloned())
            .collect();
        if !committed.is_empty() {
            observer.committed(&committed);
        }
    }

    /// Makes all changes in one transaction. `results` gets one result for each, good once this is `Ok`; an error
    /// is that of all.
    async fn commit_together(
        &mut self,
        batch: &mut Batch,
        results: &mut Vec<Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let begin = if batch.is_creations_only() {
            BEGIN_IN_MEMORY
        } else {
            BEGIN
        };
        self.begin(begin).await.map_err(meaning)?;
        let mut mark = "SAVEPOINT change";
        if batch.creations() > 1 {
            self.execute(mark).await?;
            mark = "RELEASE change; SAVEPOINT change";
            match batch.create_together(&mut self.connection).await {
                Ok(()) => results.resize(batch.creations(), Ok(())),
                // One of them is impossible. Each is made for itself, and that one fails.
                Err(error) => self.undo(error).await?,
            }
        }
        for job in batch.jobs().skip(results.len()) {
            self.execute(mark).await?;
            mark = "RELEASE change; SAVEPOINT change";
            let result = job.make(&mut self.connection).await;
            if let Err(error) = &result {
                self.undo(error.clone()).await?;
            }
            results.push(result);
        }
        // Releases the last one too.
        self.execute("COMMIT").await
    }

    /// Undoes what was made since the savepoint, for this reason.
    async fn undo(&mut self, reason: StoreError) -> Result<(), StoreError> {
        // SQLite itself may have ended the transaction, on a full disk above all. Then there is no such savepoint,
        // this fails, and with it what was made before, which is gone too.
        self.execute("ROLLBACK TO change").await.map_err(|_| reason)
    }

    /// Finds out whether changes are taken again. (That a batch was committed proves nothing: what its changes ask
    /// for may have held already.)
    async fn try_to_write(&mut self) -> Result<(), StoreError> {
        self.begin(BEGIN).await.map_err(meaning)?;
        self.execute(WRITE_SOMETHING).await?;
        self.execute("COMMIT").await
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), StoreError> {
        execute(&mut self.connection, statement)
            .await
            .map_err(meaning)
    }

    /// Begins as a writer, so that nothing that was read can change before it is written.
    async fn begin(&mut self, how: &'static str) -> Result<(), Failure> {
        let begun = execute(&mut self.connection, how).await;
        let Err(failure) = begun else { return begun };
        if is_elsewhere(&failure) {
            return Err(failure);
        }
        // The connection may be stuck: in a transaction already, without its thread, or read-only since the file
        // was so when it was opened.
        let error = meaning(failure);
        tracing::warn!(%error, "the connection that writes is opened again");
        self.connection = SqliteConnection::connect_with(&self.options).await?;
        execute(&mut self.connection, how).await
    }

    async fn roll_back(&mut self) {
        // Fails where SQLite has done it by itself. If it fails for another reason, `begin` finds out.
        let _ = execute(&mut self.connection, "ROLLBACK").await;
    }
}
