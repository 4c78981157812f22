//! Edits of keys that wait together are one transaction: the row of `cluster`, which every change holds until the disk
//! has it, is held once for all of them.
//!
//! An edit that comes alone waits for nobody. They share no fate beyond the commit: where the database refuses
//! them together, nothing is written, and each is made alone.

use std::sync::Arc;

use super::group::{NotMade, Queue, Waiting, answer_all, answer_of};
use super::statements::{Carried, EditKey};
use super::{Primary, meaning, transaction};
use crate::cluster::Standing;
use crate::failure::timed_out;
use crate::{KeyEdited, KeySelector, StoreError};

/// How many edits are one transaction at most: the locks of all their keys are held until its end.
const GROUP: usize = 32;

/// As for any other change, but a lock that somebody else holds keeps the whole group waiting for a moment only.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
     SET LOCAL idle_in_transaction_session_timeout = '3s'; SET LOCAL lock_timeout = '100ms'";

/// An edit, and what is to tell its row in the log from another of its number.
pub(super) struct Edit {
    pub(super) edit: EditKey,
    pub(super) nonce: [u8; 16],
}

/// What became of one, and what nobody is told of it before.
pub(super) type Edited = (KeyEdited, Option<Standing>);

/// The edits that wait.
pub(super) type Edits = Queue<Edit, Edited>;

impl Primary {
    /// Edits a key, together with others that wait.
    pub(super) async fn edit(self: Arc<Self>, edit: Edit) -> Result<Edited, StoreError> {
        let (number, answered) = self.edits.push(edit);
        // A task of its own: a caller that goes away cancels nothing.
        tokio::spawn(self.edit_those_that_wait(number));
        answer_of(answered).await
    }

    /// Each edit brings such a task, after which the one of its `number` does not wait any more: so none is left that
    /// no task would come back for.
    async fn edit_those_that_wait(self: Arc<Self>, number: u64) {
        match self.edits.shares(&self).await {
            Ok(_shares) => {
                let group = self.edits.take_group(number, GROUP);
                for alone in self.edit_together(group).await {
                    tokio::spawn(self.clone().edit_alone(alone));
                }
            }
            Err(refused) => {
                if let Some(waiting) = self.edits.take(number) {
                    waiting.answer(Err(refused));
                }
            }
        }
    }

    async fn edit_alone(self: Arc<Self>, alone: Waiting<Edit, Edited>) {
        let Edit { edit, nonce } = &alone.asked;
        let made = self.write(edit, nonce).await;
        alone.answer(made.map(|made| self.tell(made)));
    }

    /// Makes a group as one transaction and answers it; gives it back where it cannot be made together.
    async fn edit_together(
        &self,
        mut group: Vec<Waiting<Edit, Edited>>,
    ) -> Vec<Waiting<Edit, Edited>> {
        if group.is_empty() {
            return group;
        }
        // Two groups that hold the same keys must not wait for each other.
        group.sort_by_key(|waiting| match waiting.asked.edit.which {
            KeySelector::Id(id) => (0, id.0.as_bytes().to_vec()),
            KeySelector::Digest(digest) => (1, digest.as_bytes().to_vec()),
        });
        match self.try_editing(&group).await {
            Ok(made) => {
                // Memory is told of all of them before anybody is answered.
                let told: Vec<_> = made.into_iter().map(|made| self.tell(made)).collect();
                for (waiting, edited) in group.into_iter().zip(told) {
                    waiting.answer(Ok(edited));
                }
                Vec::new()
            }
            Err(NotMade::Together) => group,
            Err(NotMade::Any(error)) => {
                answer_all(group, &error);
                Vec::new()
            }
        }
    }

    async fn try_editing(
        &self,
        group: &[Waiting<Edit, Edited>],
    ) -> Result<Vec<(Carried<KeyEdited>, Option<Standing>)>, NotMade> {
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(|error| NotMade::Any(meaning(error.into())))?;
        let edits: Vec<_> = group
            .iter()
            .map(|waiting| (&waiting.asked.edit, &waiting.asked.nonce))
            .collect();
        let making = transaction(&mut connection, BEGIN, &edits);
        let made = tokio::time::timeout(self.patience, making)
            .await
            .map_err(|_| NotMade::Any(timed_out()))
            .and_then(|made| made.map_err(NotMade::of));
        if let Err(NotMade::Any(_)) = made {
            // It may be in the middle of something; unless its commit was sent already, the server rolls back.
            connection.close_on_drop();
        }
        made
    }
}
