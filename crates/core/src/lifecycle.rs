//! The only transition function (CONTRACT §3): ACTIVE ⇄ SUSPENDED, either → REVOKED, and REVOKED is final.

use crate::timestamp::Timestamp;

/// Where a key stands, with the times that belong to it. Expiry is no state: it follows from `expires_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// It may be used.
    Active,
    /// Put aside; it can come back.
    Suspended {
        /// When it was suspended first since it was last active.
        at: Timestamp,
    },
    /// Gone for good.
    Revoked {
        /// When it was revoked first.
        at: Timestamp,
        /// When it had been suspended, if it was when it was revoked.
        suspended_at: Option<Timestamp>,
    },
}

/// A state without its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It may be used.
    Active,
    /// Put aside; it can come back.
    Suspended,
    /// Gone for good.
    Revoked,
}

/// What can be asked of a lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Put the key aside.
    Suspend,
    /// Take it back into use.
    Reactivate,
    /// End it for good.
    Revoke,
}

/// The key is REVOKED, and only a further revocation is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revoked key cannot be changed")]
pub struct AlreadyRevoked;

/// A status and its times do not belong together: a damaged row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored status and its times do not belong together")]
pub struct DamagedLifecycle;

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Revoked];

    /// As the database and the wire write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Revoked => "REVOKED",
        }
    }

    /// The status written `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl Lifecycle {
    /// The state after `transition` at `now`. A repeat gives the state as it is, its first times kept.
    ///
    /// # Errors
    /// [`AlreadyRevoked`] for anything but a revocation of a REVOKED key.
    pub fn after(self, transition: Transition, now: Timestamp) -> Result<Self, AlreadyRevoked> {
        match (self, transition) {
            (Self::Revoked { .. }, Transition::Suspend | Transition::Reactivate) => {
                Err(AlreadyRevoked)
            }
            (Self::Revoked { .. }, Transition::Revoke)
            | (Self::Suspended { .. }, Transition::Suspend)
            | (Self::Active, Transition::Reactivate) => Ok(self),
            (Self::Active, Transition::Suspend) => Ok(Self::Suspended { at: now }),
            (Self::Suspended { .. }, Transition::Reactivate) => Ok(Self::Active),
            (Self::Active | Self::Suspended { .. }, Transition::Revoke) => Ok(Self::Revoked {
                at: now,
                suspended_at: self.suspended_at(),
            }),
        }
    }

    /// The state without its times.
    pub const fn status(self) -> Status {
        match self {
            Self::Active => Status::Active,
            Self::Suspended { .. } => Status::Suspended,
            Self::Revoked { .. } => Status::Revoked,
        }
    }

    /// When it was suspended, if it is, or was when it was revoked.
    pub const fn suspended_at(self) -> Option<Timestamp> {
        match self {
            Self::Active => None,
            Self::Suspended { at } => Some(at),
            Self::Revoked { suspended_at, .. } => suspended_at,
        }
    }

    /// When it was revoked.
    pub const fn revoked_at(self) -> Option<Timestamp> {
        match self {
            Self::Active | Self::Suspended { .. } => None,
            Self::Revoked { at, .. } => Some(at),
        }
    }

    /// Puts together what a database keeps in three columns.
    ///
    /// # Errors
    /// [`DamagedLifecycle`] where they do not belong together.
    pub fn from_parts(
        status: Status,
        suspended_at: Option<Timestamp>,
        revoked_at: Option<Timestamp>,
    ) -> Result<Self, DamagedLifecycle> {
        match (status, suspended_at, revoked_at) {
            (Status::Active, None, None) => Ok(Self::Active),
            (Status::Suspended, Some(at), None) => Ok(Self::Suspended { at }),
            (Status::Revoked, suspended_at, Some(at)) => Ok(Self::Revoked { at, suspended_at }),
            _ => Err(DamagedLifecycle),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transitions() -> impl Strategy<Value = Vec<Transition>> {
        prop::collection::vec(
            prop::sample::select(vec![
                Transition::Suspend,
                Transition::Reactivate,
                Transition::Revoke,
            ]),
            0..30,
        )
    }

    /// Where a sequence leads, one transition a microsecond; refused ones change nothing.
    fn walk(sequence: &[Transition]) -> Vec<Lifecycle> {
        let mut state = Lifecycle::Active;
        (0..)
            .zip(sequence)
            .map(|(at, &step)| {
                state = state
                    .after(step, Timestamp::from_micros(at))
                    .unwrap_or(state);
                state
            })
            .collect()
    }

    #[test]
    fn reactivation_clears_the_time_of_suspension() {
        let suspended = Lifecycle::Suspended {
            at: Timestamp::from_micros(1),
        };
        assert_eq!(
            suspended.after(Transition::Reactivate, Timestamp::from_micros(2)),
            Ok(Lifecycle::Active)
        );
    }

    #[test]
    fn a_key_revoked_while_suspended_keeps_both_times() {
        let suspended = Lifecycle::Suspended {
            at: Timestamp::from_micros(1),
        };
        let revoked = suspended
            .after(Transition::Revoke, Timestamp::from_micros(2))
            .unwrap();
        assert_eq!(revoked.suspended_at(), Some(Timestamp::from_micros(1)));
        assert_eq!(revoked.revoked_at(), Some(Timestamp::from_micros(2)));
    }

    #[test]
    fn a_damaged_row_is_noticed() {
        let at = Some(Timestamp::from_micros(1));
        for (status, suspended_at, revoked_at) in [
            (Status::Active, at, None),
            (Status::Active, None, at),
            (Status::Suspended, None, None),
            (Status::Revoked, at, None),
        ] {
            assert_eq!(
                Lifecycle::from_parts(status, suspended_at, revoked_at),
                Err(DamagedLifecycle)
            );
        }
    }

    proptest! {
        #[test]
        fn no_sequence_leaves_revoked(before in transitions(), after in transitions()) {
            let mut sequence = before;
            sequence.push(Transition::Revoke);
            let revoked_from = sequence.len() - 1;
            sequence.extend(after);
            let states = walk(&sequence);
            let first = states[revoked_from];
            prop_assert_eq!(first.status(), Status::Revoked);
            // The first times are kept, too.
            prop_assert!(states[revoked_from..].iter().all(|&state| state == first));
        }

        #[test]
        fn a_repeat_changes_nothing(sequence in transitions(), step in prop::sample::select(vec![Transition::Suspend, Transition::Reactivate, Transition::Revoke])) {
            let state = walk(&sequence).last().copied().unwrap_or(Lifecycle::Active);
            if let Ok(once) = state.after(step, Timestamp::from_micros(100)) {
                prop_assert_eq!(once.after(step, Timestamp::from_micros(200)), Ok(once));
            }
        }

        #[test]
        fn every_state_survives_its_columns(sequence in transitions()) {
            for state in walk(&sequence) {
                prop_assert_eq!(Lifecycle::from_parts(state.status(), state.suspended_at(), state.revoked_at()), Ok(state));
            }
        }
    }
}
