//! The one writer: a task that owns the one connection that writes. Changes queue for it; those that wait together
//! share a transaction and so one fsync (group commit), each within a savepoint of its own.
//!
//! Whoever asked is answered only after the commit. A caller that goes away cancels nothing: its change is in the
//! queue, and the queue is the task's.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqlSafeStr, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::classification::{is_elsewhere, meaning};
use super::file::DatabaseFile;
use super::statements::{Carried, Change, Made, carry_out};
use crate::failure::Failure;
use crate::{ChangeObserver, LoggedChange, StoreError};

/// How many changes may wait. Who comes when as many do waits outside, and in the end is refused.
const QUEUE: usize = 1024;

/// How many changes share a commit at most, so that the first is not kept waiting for ever.
const BATCH: usize = 128;

/// The way to the task that writes.
pub(super) struct Writer {
    /// `None` once the store is being closed.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    patience: Duration,
    reluctance: Reluctance,
}

/// Why the database took no change when it was last asked to; `None` where it took it.
#[derive(Clone, Default)]
struct Reluctance(Arc<Mutex<Option<StoreError>>>);

impl Reluctance {
    fn get(&self) -> Option<StoreError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, reason: Option<StoreError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

impl Writer {
    /// Starts the task. It ends, and lets go of the file, when the queue is closed and empty.
    pub(super) fn start(task: Task, patience: Duration) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let reluctance = task.reluctance.clone();
        (
            Self {
                queue: Mutex::new(Some(queue)),
                patience,
                reluctance,
            },
            tokio::spawn(task.run(jobs)),
        )
    }

    /// Has a change made, and waits until it is committed.
    pub(super) async fn run<C: Change>(
        &self,
        change: C,
        nonce: [u8; 16],
    ) -> Result<C::Outcome, StoreError> {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let queue =
            queue.ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))?;
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Waiting {
            change,
            nonce,
            made: None,
            answer,
        });
        queue
            .send_timeout(job, self.patience)
            .await
            .map_err(|error| {
                StoreError::Unavailable(match error {
                    mpsc::error::SendTimeoutError::Timeout(_) => {
                        "too many changes are waiting".to_owned()
                    }
                    mpsc::error::SendTimeoutError::Closed(_) => {
                        "the task that writes has ended".to_owned()
                    }
                })
            })?;
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(
                "the task that writes has ended".to_owned(),
            ))
        })
    }

    /// Whether changes are taken. Where the last one was not, one is tried: so a disk that has room again is noticed
    /// though nobody changes anything.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        if self.reluctance.get().is_some() {
            self.run(Nothing, [0; 16]).await?;
        }
        if let Some(reason) = self.reluctance.get() {
            return Err(reason);
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_some_and(|queue| !queue.is_closed()) {
            Ok(())
        } else {
            Err(StoreError::NotWritable(
                "the task that writes has ended".to_owned(),
            ))
        }
    }

    /// Closes the queue. What is in it is still done.
    pub(super) fn take_no_more(&self) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// A change in the queue, whatever its kind.
#[async_trait]
trait Job: Send {
    /// Makes the change, within the transaction there is.
    async fn make(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError>;

    /// The row that the change has in the log, once it was made.
    fn logged(&self) -> Option<&LoggedChange>;

    /// Tells whoever asked, if they are still there. `Ok` only after the commit.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Waiting<C: Change> {
    change: C,
    nonce: [u8; 16],
    made: Option<Carried<C::Outcome>>,
    answer: oneshot::Sender<Result<C::Outcome, StoreError>>,
}

#[async_trait]
impl<C: Change> Job for Waiting<C> {
    async fn make(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let making = AssertUnwindSafe(carry_out(&self.change, &self.nonce, connection));
        match making.catch_unwind().await {
            Ok(made) => self.made = Some(made.map_err(meaning)?),
            // What panicked has been told by the panic hook. The savepoint is rolled back, and the task lives on.
            Err(_) => return Err(StoreError::Internal("a change panicked".to_owned())),
        }
        Ok(())
    }

    fn logged(&self) -> Option<&LoggedChange> {
        self.made.as_ref()?.logged.as_ref()
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { made, answer, .. } = *self;
        let outcome = || {
            made.map(|made| made.outcome)
                .ok_or_else(|| StoreError::Internal("a change was not made".to_owned()))
        };
        // Who went away does not want to know.
        let _ = answer.send(result.and_then(|()| outcome()));
    }
}

/// No change: only a reason for the writer to begin and commit.
struct Nothing;

impl Change for Nothing {
    type Outcome = ();

