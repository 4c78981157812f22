//! What waits in the queue for the one writer.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::super::classification::meaning;
use super::super::statements::{Carried, Change, CreateKey, carry_out, create_together};
use crate::failure::Failure;
use crate::{LoggedChange, StoreError};

/// The answer to whoever asked, when it comes.
pub(super) type Answered<T> = oneshot::Receiver<Result<T, StoreError>>;

/// What waits: creations by themselves, for they are made together.
pub(super) enum Queued {
    Creation(Box<Waiting<CreateKey>>),
    Change(Box<dyn Job>),
}

/// A change, whatever its kind.
#[async_trait]
pub(super) trait Job: Send {
    /// Makes the change, within the transaction there is.
    async fn make(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError>;

    /// The row that the change has in the log, once it was made.
    fn logged(&self) -> Option<&LoggedChange>;

    /// Tells whoever asked, if they are still there. `Ok` only after the commit.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

/// A change that somebody waits for.
pub(super) struct Waiting<C: Change> {
    change: C,
    nonce: [u8; 16],
    made: Option<Carried<C::Outcome>>,
    answer: oneshot::Sender<Result<C::Outcome, StoreError>>,
}

impl<C: Change> Waiting<C> {
    pub(super) fn new(change: C, nonce: [u8; 16]) -> (Self, Answered<C::Outcome>) {
        let (answer, answered) = oneshot::channel();
        let waiting = Self {
            change,
            nonce,
            made: None,
            answer,
        };
        (waiting, answered)
    }
}

#[async_trait]
impl<C: Change> Job for Waiting<C> {
    async fn make(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let one = [(&self.change, &self.nonce)];
        self.made = unless_it_panics(carry_out(&one, connection)).await?.pop();
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

/// What is taken out of the queue at once and shares a commit, in no particular order.
#[derive(Default)]
pub(super) struct Batch {
    creations: Vec<Waiting<CreateKey>>,
    changes: Vec<Box<dyn Job>>,
}

impl Batch {
    pub(super) fn of(queued: impl Iterator<Item = Queued>) -> Self {
        let mut batch = Self::default();
        for one in queued {
            match one {
                Queued::Creation(creation) => batch.creations.push(*creation),
                Queued::Change(change) => batch.changes.push(change),
            }
        }
        batch
    }

    /// How many creations it holds. They are the first of [`Self::jobs`].
    pub(super) fn creations(&self) -> usize {
        self.creations.len()
    }

    /// Whether it holds nothing else than creations, which write little.
    pub(super) fn is_creations_only(&self) -> bool {
        self.changes.is_empty()
    }

    /// All that it holds, one by one.
    pub(super) fn jobs(&mut self) -> impl Iterator<Item = &mut dyn Job> {
        let creations = self.creations.iter_mut();
        let creations = creations.map(|one| -> &mut dyn Job { one });
        let changes = self.changes.iter_mut();
        creations.chain(changes.map(|one| -> &mut dyn Job { &mut **one }))
    }

    /// Makes the creations by statements for all of them.
    pub(super) async fn create_together(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let group: Vec<_> = self.creations.iter().map(|one| &one.change).collect();
        let outcomes = unless_it_panics(create_together(connection, &group)).await?;
        for (waiting, outcome) in self.creations.iter_mut().zip(outcomes) {
            waiting.made = Some(Carried {
                outcome,
                logged: None,
                terms: None,
            });
        }
        Ok(())
    }

    /// Answers everybody, in the order of [`Self::jobs`].
    pub(super) fn answer(self, results: Vec<Result<(), StoreError>>) {
        let creations = self.creations.into_iter();
        let creations = creations.map(|one| -> Box<dyn Job> { Box::new(one) });
        for (job, result) in creations.chain(self.changes).zip(results) {
            job.answer(result);
        }
    }
}

/// What panics has been told by the panic hook. Its savepoint is to be rolled back, and the task lives on.
async fn unless_it_panics<T>(
    making: impl Future<Output = Result<T, Failure>>,
) -> Result<T, StoreError> {
    let made = AssertUnwindSafe(making).catch_unwind().await;
    made.map_err(|_| StoreError::Internal("a change panicked".to_owned()))?
        .map_err(meaning)
}
