//! Keys as pages show them.

use keywright_core::key::KeyRecord;
use keywright_core::lifecycle::Status;
use keywright_core::text::KeyName;
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
            name: label(&key.name),
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

/// What a name is shown as: not every name that a program may give has something to see.
pub(super) fn label(name: &KeyName) -> String {
    let name = in_one_line(name.as_str());
    if name.chars().any(is_seen) {
        name
    } else {
        "(no visible name)".to_owned()
    }
}

/// What is to be typed before a key is revoked: its name, or its id where nobody could type the name.
pub(super) fn confirmation(record: &KeyRecord) -> String {
    let name = in_one_line(record.key.name.as_str());
    if name.chars().all(is_seen) && !name.is_empty() {
        name
    } else {
        record.key.id.to_string()
    }
}

/// As a field of one line takes it, and a page shows it: without line ends, and one space where there are several.
pub(super) fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a character can be seen, or is a space between such: none of those that only say how others are written.
fn is_seen(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_something_to_see() {
        for (name, shown) in [
            ("nightly export", "nightly export"),
            ("a  b\nc", "a b c"),
            ("\u{200b}", "(no visible name)"),
            ("   ", "(no visible name)"),
            ("a\u{202e}b", "a\u{202e}b"),
        ] {
            assert_eq!(label(&KeyName::new(name).unwrap()), shown);
        }
    }
}
