//! Readings of one thing that wait together are one. Whoever asks shares a reading that begins after they have asked,
//! and never one that is under way: so what they get is as new as if they had read by themselves.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use keywright_store::StoreError;
use tokio::sync::oneshot;

type Answer<V> = Result<V, StoreError>;
type Read<K, V> = Box<dyn Fn(K) -> BoxFuture<'static, Answer<V>> + Send + Sync>;

/// Reads things by their names, each by no more than one reading at a time. Cheap to clone.
pub(crate) struct SharedReads<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    read: Read<K, V>,
    /// Who waits for the next reading of each. What is being read has an entry, also where nobody waits.
    waiting: Mutex<HashMap<K, Vec<oneshot::Sender<Answer<V>>>>>,
}

impl<K, V> Clone for SharedReads<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> SharedReads<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    /// Reads with `read`.
    pub(crate) fn by(
        read: impl Fn(K) -> BoxFuture<'static, Answer<V>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            read: Box::new(read),
            waiting: Mutex::default(),
        }))
    }

    /// What there is of this name now.
    ///
    /// # Errors
    /// Those of the reading.
    pub(crate) async fn read(&self, name: K) -> Answer<V> {
        let (answer, answered) = oneshot::channel();
        let is_being_read = {
            let mut waiting = self.waiting();
            let is_being_read = waiting.contains_key(&name);
            waiting.entry(name.clone()).or_default().push(answer);
            is_being_read
        };
        if !is_being_read {
            // A task of its own: others may come to wait for it, whether this caller goes away or not.
            tokio::spawn(self.clone().read_while_wanted(name));
        }
        answered.await.unwrap_or_else(|_| Err(given_up()))
    }

    async fn read_while_wanted(self, name: K) {
        while let Some(waiting) = self.take_waiting(&name) {
            // What panics has been told by the panic hook, and the next reading may do better.
            let reading = async { (self.0.read)(name.clone()).await };
            let reading = AssertUnwindSafe(reading).catch_unwind();
            let answer = reading.await.unwrap_or_else(|_| Err(given_up()));
            for one in waiting {
                // Who went away does not want to know.
                let _ = one.send(answer.clone());
            }
        }
    }

    /// Those who wait for the next reading; `None`, and no entry any more, where nobody does.
    fn take_waiting(&self, name: &K) -> Option<Vec<oneshot::Sender<Answer<V>>>> {
        let mut waiting = self.waiting();
        let taken = waiting.get_mut(name).map(std::mem::take)?;
        if taken.is_empty() {
            waiting.remove(name);
            return None;
        }
        Some(taken)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<K, Vec<oneshot::Sender<Answer<V>>>>> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn given_up() -> StoreError {
    StoreError::Internal("a reading panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use futures::poll;
    use tokio::sync::Semaphore;

    use super::*;

    /// Readings that answer which of them it was, each when it is let.
    fn numbered() -> (SharedReads<&'static str, usize>, Arc<Semaphore>) {
        let (begun, gate) = (AtomicUsize::new(0), Arc::new(Semaphore::new(0)));
        let of_reads = gate.clone();
        let reads = SharedReads::by(move |name| {
            let number = begun.fetch_add(1, Ordering::Relaxed);
            let gate = of_reads.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                assert_ne!(name, "panics");
                Ok(number)
            }
            .boxed()
        });
        (reads, gate)
    }

    #[tokio::test]
    async fn those_who_wait_together_share_a_reading_that_began_after_they_asked() {
        let (reads, gate) = numbered();
        let mut first = Box::pin(reads.read("a"));
        assert!(poll!(&mut first).is_pending());
        // The task begins to read.
        tokio::task::yield_now().await;
        let mut later = Box::pin(join_all((0..20).map(|_| reads.read("a"))));
        assert!(poll!(&mut later).is_pending());
        gate.add_permits(2);
        assert_eq!(first.await, Ok(0));
        assert_eq!(later.await, vec![Ok(1); 20]);
        assert!(reads.waiting().values().all(Vec::is_empty));
    }

    #[tokio::test]
    async fn what_is_read_of_one_thing_is_nobody_elses_answer() {
        let (reads, gate) = numbered();
        gate.add_permits(2);
        let (a, b) = tokio::join!(reads.read("a"), reads.read("b"));
        assert_eq!((a, b), (Ok(0), Ok(1)));
    }

    #[tokio::test]
    async fn who_goes_away_takes_nobody_along() {
        let (reads, gate) = numbered();
        let mut first = Box::pin(reads.read("a"));
        assert!(poll!(&mut first).is_pending());
        let mut second = Box::pin(reads.read("a"));
        assert!(poll!(&mut second).is_pending());
        drop(first);
        gate.add_permits(1);
        assert_eq!(second.await, Ok(0));
    }

    #[tokio::test]
    async fn a_reading_that_panics_fails_and_the_next_one_is_made() {
        let (reads, gate) = numbered();
        gate.add_permits(2);
        for _ in 0..2 {
            assert_eq!(reads.read("panics").await, Err(given_up()));
        }
        assert!(gate.try_acquire().is_err(), "both were begun");
    }
}
