//! This process as a node: it renews its lease, follows the log, and leaves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_store::cluster::{
    ClusterSession, LeaseTerms, LogMark, LogRow, NodeCard, Standing, Word,
};
use keywright_store::{LoggedChange, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::following::{self, Break};
use super::waiting::Waiting;
use super::{Settled, Shared};
use crate::rules::Rule;
use crate::verifier::Verifier;

/// How a process takes part.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// What it says of itself.
    pub card: NodeCard,
    /// The lease it wants if it is the first.
    pub wanted: Option<LeaseTerms>,
    /// Whether the database tells of changes, or is asked for them at every renewal only.
    pub notices: bool,
}

/// How many times in a lease it is renewed.
pub(super) const RENEWALS: u32 = 3;

/// How long to wait after something failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Before any terms are known, how long one attempt to join may take.
const JOINING: Duration = Duration::from_secs(5);

/// The membership of this process. Dropping it ends the tasks, but does not leave: see [`Membership::leave`].
pub struct Membership {
    pub(super) shared: Arc<Shared>,
    changes: Changes,
    card: NodeCard,
    state: watch::Receiver<NodeState>,
    /// Dropped before `stop`, whose end would have them leave.
    tasks: Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
}

/// Whether the node may decide from memory, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Of the lease; `None` before the node joined first.
    pub terms: Option<LeaseTerms>,
    /// Why the last attempt to renew failed; `None` where it did not.
    pub failure: Option<RenewalFailure>,
}

/// Why an attempt to renew the lease failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalFailure {
    /// What kind of failure it was.
    pub kind: RenewalFailureKind,
    /// What exactly; may hold the database's own words, which no client may see.
    pub text: String,
}

/// What kind of failure kept a node from renewing its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalFailureKind {
    /// The database does not answer, or refuses.
    Database,
    /// The database did not answer within a lease.
    TookTooLong,
    /// Others took the node for gone, or nobody knows whether it renewed its lease last time.
    TakenForGone,
    /// The changes in the database are not those that this node has followed.
    History,
}

impl Membership {
    /// Joins the cluster of `store`, in the background. `None` where the store has one node.
    pub fn begin(
        store: &Arc<dyn Store>,
        verifier: &Verifier,
        clock: Arc<dyn Clock>,
        options: NodeOptions,
    ) -> Option<Self> {
        let cluster = store.clone().cluster()?;
        let shared = Arc::new(Shared::new(clock, options.card.id));
        let waiting = Arc::new(Waiting::new(shared.clone()));
        let (tell, state) = watch::channel(NodeState {
            terms: None,
            failure: None,
        });
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let node = Node {
            session: if options.notices {
                cluster.listening_session()
            } else {
                cluster.session()
            },
            verifier: verifier.clone(),
            shared: shared.clone(),
            wanted: options.wanted,
            card: options.card.clone(),
            renewal: 0,
            terms: None,
            mark: None,
            told: None,
            is_told: options.notices,
            tell,
        };
        tasks.spawn(node.run(stopping));
        let (watching, session) = (waiting.clone(), cluster.session());
        tasks.spawn(async move { watching.watch(session).await });
        Some(Self {
            shared,
            changes: Changes(waiting),
            card: options.card,
            state,
            stop,
            tasks: Mutex::new(tasks),
        })
    }

    /// What has every change of this process wait for the others.
    pub fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// What it says of itself.
    pub fn card(&self) -> &NodeCard {
        &self.card
    }

    /// How it stands.
    pub fn state(&self) -> NodeState {
        self.state.borrow().clone()
    }

    /// Gives the lease back, so that nobody waits for this process any more.
    pub async fn leave(&self) {
        self.stop.send_replace(true);
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        // The one that renews ends; the others never do.
        let _ = tasks.join_next().await;
    }
}

/// The changes of this process, which wait for the other nodes. Cheap to clone.
#[derive(Clone)]
pub struct Changes(Arc<Waiting>);

impl Changes {
    /// Waits until no verification that starts from now on, on any node, is decided by what was before this.
    pub async fn settled(&self, standing: Standing) -> Settled {
        let settled = self.0.settled(standing).await;
        metrics::histogram!("keywright_propagation_seconds").record(settled.took.as_secs_f64());
        let ended = if settled.by_all {
            "told"
        } else {
            "lease_ran_out"
        };
        let reason = if standing.is_own {
            "change"
        } else {
            "nothing_changed"
        };
        metrics::counter!("keywright_propagations_total", "ended" => ended, "reason" => reason)
            .increment(1);
        tracing::debug!(seq = standing.seq, ?settled, "a change is known to all");
        settled
    }
}

