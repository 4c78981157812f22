//! Rules of coherence that can be turned off, one at a time, so that the trial of a cluster can show that it notices
//! their absence. A release has no such switch: there every rule is kept.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// Something without which a node would sometime decide by an older state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// A lease ends at its deadline.
    LeasesEnd = 1,
    /// What was read before a change does not get into memory after it (I3).
    FillsAreGated,
    /// A change is answered when every node knows of it.
    ChangesWait,
    /// So is a repeat of it.
    RepeatsWait,
    /// A node tells what it has applied, not what it has read.
    AppliedBeforeTold,
}

impl Rule {
    /// All that can be turned off.
    pub const ALL: [Self; 5] = [
        Self::LeasesEnd,
        Self::FillsAreGated,
        Self::ChangesWait,
        Self::RepeatsWait,
        Self::AppliedBeforeTold,
    ];

    /// What the switch calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeasesEnd => "leases-end",
            Self::FillsAreGated => "fills-are-gated",
            Self::ChangesWait => "changes-wait",
            Self::RepeatsWait => "repeats-wait",
            Self::AppliedBeforeTold => "applied-before-told",
        }
    }

    /// From now on this process does not keep it. Of a release, no rule can be turned off.
    #[cfg(debug_assertions)]
    pub fn turn_off(self) {
        OFF.store(self as u8, Ordering::Relaxed);
    }

    /// Whether it is kept.
    #[inline]
    pub(crate) fn is_kept(self) -> bool {
        !cfg!(debug_assertions) || OFF.load(Ordering::Relaxed) != self as u8
    }
}

/// The one that is turned off, if any.
static OFF: AtomicU8 = AtomicU8::new(0);

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|rule| rule.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no rule {text:?}; there are {names}")
        })
    }
}
