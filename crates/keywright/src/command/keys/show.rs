//! `keywright keys show`, and how keys are shown.

use clap::Args;
use comfy_table::{Cell, Table};
use keywright_api::{Key, KeyStatus};
use keywright_core::ambient::Clock;
use keywright_core::timestamp::Timestamp;
use reqwest::Method;

use super::Which;
use crate::client::{Answer, ConnectionOptions};
use crate::failure::Failure;
use crate::system::SystemClock;
use crate::{output, table};

/// Show a key
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
}

impl Show {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let request = client
            .request(Method::GET, &["api", "api-keys", &self.which.id()?])?
            .acting_for(self.which.user.as_deref())?;
        show_key(&client.send(request).await?, connection)
    }
}

/// Shows the key that the server answered.
pub(crate) fn show_key(answer: &Answer, connection: &ConnectionOptions) -> Result<(), Failure> {
    if connection.json {
        return Ok(output::line(answer.as_text())?);
    }
    let key: Key = answer.read()?;
    let metadata = serde_json::to_string(&key.metadata).unwrap_or_default();
    let fields = [
        ("id", Cell::new(key.id)),
        ("name", table::text(&key.name)),
        ("description", table::optional(key.description.as_deref())),
        ("key", shown(&key)),
        ("status", status(&key)),
        ("user", owner(&key)),
        ("keyspace", table::text(&key.keyspace)),
        ("permissions", table::names(&key.permissions)),
        ("metadata", table::text(&metadata)),
        ("created", table::moment(&key.created_at)),
        ("updated", table::moment(&key.updated_at)),
        (
            "last used",
            table::optional_moment(key.last_used_at.as_deref()),
        ),
        ("expires", table::optional_moment(key.expires_at.as_deref())),
        (
            "suspended",
            table::optional_moment(key.suspended_at.as_deref()),
        ),
        ("revoked", table::optional_moment(key.revoked_at.as_deref())),
    ];
    Ok(table::print(table::of_one(&fields))?)
}

/// A table of keys, one a line: what tells them apart. The rest is in `show`, and in JSON.
pub(crate) fn key_rows(keys: &[Key]) -> Table {
    let mut rows = table::with_headings(&[
        "ID",
        "NAME",
        "KEY",
        "STATUS",
        "PERMISSIONS",
        "LAST USED",
        "EXPIRES",
    ]);
    for key in keys {
        rows.add_row([
            Cell::new(key.id),
            table::text(&key.name),
            shown(key),
            status(key),
            table::some_names(&key.permissions),
            table::optional_day(key.last_used_at.as_deref()),
            table::optional_day(key.expires_at.as_deref()),
        ]);
    }
    table::keep_whole(&mut rows, &[0, 2, 3, 5, 6]);
    rows
}

/// The visible ends of the key's text.
fn shown(key: &Key) -> Cell {
    table::text(&format!("{}…{}", key.prefix, key.postfix))
}

fn owner(key: &Key) -> Cell {
    if key.user_id.is_empty() {
        Cell::new("the server itself")
    } else {
        table::text(&key.user_id)
    }
}

/// The status, as a person asks for it: an expired key is no use though it is ACTIVE.
fn status(key: &Key) -> Cell {
    match key.status {
        KeyStatus::Active if is_expired(key) => table::bad("ACTIVE, expired"),
        KeyStatus::Active => table::good("ACTIVE"),
        KeyStatus::Suspended => table::doubtful("SUSPENDED"),
        KeyStatus::Revoked => table::bad("REVOKED"),
    }
}

fn is_expired(key: &Key) -> bool {
    let expires_at = key
        .expires_at
        .as_deref()
        .and_then(|at| Timestamp::parse(at).ok());
    expires_at.is_some_and(|at| SystemClock.now() >= at)
}
