//! The one writer: a task that owns the one connection that writes. Changes queue for it; those that wait together
//! share a transaction and so one fsync (group commit), each within a savepoint of its own and the creations of keys
//! within one.
//!
//! Whoever asked is answered only after the commit. A caller that goes away cancels nothing: its change is in the
//! queue, and the queue is the task's.

mod task;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{SqlSafeStr, SqliteConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::waiting::{Answered, Queued, Waiting};
use super::classification::meaning;
use super::statements::{Change, CreateKey, Made, carry_out};
use crate::failure::Failure;
use crate::{KeyCreated, StoreError};

pub(super) use self::task::Task;

/// How many changes may wait. Who comes when as many do waits outside, and in the end is refused.
const QUEUE: usize = 1024;

/// The way to the task that writes.
pub(super) struct Writer {
    /// `None` once the store is being closed.
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
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
        let (waiting, answered) = Waiting::new(change, nonce);
        self.queue(Queued::Change(Box::new(waiting)), answered)
            .await
    }

    /// Has a key made together with others that wait, and waits until it is committed.
    pub(super) async fn create(&self, creation: CreateKey) -> Result<KeyCreated, StoreError> {
        // It leaves nothing in the change log that would need a nonce.
        let (waiting, answered) = Waiting::new(creation, [0; 16]);
        self.queue(Queued::Creation(Box::new(waiting)), answered)
            .await
    }

    async fn queue<T>(&self, change: Queued, answered: Answered<T>) -> Result<T, StoreError> {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let queue =
            queue.ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))?;
        queue
            .send_timeout(change, self.patience)
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

/// No change: only a reason for the writer to begin and commit.
struct Nothing;

impl Change for Nothing {
    type Outcome = ();

    async fn make(&self, _connection: &mut SqliteConnection) -> Result<Made<()>, Failure> {
        Ok(Made::unrecorded(()))
    }
}

/// What a statement or a savepoint overwrites is kept beside the database until it is sure that it stays, for a change
/// may be as large as all keys of a user.
const BEGIN: &str = "PRAGMA temp_store = FILE; BEGIN IMMEDIATE";

/// It is kept in memory, for what is bounded: a good part of what a key costs was writing it to a file.
const BEGIN_IN_MEMORY: &str = "PRAGMA temp_store = MEMORY; BEGIN IMMEDIATE";

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), Failure> {
    sqlx::query(statement.into_sql_str())
        // SQLite carries out some pragmas when it prepares them, and only then.
        .persistent(false)
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
        let made = carry_out(&[(change, &[0; 16])], connection).await?;
        execute(connection, "COMMIT").await?;
        // infallible: one was asked for
        Ok(made.into_iter().next().expect("one outcome").outcome)
    };
    made.await.map_err(meaning)
}

#[cfg(test)]
mod tests;
