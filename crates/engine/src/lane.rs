//! The lanes in which keys are looked up, each with bounds of its own: what fills one takes no place of the others'.

use std::ops::{Index, IndexMut};

/// In which lane a text is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Service keys. Whoever asks about keys needs one, so it must not wait behind them.
    Service,
    /// Keys that this server made.
    Tagged,
    /// Texts that may be keys made elsewhere: made-up ones cannot be told from them.
    Untagged,
}

/// Something of each lane.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EachLane<T>([T; 3]);

impl<T> EachLane<T> {
    pub(crate) fn of(make: impl FnMut(Lane) -> T) -> Self {
        Self([Lane::Service, Lane::Tagged, Lane::Untagged].map(make))
    }
}

impl Lane {
    /// As it is called in the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Tagged => "tagged",
            Self::Untagged => "untagged",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Service => 0,
            Self::Tagged => 1,
            Self::Untagged => 2,
        }
    }
}

impl<T> Index<Lane> for EachLane<T> {
    type Output = T;

    fn index(&self, lane: Lane) -> &T {
        &self.0[lane.index()]
    }
}

impl<T> IndexMut<Lane> for EachLane<T> {
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        &mut self.0[lane.index()]
    }
}
