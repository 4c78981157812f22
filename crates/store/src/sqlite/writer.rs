//! The one writer: a task that owns the one connection that writes. Changes queue for it; those that wait together
//! share a transaction and so one fsync (group commit), each within a savepoint of its own.
//!
//! Whoever asked is answered only after the commit. A caller that goes away cancels nothing: its change is in the
//! queue, and the queue is the task's.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqlSafeStr, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::classification::meaning;
use super::file::DatabaseFile;
use super::statements::{Change, carry_out};
use crate::StoreError;

/// How many changes may wait. Who comes when as many do waits outside, and in the end is refused.
const QUEUE: usize = 1024;

/// How many changes share a commit at most, so that the first is not kept waiting for ever.
const BATCH: usize = 128;

/// The way to the task that writes.
pub(super) struct Writer {
    /// `None` once the store is being closed.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    patience: Duration,
}

impl Writer {
    /// Starts the task. It ends, and lets go of the file, when the queue is closed and empty.
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        file: DatabaseFile,
        patience: Duration,
    ) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let task = Task {
            connection,
            options,
            _file: file,
        };
        (
            Self {
                queue: Mutex::new(Some(queue)),
                patience,
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
            outcome: None,
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

    pub(super) fn is_alive(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| !queue.is_closed())
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

    /// Tells whoever asked, if they are still there. `Ok` only after the commit.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Waiting<C: Change> {
    change: C,
    nonce: [u8; 16],
    outcome: Option<C::Outcome>,
    answer: oneshot::Sender<Result<C::Outcome, StoreError>>,
}

#[async_trait]
impl<C: Change> Job for Waiting<C> {
    async fn make(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let making = AssertUnwindSafe(carry_out(&self.change, &self.nonce, connection));
        match making.catch_unwind().await {
            Ok(made) => self.outcome = Some(made.map_err(meaning)?),
            // What panicked has been told by the panic hook. The savepoint is rolled back, and the task lives on.
            Err(_) => return Err(StoreError::Internal("a change panicked".to_owned())),
        }
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self {
            outcome, answer, ..
        } = *self;
        let made =
            || outcome.ok_or_else(|| StoreError::Internal("a change was not made".to_owned()));
        // Who went away does not want to know.
        let _ = answer.send(result.and_then(|()| made()));
    }
}

struct Task {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    /// Dropped last: the file is let go of when nothing writes to it any more.
    _file: DatabaseFile,
}

impl Task {
    async fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::with_capacity(BATCH);
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            let mut results = Vec::with_capacity(batch.len());
            if let Err(error) = self.commit_together(&mut batch, &mut results).await {
                tracing::error!(changes = batch.len(), %error, "changes could not be committed");
                self.roll_back().await;
                results = vec![Err(error); batch.len()];
            }
            for (job, result) in batch.drain(..).zip(results) {
                job.answer(result);
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::error!(%error, "the database was not closed well");
        }
    }

    /// Makes all changes in one transaction. `results` gets one result for each, good once this is `Ok`; an error
    /// is that of all.
    async fn commit_together(
        &mut self,
        batch: &mut [Box<dyn Job>],
        results: &mut Vec<Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        self.begin().await?;
        for job in batch {
            execute(&mut self.connection, "SAVEPOINT change").await?;
            let result = job.make(&mut self.connection).await;
            if result.is_err() {
                // SQLite itself may have ended the transaction, on a full disk above all. Then there is no such
                // savepoint, this fails, and with it those before, which are gone too.
                if execute(&mut self.connection, "ROLLBACK TO change")
                    .await
                    .is_err()
                {
                    return result;
                }
            }
            execute(&mut self.connection, "RELEASE change").await?;
            results.push(result);
        }
        execute(&mut self.connection, "COMMIT").await
    }

    /// Begins as a writer, so that nothing that was read can change before it is written.
    async fn begin(&mut self) -> Result<(), StoreError> {
        let begun = execute(&mut self.connection, BEGIN).await;
        let Err(error) = begun else { return begun };
        if error_is_elsewhere(&error) {
            return Err(error);
        }
        // The connection may be stuck: in a transaction already, without its thread, or read-only since the file
        // was so when it was opened.
        tracing::warn!(%error, "the connection that writes is opened again");
        let opened = SqliteConnection::connect_with(&self.options).await;
        self.connection = opened.map_err(|error| meaning(error.into()))?;
        execute(&mut self.connection, BEGIN).await
    }

    async fn roll_back(&mut self) {
        // Fails where SQLite has done it by itself. If it fails for another reason, `begin` finds out.
        let _ = execute(&mut self.connection, "ROLLBACK").await;
    }
}

const BEGIN: &str = "BEGIN IMMEDIATE";

/// Whether SQLite answered that it cannot now (another program holds the file's lock): no fault of the connection.
fn error_is_elsewhere(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(text) if text.starts_with("SQLite"))
}

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), StoreError> {
    let done = sqlx::query(statement.into_sql_str())
        .execute(connection)
        .await;
    done.map(drop).map_err(|error| meaning(error.into()))
}

/// Makes one change in a transaction of its own, before there is a queue.
pub(super) async fn alone<C: Change>(
    connection: &mut SqliteConnection,
    change: &C,
) -> Result<C::Outcome, StoreError> {
    execute(connection, BEGIN).await?;
    let outcome = carry_out(change, &[0; 16], connection)
        .await
        .map_err(meaning)?;
    execute(connection, "COMMIT").await?;
    Ok(outcome)
}

#[cfg(test)]
mod tests;
