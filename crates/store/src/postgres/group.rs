//! Changes that wait, of which some are made together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::classification::{is_locked, is_refused, meaning};
use super::{Primary, share_of};
use crate::StoreError;
use crate::failure::Failure;

/// How many groups of one kind are made at once: while one waits for the disk, the next is on its way, and those who come
/// meanwhile wait for each other and not for the database.
const GROUPS: usize = 2;

/// What an overload is refused with.
pub(super) const TOO_MANY: &str = "too many changes are waiting";

/// Those that wait, each for an answer `A` to what it `T` asks, and how many groups of them may still begin.
pub(super) struct Queue<T, A> {
    waiting: Mutex<VecDeque<Waiting<T, A>>>,
    next: AtomicU64,
    groups: Semaphore,
}

/// One of them.
pub(super) struct Waiting<T, A> {
    number: u64,
    pub(super) asked: T,
    answer: oneshot::Sender<Result<A, StoreError>>,
}

impl<T, A> Waiting<T, A> {
    pub(super) fn answer(self, result: Result<A, StoreError>) {
        // Who went away does not want to know.
        let _ = self.answer.send(result);
    }
}

/// Where an answer comes.
pub(super) type Answered<A> = oneshot::Receiver<Result<A, StoreError>>;

impl<T, A> Queue<T, A> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(0),
            groups: Semaphore::new(GROUPS),
        }
    }

    /// Waits behind the others, under a number of its own.
    pub(super) fn push(&self, asked: T) -> (u64, Answered<A>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.queue().push_back(Waiting {
            number,
            asked,
            answer,
        });
        (number, answered)
    }

    /// The oldest that wait, at most so many, and the one of this `number` if it waits still: none where others have
    /// taken them all.
    pub(super) fn take_group(&self, number: u64, most: usize) -> Vec<Waiting<T, A>> {
        let mut queue = self.queue();
        let own = take(&mut queue, number);
        let others = queue.len().min(most - own.iter().len());
        queue.drain(..others).chain(own).collect()
    }

    /// What a group needs to begin, for as long as it is held: that not too many are on their way, and a connection for
    /// changes.
    pub(super) async fn shares<'a>(
        &'a self,
        primary: &'a Primary,
    ) -> Result<(SemaphorePermit<'a>, SemaphorePermit<'a>), StoreError> {
        let group = share_of(&self.groups, primary.wait, TOO_MANY).await?;
        let change = share_of(&primary.changes, primary.wait, TOO_MANY).await?;
        Ok((group, change))
    }

    /// The one of this `number`, if it waits still.
    pub(super) fn take(&self, number: u64) -> Option<Waiting<T, A>> {
        take(&mut self.queue(), number)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting<T, A>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take<T, A>(queue: &mut VecDeque<Waiting<T, A>>, number: u64) -> Option<Waiting<T, A>> {
    let place = queue.iter().position(|waiting| waiting.number == number)?;
    queue.remove(place)
}

pub(super) fn answer_all<T, A>(group: Vec<Waiting<T, A>>, error: &StoreError) {
    for waiting in group {
        waiting.answer(Err(error.clone()));
    }
}

/// What comes to one whose task went.
pub(super) async fn answer_of<A>(answered: Answered<A>) -> Result<A, StoreError> {
    answered
        .await
        .unwrap_or_else(|_| Err(StoreError::Internal("a change panicked".to_owned())))
}

/// Why a group was not made.
pub(super) enum NotMade {
    /// The database refused all of it for something in it, and nothing is written.
    Together,
    /// None of it can be made now, or nobody knows whether it was.
    Any(StoreError),
}

impl NotMade {
    /// For what went wrong.
    pub(super) fn of(failure: Failure) -> Self {
        if is_refused(&failure) {
            Self::Together
        } else {
            Self::Any(meaning(failure))
        }
    }

    /// For what went wrong with the log, whose lock is the same for each of them.
    pub(super) fn of_the_log(failure: Failure) -> Self {
        if is_locked(&failure) {
            Self::Any(meaning(failure))
        } else {
            Self::of(failure)
        }
    }
}
