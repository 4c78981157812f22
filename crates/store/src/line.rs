//! Who waits to have a key read for a cache: those who come while others are being read are read together, by one
//! statement.
//!
//! What somebody gets was read after they had asked, as if they had asked alone; the statement is shared, and with it
//! what most of its cost is, the way to the database and back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_core::digest::Digest;
use tokio::sync::oneshot;

use crate::{KeyFacts, Loaded, StoreError};

/// How many statements are on their way at once: while one is answered, the next are asked.
const AT_ONCE: usize = 4;

/// How many keys are read by one statement at most.
pub(crate) const GROUP: usize = 64;

type Answer = Result<Loaded<Option<KeyFacts>>, StoreError>;

/// One who waits.
pub(crate) struct Waiting {
    pub(crate) digest: Digest,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    pub(crate) fn answer(self, answer: Answer) {
        // Who went away does not want to know.
        let _ = self.answer.send(answer);
    }
}

/// All who wait, and how many turns there are. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    turns: usize,
}

impl Line {
    /// Waits for the key of this digest. With a turn, it is to be seen to that whoever waits is read.
    pub(crate) fn join(&self, digest: &Digest) -> (oneshot::Receiver<Answer>, Option<Turn>) {
        let (answer, answered) = oneshot::channel();
        let digest = *digest;
        let mut queue = self.queue();
        queue.waiting.push_back(Waiting { digest, answer });
        let begins = queue.turns < AT_ONCE;
        queue.turns += usize::from(begins);
        (
            answered,
            begins.then(|| Turn {
                line: self.clone(),
                ended: false,
            }),
        )
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right, and the duty, to read for those who wait until nobody does.
pub(crate) struct Turn {
    line: Line,
    ended: bool,
}

impl Turn {
    /// Who is next, at most [`GROUP`] of them. With none the turn has ended.
    pub(crate) fn next(&mut self) -> Vec<Waiting> {
        let mut queue = self.line.queue();
        let some = queue.waiting.len().min(GROUP);
        if some == 0 && !self.ended {
            self.ended = true;
            queue.turns -= 1;
        }
        queue.waiting.drain(..some).collect()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // It panicked, or its runtime ends.
        let mut queue = self.line.queue();
        queue.turns -= 1;
        if queue.turns == 0 {
            // Nobody would read for them; they find out by the answer that does not come.
            queue.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_string())
    }

    const NONE: Loaded<Option<KeyFacts>> = Loaded {
        seq: 7,
        found: None,
    };

    #[test]
    fn who_comes_while_all_turns_are_taken_is_in_the_next_group() {
        let line = Line::default();
        let mut turns: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let (_, turn) = line.join(&digest(number));
                let mut turn = turn.expect("a turn");
                assert_eq!(turn.next().len(), 1);
                turn
            })
            .collect();
        for number in 0..=GROUP {
            assert!(line.join(&digest(number)).1.is_none());
        }
        let sizes: Vec<_> = turns.iter_mut().map(|turn| turn.next().len()).collect();
        assert_eq!(sizes, [GROUP, 1, 0, 0]);
        drop(turns);
        assert!(line.join(&digest(0)).1.is_some(), "all turns have ended");
        assert_eq!(line.queue().turns, 0);
    }

    #[test]
    fn a_turn_that_breaks_off_leaves_those_who_wait_to_the_others() {
        let line = Line::default();
        let (_, one) = line.join(&digest(0));
        let (mut answered, other) = line.join(&digest(1));
        drop(one);
        let mut other = other.expect("a turn");
        for waiting in other.next() {
            waiting.answer(Ok(NONE));
        }
        assert_eq!(answered.try_recv(), Ok(Ok(NONE)));
    }

    #[test]
    fn where_every_turn_breaks_off_nobody_waits_for_ever() {
        let line = Line::default();
        let (mut answered, turn) = line.join(&digest(0));
        drop(turn);
        assert_eq!(
            answered.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        assert!(line.join(&digest(1)).1.is_some());
    }
}
