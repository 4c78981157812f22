//! Creations of keys that wait together are one transaction (group commit): four round trips and one flush of the
//! server's log for all of them.
//!
//! They share no fate beyond the commit. Where the database refuses them together, because one of them is impossible
//! or waits for a lock, nothing is written; then those of each owner are made together, and where that is refused as
//! well, each is made alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use keywright_core::identifier::UserId;
use sqlx::Connection as _;

use super::classification::meaning;
use super::group::{self, NotMade, Queue, TOO_MANY, answer_all, answer_of};
use super::statements::{CreateKey, create_together};
use super::{Connection, Primary, share_of};
use crate::failure::timed_out;
use crate::{KeyCreated, StoreError};

/// How many creations are one transaction at most, so that the first is not kept waiting for ever.
const GROUP: usize = 128;

/// As for any other change, but a lock that somebody else holds keeps the whole group waiting for a moment only.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '100ms'";

/// A creation leaves nothing in the change log that would need one.
const NO_NONCE: [u8; 16] = [0; 16];

/// The creations that wait.
pub(super) type Creations = Queue<CreateKey, KeyCreated>;

type Waiting = group::Waiting<CreateKey, KeyCreated>;

impl Primary {
    /// Makes a key together with others that wait.
    pub(super) async fn create(
        self: Arc<Self>,
        creation: CreateKey,
    ) -> Result<KeyCreated, StoreError> {
        let (number, answered) = self.creations.push(creation);
        // A task of its own: a caller that goes away cancels nothing.
        tokio::spawn(self.create_those_that_wait(number));
        answer_of(answered).await
    }

    /// Makes a group of those that wait. Each creation brings such a task, after which the one of its `number` does not
    /// wait any more: so none is left that no task would come back for.
    async fn create_those_that_wait(self: Arc<Self>, number: u64) {
        let refused = match self.creations.shares(&self).await {
            Ok(_shares) => {
                let group = self.creations.take_group(number, GROUP);
                if !group.is_empty() {
                    self.clone().create_together(group).await;
                }
                return;
            }
            Err(error) => error,
        };
        if let Some(waiting) = self.creations.take(number) {
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
                let made = primary.write(&waiting.asked, &NO_NONCE).await;
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

/// Those of each owner.
fn by_owner(group: Vec<Waiting>) -> impl Iterator<Item = Vec<Waiting>> {
    let mut groups: BTreeMap<UserId, Vec<Waiting>> = BTreeMap::new();
    for waiting in group {
        let owner = waiting.asked.record.key.user_id.clone();
        groups.entry(owner).or_default().push(waiting);
    }
    groups.into_values()
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
        .map_err(|error| NotMade::of(error.into()))?;
    let creations: Vec<_> = group.iter().map(|waiting| &waiting.asked).collect();
    let outcomes = create_together(&mut transaction, &creations)
        .await
        .map_err(NotMade::of)?;
    let committed = transaction.commit().await;
    committed.map_err(|error| NotMade::Any(meaning(error.into())))?;
    Ok(outcomes)
}
