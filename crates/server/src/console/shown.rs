//! Keys as pages show them.

use keywright_core::key::KeyRecord;
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use uuid::Uuid;

use super::chart::{Sparkline, last_day_of};
use super::moment::Moment;
use crate::problem::Problem;
use crate::state::AppState;

/// An expiry that is nearer than this is told beside the status.
const SOON_MICROS: i64 = 14 * 24 * 3600 * 1_000_000;

/// Some keys, each with what its last day was like.
pub(super) async fn shown_with_uses(
    records: &[KeyRecord],
    state: &AppState,
) -> Result<Vec<Shown>, Problem> {
    let now = state.clock.now();
    let ids: Vec<_> = records.iter().map(|record| record.key.id).collect();
    let mut lines = last_day_of(&ids, now, state).await?;
    let shown = records.iter().map(|record| Shown {
        last_day: lines.remove(&record.key.id),
        ..Shown::of(record, now)
    });
    Ok(shown.collect())
}

/// A key, as a table or a page of its own shows it.
pub(super) struct Shown {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// The beginning and the end of its text.
    pub(super) masked: String,
    pub(super) keyspace: String,
    pub(super) user: String,
    pub(super) permissions: Vec<String>,
    pub(super) badge: Badge,
    pub(super) created: Moment,
    pub(super) last_used: Option<Moment>,
    pub(super) expires: Option<Moment>,
    /// Where lists show it, and the key was used.
    pub(super) last_day: Option<Sparkline>,
    pub(super) is_active: bool,
    pub(super) is_suspended: bool,
    pub(super) is_revoked: bool,
}

/// Where a key stands, in words and by a class of the style sheet.
pub(super) struct Badge {
    pub(super) class: &'static str,
    pub(super) text: String,
}

impl Shown {
    pub(super) fn of(record: &KeyRecord, now: Timestamp) -> Self {
        let key = &record.key;
        let status = key.lifecycle.status();
        let names = record.keyspace.catalogue.names(key.grants);
        Self {
            id: key.id.0,
            name: key.name.to_string(),
            masked: format!("{}…{}", key.prefix, key.postfix),
            keyspace: key.keyspace.to_string(),
            user: key.user_id.to_string(),
            permissions: names.map(ToString::to_string).collect(),
            badge: badge(status, key.expires_at, now),
            created: Moment::new(key.created_at, now),
            last_used: key.last_used_at.map(|at| Moment::new(at, now)),
            expires: key.expires_at.map(|at| Moment::new(at, now)),
            last_day: None,
            is_active: status == Status::Active,
            is_suspended: status == Status::Suspended,
            is_revoked: status == Status::Revoked,
        }
    }

    /// Whether it is a service key, which is no user's.
    pub(super) fn is_service(&self) -> bool {
        self.user.is_empty()
    }

    /// How many permissions a table has room for, and how many more there are.
    pub(super) fn chips(&self) -> (&[String], usize) {
        const ROOM: usize = 2;
        let shown = self.permissions.len().min(ROOM);
        (&self.permissions[..shown], self.permissions.len() - shown)
    }
}

fn badge(status: Status, expires_at: Option<Timestamp>, now: Timestamp) -> Badge {
    let (class, text) = match (status, expires_at) {
        (Status::Revoked, _) => ("revoked", "Revoked".to_owned()),
        (Status::Suspended, _) => ("suspended", "Suspended".to_owned()),
        (Status::Active, Some(end)) if end <= now => ("expired", "Expired".to_owned()),
        (Status::Active, Some(end)) if end.as_micros() - now.as_micros() < SOON_MICROS => (
            "expiring",
            format!("Expires {}", Moment::new(end, now).words),
        ),
        (Status::Active, _) => ("active", "Active".to_owned()),
    };
    Badge { class, text }
}
