//! Creations of keys that wait together are one transaction (group commit): four round trips and one flush of the
//! server's log for all of them.
//!
//! They share no fate beyond the commit. Where the database refuses them together, because one of them is impossible
//! or waits for a lock, nothing is written; then those of each owner are made together, and where that is refused as
//! well, each is made alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_core::identifier::UserId;
use sqlx::Connection as _;
use tokio::sync::{Semaphore, oneshot};

use super::classification::meaning;
use super::statements::{CreateKey, create_together};
use super::{Connection, Primary, share_of};
use crate::failure::{Failure, timed_out};
use crate::{KeyCreated, StoreError};

/// How many groups are made at once: while one waits for the disk, the next is on its way.
const GROUPS: usize = 2;

/// How many creations are one transaction at most, so that the first is not kept waiting for ever.
const GROUP: usize = 128;

/// As for any other change, but a lock that somebody else holds keeps the whole group waiting for a moment only.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '100ms'";

const TOO_MANY: &str = "too many changes are waiting";

/// A creation leaves nothing in the change log that would need one.
const NO_NONCE: [u8; 16] = [0; 16];

/// The creations that wait, and how many groups of them may still begin.
pub(super) struct Creations {
    queue: Mutex<VecDeque<Waiting>>,
    groups: Semaphore,
    number: AtomicU64,
}

struct Waiting {
    number: u64,
    creation: CreateKey,
    answer: oneshot::Sender<Result<KeyCreated, StoreError>>,
}

impl Waiting {
    fn answer(self, result: Result<KeyCreated, StoreError>) {
        // Who went away does not want to know.
        let _ = self.answer.send(result);
    }
}

impl Creations {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            groups: Semaphore::new(GROUPS),
            number: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest that wait, and the one of this `number` if it waits still: none where others have taken them all.
    fn take_group(&self, number: u64) -> Vec<Waiting> {
        let mut queue = self.queue();
        let own = take(&mut queue, number);
        let others = queue.len().min(GROUP - own.iter().len());
        queue.drain(..others).chain(own).collect()
    }
}

/// The one of this `number`, if it waits still.
fn take(queue: &mut VecDeque<Waiting>, number: u64) -> Option<Waiting> {
    let place = queue.iter().position(|waiting| waiting.number == number)?;
    queue.remove(place)
}

impl Primary {
    /// Makes a key together with others that wait.
    pub(super) async fn create(
        self: Arc<Self>,
        creation: CreateKey,
    ) -> Result<KeyCreated, StoreError> {
        let number = self.creations.number.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.creations.queue().push_back(Waiting {
            number,
            creation,
            answer,
        });
        // A task of its own: a caller that goes away cancels nothing.
        tokio::spawn(self.create_those_that_wait(number));
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Internal("a change panicked".to_owned())))
    }

    /// Makes a group of those that wait. Each creation brings such a task, after which the one of its `number` does not
    /// wait any more: so none is left that no task would come back for.
    async fn create_those_that_wait(self: Arc<Self>, number: u64) {
        let shares = async {
            let group = share_of(&self.creations.groups, self.wait, TOO_MANY).await?;
            let change = share_of(&self.changes, self.wait, TOO_MANY).await?;
            Ok((group, change))
        };
        let refused = match shares.await {
            Ok(_shares) => {
                let group = self.creations.take_group(number);
                if !group.is_empty() {
                    self.clone().create_together(group).await;
                }
                return;
            }
            Err(error) => error,
        };
        let waiting = take(&mut self.creations.queue(), number);
        if let Some(waiting) = waiting {
            waiting.answer(Err(refused));
        }
    }

    async fn create_together(self: Arc<Self>, group: Vec<Waiting>) {
        for group in by_owner(self.try_together(BEGIN, group).await) {
            tokio::spawn(self.clone().create_for_one_owner(group));
        }
    }

    /// Makes keys that have one owner, for which their lock is worth waiting for as long as for any other change.
    async fn create_for_one_owner(self: Arc<Self>, mut group: Vec<Waiting>) {
        if group.len() > 1 {
            let _share = match share_of(&self.changes, self.wait, TOO_MANY).await {
                Ok(share) => share,
                Err(error) => return answer_all(group, &error),
            };
            group = self.try_together(super::BEGIN, group).await;
        }
        for waiting in group {
            let primary = self.clone();
            tokio::spawn(async move {
                let made = primary.write(&waiting.creation, &NO_NONCE).await;
                waiting.answer(made.map(|(made, _)| made.outcome));
            });
        }
    }

    /// Makes a group as one transaction and answers it; gives it back where it cannot be made together.
    async fn try_together(&self, begin: &'static str, group: Vec<Waiting>) -> Vec<Waiting> {
        let made = match self.pool.acquire().await {
            Ok(mut connection) => {
                let making = transaction(&mut connection, begin, &group);
                if let Ok(made) = tokio::time::timeout(self.patience, making).await {
                    made
                } else {
                    // Unless its commit was sent already, the server rolls back when the connection goes.
                    connection.close_on_drop();
                    Err(NotMade::Any(timed_out()))
                }
            }
            Err(error) => Err(NotMade::Any(meaning(error.into()))),
        };
        match made {
            Ok(outcomes) => {
                for (waiting, outcome) in group.into_iter().zip(outcomes) {
                    waiting.answer(Ok(outcome));
                }
            }
            Err(NotMade::Any(error)) => answer_all(group, &error),
            Err(NotMade::Together) => return group,
        }
        Vec::new()
    }
}

fn answer_all(group: Vec<Waiting>, error: &StoreError) {
    for waiting in group {
        waiting.answer(Err(error.clone()));
    }
}

/// Those of each owner.
fn by_owner(group: Vec<Waiting>) -> impl Iterator<Item = Vec<Waiting>> {
    let mut groups: BTreeMap<UserId, Vec<Waiting>> = BTreeMap::new();
    for waiting in group {
        let owner = waiting.creation.record.key.user_id.clone();
        groups.entry(owner).or_default().push(waiting);
    }
    groups.into_values()
}

/// Why a group was not made.
enum NotMade {
    /// The database refused all of it for something in it, and nothing is written.
    Together,
    /// None of it can be made now, or nobody knows whether it was.
    Any(StoreError),
}

impl NotMade {
    /// For what went wrong before the commit was sent.
    fn before_commit(failure: Failure) -> Self {
        match failure {
            Failure::Database(sqlx::Error::Database(_)) | Failure::Damaged(_) => Self::Together,
            failure => Self::Any(meaning(failure)),
        }
    }
}

/// Makes all of a group as one transaction.
async fn transaction(
    connection: &mut Connection,
    begin: &'static str,
    group: &[Waiting],
) -> Result<Vec<KeyCreated>, NotMade> {
    let mut transaction = connection
        .begin_with(begin)
        .await
        .map_err(|error| NotMade::before_commit(error.into()))?;
    let creations: Vec<_> = group.iter().map(|waiting| &waiting.creation).collect();
    let outcomes = create_together(&mut transaction, &creations)
        .await
        .map_err(NotMade::before_commit)?;
    let committed = transaction.commit().await;
    committed.map_err(|error| NotMade::Any(meaning(error.into())))?;
    Ok(outcomes)
}
