//! What is being read from the store: each key once, however many wait for it, and no more than a bound at once.

use std::collections::HashMap;
use std::time::Duration;

use keywright_core::digest::Digest;
use tokio::sync::watch;

use crate::lane::{EachLane, Lane};
use crate::record::CachedKey;
use crate::verifier::VerifyError;

/// What became of a load; `None` while it goes on.
pub(crate) type Outcome<T> = Option<Result<T, VerifyError>>;

/// What became of the load of a key: `None` inside where there is no such key.
pub(crate) type KeyOutcome = Outcome<Option<CachedKey>>;

/// How many loads may go on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadBounds {
    /// Of service keys.
    pub service: usize,
    /// Of other keys that this server made.
    pub tagged: usize,
    /// Of texts that may be keys made elsewhere: a lane of their own, so that made-up ones cannot take the other's
    /// places.
    pub untagged: usize,
    /// Once as many in a row as may go on at once have found nothing, how long after each other the places of such
    /// loads come back. Those that follow wait in line for them.
    pub absent_interval: Duration,
}

impl Default for LoadBounds {
    fn default() -> Self {
        Self {
            service: 64,
            tagged: 256,
            untagged: 16,
            absent_interval: Duration::from_millis(1),
        }
    }
}

impl LoadBounds {
    pub(crate) fn of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Service => self.service,
            Lane::Tagged => self.tagged,
            Lane::Untagged => self.untagged,
        }
    }
}

/// The loads that are going on.
#[derive(Default)]
pub(crate) struct Loads {
    waiting: HashMap<Digest, (Lane, watch::Receiver<KeyOutcome>)>,
    count: EachLane<usize>,
    /// The one of all keyspaces.
    keyspaces: Option<watch::Receiver<Outcome<()>>>,
}

/// How to come by what a load will find.
pub(crate) enum Joined<T> {
    /// It is going on already.
    Waiting(watch::Receiver<Outcome<T>>),
    /// It is to be begun, and its outcome sent.
    Begun(watch::Sender<Outcome<T>>, watch::Receiver<Outcome<T>>),
    /// There are as many as there may be.
    Full,
}

impl Loads {
    /// Joins the load of this key, or begins one.
    pub(crate) fn join(
        &mut self,
        digest: &Digest,
        lane: Lane,
        bounds: LoadBounds,
    ) -> Joined<Option<CachedKey>> {
        if let Some((_, outcome)) = self.waiting.get(digest) {
            return Joined::Waiting(outcome.clone());
        }
        if self.count[lane] >= bounds.of(lane) {
            return Joined::Full;
        }
        let (sender, receiver) = watch::channel(None);
        self.count[lane] += 1;
        self.waiting.insert(*digest, (lane, receiver.clone()));
        Joined::Begun(sender, receiver)
    }

    /// Whoever comes from now on does not find this load any more.
    pub(crate) fn end(&mut self, digest: &Digest) {
        if let Some((lane, _)) = self.waiting.remove(digest) {
            self.count[lane] -= 1;
        }
    }

    /// Joins the load of all keyspaces, or begins one.
    pub(crate) fn join_keyspaces(&mut self) -> Joined<()> {
        if let Some(outcome) = &self.keyspaces {
            return Joined::Waiting(outcome.clone());
        }
        let (sender, receiver) = watch::channel(None);
        self.keyspaces = Some(receiver.clone());
        Joined::Begun(sender, receiver)
    }

    /// Whoever comes from now on does not find the load of all keyspaces any more.
    pub(crate) fn end_keyspaces(&mut self) {
        self.keyspaces = None;
    }

    /// Whether that load goes on.
    #[cfg(test)]
    pub(crate) fn are_keyspaces_read(&self) -> bool {
        self.keyspaces.is_some()
    }

    /// How many keys' go on.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
