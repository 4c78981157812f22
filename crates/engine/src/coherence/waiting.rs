//! Changes that wait until every node knows of them. One task reads for all of them, however many wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keywright_store::StoreError;
use keywright_store::cluster::{ClusterSession, NodeRow, Standing};
use tokio::sync::{Notify, oneshot};

use super::Shared;
use super::node::RENEWALS;
use crate::rules::Rule;

/// How a change came to be known to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// How many other nodes told that they know, or had none to tell it.
    pub others: usize,
    /// How long it was waited for.
    pub took: Duration,
    /// Whether all have told that they know; if not, the leases of those that have not have run out.
    pub by_all: bool,
}

impl Settled {
    /// Nobody was waited for.
    fn at_once() -> Self {
        Self {
            others: 0,
            took: Duration::ZERO,
            by_all: false,
        }
    }
}

/// Nodes are asked again at once so many times after something new waits, which is about as long as healthy nodes take.
const AT_ONCE: u32 = 12;
/// Then after pauses, from the first to the last, each twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));
/// With so many that wait, one pause more costs each of them little, and spares the database many questions.
const CROWD: usize = 4;

/// How long to wait before nodes are asked again, having asked so many times while so many wait.
fn pause(asked: u32, waiting: usize) -> Duration {
    if waiting < CROWD && asked <= AT_ONCE {
        return Duration::ZERO;
    }
    let doublings = asked.saturating_sub(AT_ONCE).min(u32::BITS - 1);
    PAUSES.0.saturating_mul(1 << doublings).min(PAUSES.1)
}

/// The changes of this process that wait.
pub(super) struct Waiting {
    shared: Arc<Shared>,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    waiters: Vec<Waiter>,
    next: u64,
}

struct Waiter {
    number: u64,
    standing: Standing,
    answer: oneshot::Sender<usize>,
}

impl Waiting {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            queue: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no verification that starts from now on, on any node, is decided by what was before.
    pub(super) async fn settled(&self, standing: Standing) -> Settled {
        // t1: after the commit. Every node that the reading below does not see joins later than it, and reads the log
        // later still.
        let t1 = self.shared.clock.uptime();
        let rule = if standing.is_own {
            Rule::ChangesWait
        } else {
            Rule::RepeatsWait
        };
        if !rule.is_kept() {
            return Settled::at_once();
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.queue();
            let number = queue.next;
            queue.next += 1;
            queue.waiters.push(Waiter {
                number,
                standing,
                answer,
            });
        }
        self.wake.notify_one();
        if !standing.is_own {
            self.shared.asked.notify_one();
        }
        let until = t1 + standing.terms.outwaited();
        let nodes = tokio::select! {
            nodes = answered => nodes.ok(),
            // I4. Leases run by the clock, whatever the database says or does not say.
            () = self.outwait(until) => None,
        };
        Settled {
            others: nodes.unwrap_or(0),
            took: self.shared.clock.uptime().saturating_sub(t1),
            by_all: nodes.is_some(),
        }
    }

    async fn outwait(&self, until: Duration) {
        loop {
            let left = until.saturating_sub(self.shared.clock.uptime());
            if left.is_zero() {
                return;
            }
            // By a clock that may be another; the one that counts is asked again.
            tokio::time::sleep(left).await;
        }
    }

    /// Reads the nodes as long as somebody waits for them. Never ends.
    pub(super) async fn watch(&self, mut session: Box<dyn ClusterSession>) {
        let mut asked = 0;
        let mut heard = self.shared.heard.subscribe();
        loop {
            let Some(first) = self.first_waited_for() else {
                asked = 0;
                self.wake.notified().await;
                continue;
            };
            // The other nodes hear of a change when this one does: to ask before would be in vain.
            let is_heard_of = heard.wait_for(|heard| *heard >= first.seq);
            let _ = tokio::time::timeout(PAUSES.0, is_heard_of).await;
            let begun = self.queue().next;
            // A connection on which nothing comes must not keep others from being known.
            let bound = first.terms.lease / RENEWALS;
            let nodes = tokio::time::timeout(bound, session.nodes()).await;
            match nodes.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned()))) {
                Ok(nodes) => {
                    self.shared
                        .sightings()
                        .note(&nodes, self.shared.clock.uptime());
                    self.answer_known(&nodes, begun);
                    self.remove_gone(&mut *session).await;
                }
                Err(error) => {
                    self.shared.sightings().clear();
                    tracing::debug!(%error, "the nodes could not be read");
                }
            }
            let (waiting, is_somebody_new) = {
                let queue = self.queue();
                (queue.waiters.len(), queue.next > begun)
            };
            asked = if is_somebody_new { 0 } else { asked + 1 };
            let pause = pause(asked, waiting);
            if pause.is_zero() {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Somebody new, for whom it may be known at once.
                () = self.wake.notified(), if waiting < CROWD => asked = 0,
            }
        }
    }

    /// The oldest change that somebody waits for.
    fn first_waited_for(&self) -> Option<Standing> {
        let mut queue = self.queue();
        queue.waiters.retain(|waiter| !waiter.answer.is_closed());
        let waited_for = queue.waiters.iter().map(|waiter| waiter.standing);
        waited_for.min_by_key(|standing| standing.seq)
    }

    /// Answers those who waited before `begun` and whose change every one of these nodes knows.
    fn answer_known(&self, nodes: &[NodeRow], begun: u64) {
        let others = || nodes.iter().filter(|node| node.card.id != self.shared.id);
        let by_others = others()
            .map(|node| node.applied_seq)
            .min()
            .unwrap_or(u64::MAX);
        let here = self.shared.applied();
        let is_known = |waiter: &Waiter| {
            let Standing { seq, is_own, .. } = waiter.standing;
            waiter.number < begun && by_others >= seq && (is_own || here >= seq)
        };
        let known = {
            let mut queue = self.queue();
            queue
                .waiters
                .extract_if(.., |waiter| is_known(waiter))
                .collect::<Vec<_>>()
        };
        for waiter in known {
            // Who went away does not want to know.
            let _ = waiter.answer.send(others().count());
        }
    }

    /// A node that has gone delays one change and no more.
    async fn remove_gone(&self, session: &mut dyn ClusterSession) {
        let Some(terms) = self
            .queue()
            .waiters
            .first()
            .map(|waiter| waiter.standing.terms)
        else {
            return;
        };
        let gone = self
            .shared
            .sightings()
            .gone(self.shared.clock.uptime(), terms);
        for (id, renewal) in gone {
            match session.remove(id, renewal).await {
                Ok(true) => {
                    tracing::warn!(node = %id.0, "a node has gone: it renewed its lease no more");
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "a node that has gone could not be removed"),
            }
        }
    }
}