/// Why a renewal gave no lease.
enum Failed {
    Store(StoreError),
    TookTooLong,
    /// Its row is gone, or was renewed by an attempt of which nobody learned.
    NotThere,
    /// The lease before it ran out meanwhile.
    RanOut,
    History(Break),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failed {
    fn told(&self) -> RenewalFailure {
        RenewalFailure {
            kind: match self {
                Self::Store(_) => RenewalFailureKind::Database,
                Self::TookTooLong | Self::RanOut => RenewalFailureKind::TookTooLong,
                Self::NotThere => RenewalFailureKind::TakenForGone,
                Self::History(_) => RenewalFailureKind::History,
            },
            text: self.text(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Store(error) => error.to_string(),
            Self::TookTooLong => "the database did not answer within a lease".to_owned(),
            Self::NotThere => "the node was taken for gone".to_owned(),
            Self::RanOut => "the lease ran out before it was renewed".to_owned(),
            Self::History(broken) => broken.as_str().to_owned(),
        }
    }
}

/// Waits until the node is to leave.
async fn told(stopping: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so.
    let _ = stopping.wait_for(|stop| *stop).await;
}

struct Node {
    session: Box<dyn ClusterSession>,
    verifier: Verifier,
    shared: Arc<Shared>,
    card: NodeCard,
    wanted: Option<LeaseTerms>,
    /// The highest count of renewals that was ever asked for. It never goes back: see [`ClusterSession::join`].
    renewal: u64,
    /// Of the lease, while the node is joined as far as this process knows.
    terms: Option<LeaseTerms>,
    /// Up to where the log is applied; `None` where memory must begin anew.
    mark: Option<LogMark>,
    /// What of that stands in its row.
    told: Option<u64>,
    /// Whether word of changes comes.
    is_told: bool,
    tell: watch::Sender<NodeState>,
}

impl Node {
    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut next = Duration::ZERO;
        loop {
            let left = next.saturating_sub(self.shared.clock.uptime());
            tokio::select! {
                biased;
                () = told(&mut stopping) => break,
                () = tokio::time::sleep(left) => next = self.renew_in_time().await,
                word = self.session.word() => self.heed_in_time(word).await,
                () = self.shared.asked.notified(), if !self.is_told => {
                    self.heed_in_time(Ok(Word::OfSome)).await;
                }
            }
        }
        // In this order: nobody may take the node for gone while it decides.
        self.verifier.lease().end();
        let left = tokio::time::timeout(JOINING, self.session.leave(self.card.id)).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::warn!(
                "the node could not take its leave: the next change waits for its lease to run out"
            );
        }
    }

    /// Renews the lease; answers when to do it again.
    async fn renew_in_time(&mut self) -> Duration {
        // t0: before anything is asked.
        let t0 = self.shared.clock.uptime();
        let known = self.tell.borrow().terms;
        let bound = known.map_or(JOINING, |terms| {
            // Under a lease there is time for another attempt, on another connection.
            if self.has_lease() {
                terms.lease / 2
            } else {
                terms.lease
            }
        });
        let renewed = tokio::time::timeout(bound, self.renew(t0)).await;
        match renewed.unwrap_or(Err(Failed::TookTooLong)) {
            Ok(terms) => {
                metrics::counter!("keywright_renewals_total", "outcome" => "renewed").increment(1);
                let now = self.shared.clock.uptime();
                self.shared.fence().renewed(now, t0 + terms.usable());
                self.told_state(Ok(terms));
                t0 + terms.lease / RENEWALS
            }
            Err(failed) => {
                metrics::counter!("keywright_renewals_total", "outcome" => "failed").increment(1);
                // What became of it is unknown: it joins again.
                self.terms = None;
                self.shared.sightings().clear();
                let now = self.shared.clock.uptime();
                if let Failed::History(_) = failed {
                    // Without a lease it begins anew.
                    self.verifier.lease().end();
                    self.shared.fence().ended(now);
                }
                self.shared.fence().failed(now, &failed.text());
                self.told_state(Err(failed.told()));
                now + PAUSE
            }
        }
    }

    fn told_state(&self, renewed: Result<LeaseTerms, RenewalFailure>) {
        let terms = self.tell.borrow().terms;
        self.tell.send_replace(match renewed {
            Ok(terms) => NodeState {
                terms: Some(terms),
                failure: None,
            },
            Err(failure) => NodeState {
                terms,
                failure: Some(failure),
            },
        });
    }

    /// DESIGN §5, in its order: t0, the renewal is visible, *then* the log is read and applied, the deadline is stored,
    /// and only then is told what was applied.
    async fn renew(&mut self, t0: Duration) -> Result<LeaseTerms, Failed> {
        if !self.has_lease() {
            // It begins anew: meanwhile the database may have been set back, and what was read before may be of another
            // history though its place in the log is in both.
            self.terms = None;
            self.mark = None;
        }
        let goes_on = self.mark.is_some();
        let terms = if let Some(terms) = self.terms {
            self.count_up().await?;
            terms
        } else {
            self.join().await?
        };
        if goes_on && !self.has_lease() {
            // As above: the database may have been set back while this waited for its answer.
            return Err(Failed::RanOut);
        }
        self.catch_up().await?;
        self.verifier.lease().extend_to(t0 + terms.usable());
        if let Some(mark) = self.mark
            && !self.tell_applied(mark).await?
        {
            return Err(Failed::NotThere);
        }
        Ok(terms)
    }