    async fn make(&self, _connection: &mut SqliteConnection) -> Result<Made<()>, Failure> {
        Ok(Made::unrecorded(()))
    }
}

/// The task itself.
pub(super) struct Task {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    reluctance: Reluctance,
    observer: Arc<OnceLock<Arc<dyn ChangeObserver>>>,
    /// Dropped last: the file is let go of when nothing writes to it any more.
    _file: DatabaseFile,
}

impl Task {
    /// A task that writes with `connection`, opens another with `options` where that one is of no more use, and tells
    /// `observer` of what it has committed.
    pub(super) fn new(
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

    async fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::with_capacity(BATCH);
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            let mut results = Vec::with_capacity(batch.len());
            if let Err(error) = self.commit_together(&mut batch, &mut results).await {
                tracing::error!(changes = batch.len(), %error, "changes could not be committed");
                self.roll_back().await;
                results = vec![Err(error); batch.len()];
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
            self.tell(&batch, &results);
            for (job, result) in batch.drain(..).zip(results) {
                job.answer(result);
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::error!(%error, "the database was not closed well");
        }
    }

    /// Tells the observer of what was committed, before anybody is answered.
    fn tell(&self, batch: &[Box<dyn Job>], results: &[Result<(), StoreError>]) {
        let Some(observer) = self.observer.get() else {
            return;
        };
        let committed: Vec<_> = batch
            .iter()
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
        batch: &mut [Box<dyn Job>],
        results: &mut Vec<Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        self.begin().await.map_err(meaning)?;
        let mut mark = "SAVEPOINT change";
        for job in batch {
            self.execute(mark).await?;
            let result = job.make(&mut self.connection).await;
            if result.is_err() {
                // SQLite itself may have ended the transaction, on a full disk above all. Then there is no such
                // savepoint, this fails, and with it those before, which are gone too.
                if self.execute("ROLLBACK TO change").await.is_err() {
                    return result;
                }
            }
            results.push(result);
            mark = "RELEASE change; SAVEPOINT change";
        }
        // Releases the last one too.
        self.execute("COMMIT").await
    }

    /// Finds out whether changes are taken again. (That a batch was committed proves nothing: what its changes ask
    /// for may have held already.)
    async fn try_to_write(&mut self) -> Result<(), StoreError> {
        self.begin().await.map_err(meaning)?;
        self.execute(WRITE_SOMETHING).await?;
        self.execute("COMMIT").await
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), StoreError> {
        execute(&mut self.connection, statement)
            .await
            .map_err(meaning)
    }

    /// Begins as a writer, so that nothing that was read can change before it is written.
    async fn begin(&mut self) -> Result<(), Failure> {
        let begun = execute(&mut self.connection, BEGIN).await;
        let Err(failure) = begun else { return begun };
        if is_elsewhere(&failure) {
            return Err(failure);
        }
        // The connection may be stuck: in a transaction already, without its thread, or read-only since the file
        // was so when it was opened.
        let error = meaning(failure);
        tracing::warn!(%error, "the connection that writes is opened again");
        self.connection = SqliteConnection::connect_with(&self.options).await?;
        execute(&mut self.connection, BEGIN).await
    }

    async fn roll_back(&mut self) {
        // Fails where SQLite has done it by itself. If it fails for another reason, `begin` finds out.
        let _ = execute(&mut self.connection, "ROLLBACK").await;
    }
}

const BEGIN: &str = "BEGIN IMMEDIATE";

/// Makes the first page one to be written, though its content stays as it is.
const WRITE_SOMETHING: &str = "PRAGMA user_version = 0";

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), Failure> {
    sqlx::query(statement.into_sql_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes one change in a transaction of its own, before there is a queue.
pub(super) async fn alone<C: Change>(
    connection: &mut SqliteConnection,
    change: &C,
) -> Result<C::Outcome, StoreError> {
    let made = async {
        execute(connection, BEGIN).await?;
        let made = carry_out(change, &[0; 16], connection).await?;
        execute(connection, "COMMIT").await?;
        Ok(made.outcome)
    };
    made.await.map_err(meaning)
}

#[cfg(test)]
mod tests;
