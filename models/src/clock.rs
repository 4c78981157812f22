//! Time, as processes measure it.
//!
//! There is one true time, in ticks, and how much further a clock is after each is the [`Pace`] of its process. What is
//! kept of a moment is only how long ago it was, or how long it is until then, by one process's clock and no longer than
//! anybody asks for. So time goes on for ever in a finite number of states.

/// How long a lease is, in ticks of true time.
pub const LEASE: u8 = 2;

/// How far a clock may be off, in ticks, over any span of at most a lease.
pub const MARGIN: u8 = 1;

/// How long leases are used and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    margin: u8,
}

impl Terms {
    /// For clocks that are taken to be off by so much.
    pub const fn with_margin(margin: u8) -> Self {
        Self { margin }
    }

    /// How long a node uses its lease, from t0, by its own clock.
    pub const fn usable(self) -> u8 {
        LEASE - self.margin
    }

    /// After how long, by whoever's clock, nobody uses a lease any more that was asked for before.
    pub const fn outwaited(self) -> u8 {
        LEASE + self.margin
    }
}

/// How much further a clock is after a tick of true time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pace {
    /// Not at all.
    Stands,
    /// One tick.
    #[default]
    Keeps,
    /// Two.
    Leaps,
}

impl Pace {
    /// What it can be after the next tick.
    ///
    /// To stand twice, or to leap twice, would make the clock off by more than [`MARGIN`] over a [`LEASE`]. Anything else
    /// is possible, so that it can be slow, or fast, for ever.
    pub const fn next(self) -> &'static [Pace] {
        match self {
            Self::Stands => &[Self::Keeps, Self::Leaps],
            Self::Keeps => &[Self::Stands, Self::Keeps, Self::Leaps],
            Self::Leaps => &[Self::Stands, Self::Keeps],
        }
    }

    /// How many ticks it is.
    pub const fn ticks(self) -> u8 {
        match self {
            Self::Stands => 0,
            Self::Keeps => 1,
            Self::Leaps => 2,
        }
    }
}

/// How long it is until a moment; nothing once it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Left(u8);

impl Left {
    /// So many ticks.
    pub const fn ticks(ticks: u8) -> Self {
        Self(ticks)
    }

    /// Whether the moment is still to come.
    pub const fn is_ahead(self) -> bool {
        self.0 > 0
    }

    /// Lets time pass.
    pub const fn pass(&mut self, ticks: u8) {
        self.0 = self.0.saturating_sub(ticks);
    }
}

/// How long ago a moment was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Since(u8);

impl Since {
    /// Just now.
    pub const NOW: Self = Self(0);

    /// Whether it was so long ago, at least.
    pub const fn is_at_least(self, ticks: u8) -> bool {
        self.0 >= ticks
    }

    /// What is left of so many ticks from then on.
    pub const fn left_of(self, ticks: u8) -> Left {
        Left(ticks.saturating_sub(self.0))
    }

    /// Lets time pass. Nobody asks for more than `longest`.
    pub fn pass(&mut self, ticks: u8, longest: u8) {
        self.0 = (self.0 + ticks).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way in which a clock can go on for a lease.
    fn spans() -> impl Iterator<Item = u8> {
        const { assert!(LEASE == 2, "two paces are a lease") };
        let firsts = [Pace::Stands, Pace::Keeps, Pace::Leaps];
        firsts.into_iter().flat_map(|first| {
            first
                .next()
                .iter()
                .map(move |second| first.ticks() + second.ticks())
        })
    }

    #[test]
    fn a_clock_is_off_by_the_margin_and_not_more_over_a_lease() {
        assert_eq!(spans().min(), Some(LEASE - MARGIN));
        assert_eq!(spans().max(), Some(LEASE + MARGIN));
    }
}