    fn has_lease(&self) -> bool {
        let deadline = self.verifier.lease().deadline();
        deadline.is_ahead(&*self.shared.clock)
    }

    async fn count_up(&mut self) -> Result<(), Failed> {
        let figures = self.verifier.node_figures();
        let counted = self.session.renew(self.card.id, self.renewal, figures);
        let nodes = counted.await?.ok_or(Failed::NotThere)?;
        self.renewal += 1;
        // What was told last may have been lost with the machine of the database.
        let own = nodes.iter().find(|node| node.card.id == self.card.id);
        self.told = own.map(|row| row.applied_seq);
        let read_at = self.shared.clock.uptime();
        self.shared.sightings().note(&nodes, read_at);
        Ok(())
    }

    async fn join(&mut self) -> Result<LeaseTerms, Failed> {
        // Beyond what an attempt may have made of it of which nobody learned.
        self.renewal += 2;
        let applied = self.mark.map(|mark| mark.seq);
        let joining = self
            .session
            .join(&self.card, self.renewal, applied, self.wanted);
        let terms = joining.await?.terms;
        self.told = applied;
        self.terms = Some(terms);
        if self.wanted.is_some_and(|wanted| wanted != terms) {
            tracing::info!(lease = ?terms.lease, "the nodes that were here before set the lease");
        }
        Ok(terms)
    }

    /// There is word of changes, which only makes it fast. Where the connection broke on which it comes, some may be lost.
    async fn heed_in_time(&mut self, word: Result<Word, StoreError>) {
        let Some(terms) = self.terms else {
            return;
        };
        let heeded = self.heed(word.unwrap_or(Word::OfSome));
        let outcome = tokio::time::timeout(terms.lease / RENEWALS, heeded).await;
        if let Err(failed) = outcome.unwrap_or(Err(Failed::TookTooLong)) {
            // The next renewal finds it too, and says so.
            tracing::debug!(cause = failed.text(), "changes could not be read");
        }
    }

    /// Applies what there is word of, and tells so; reads the log where that does not go on from the mark, or was never
    /// committed.
    async fn heed(&mut self, word: Word) -> Result<(), Failed> {
        if let (Some(mark), Word::Of(told)) = (self.mark, word)
            && let Some(rows) = following::heed(&mark, told)
        {
            let Some(newest) = rows.last().map(|row| row.mark) else {
                return Ok(());
            };
            self.shared.heard.send_replace(newest.seq);
            self.apply(&rows, newest).await?;
            if self.tell_applied(newest).await? {
                self.applied(newest);
                return Ok(());
            }
        }
        self.catch_up().await?;
        if let Some(mark) = self.mark {
            // Where its row is gone, the next renewal finds that out.
            self.tell_applied(mark).await?;
        }
        Ok(())
    }

    /// Applies what the log has beyond the mark.
    async fn catch_up(&mut self) -> Result<(), Failed> {
        let verifier = self.verifier.clone();
        let memory = verifier.memory();
        let mut from = if let Some(mark) = self.mark {
            mark
        } else {
            let newest = following::newest(&self.session.read_log(None).await?);
            memory.begin_anew(newest.seq);
            self.applied(newest);
            newest
        };
        loop {
            let furthest = memory.furthest();
            let part = self.session.read_log(Some(from.seq)).await?;
            if part.last_seq < furthest {
                // A change of this process, which memory keeps to and which nobody else will ever know of.
                return Err(Failed::History(Break::Older));
            }
            let step = following::follow(&from, &part).map_err(Failed::History)?;
            self.apply(step.changes, step.mark).await?;
            self.applied(step.mark);
            if step.is_all {
                return Ok(());
            }
            from = step.mark;
        }
    }

    /// Drops from memory what these rows are about, which go on from the mark and up to this one.
    async fn apply(&mut self, rows: &[LogRow], mark: LogMark) -> Result<(), Failed> {
        if !Rule::AppliedBeforeTold.is_kept() {
            self.tell_applied(mark).await?;
        }
        let changes: Vec<_> = rows
            .iter()
            .map(|row| LoggedChange {
                seq: row.mark.seq,
                scope: row.scope.clone(),
            })
            .collect();
        self.verifier.memory().follow(&changes);
        Ok(())
    }

    fn applied(&mut self, mark: LogMark) {
        self.mark = Some(mark);
        self.shared.note_applied(mark.seq);
        self.shared.heard.send_replace(mark.seq);
    }

    /// Tells that every change up to this one is applied: never more than memory holds. `false` where it does not stand in
    /// the log, or this node is not there.
    async fn tell_applied(&mut self, mark: LogMark) -> Result<bool, Failed> {
        if self.told == Some(mark.seq) {
            return Ok(true);
        }
        let is_told = self.session.tell_applied(self.card.id, mark).await?;
        if is_told {
            self.told = Some(mark.seq);
        }
        Ok(is_told)
    }
}
