//! `keywright audit`.

use clap::Args;
use comfy_table::{Cell, Table};
use keywright_api::AuditRecord;
use keywright_core::audit::Action;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::{ConnectionOptions, understood};
use crate::command::wait_for;
use crate::failure::Failure;
use crate::{output, table};

/// Show who changed what, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright audit --user user-1 --action api_key.revoked
  keywright audit --from 2026-11-01T00:00:00Z --limit 10000 --json >november.ndjson")]
pub(crate) struct Audit {
    /// Only changes of this key
    #[arg(long, value_name = "KEY_ID")]
    key: Option<String>,
    /// Only changes of this user or a key of theirs
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only changes by this actor: a user's id, a service key's id, or a command
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only changes of this kind
    #[arg(long, value_name = "ACTION", value_parser = Action::ALL.map(Action::as_str))]
    action: Option<String>,
    /// Only from this moment on, such as 2026-11-22T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only before this moment
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = super::at_least_one)]
    limit: usize,
    #[command(flatten)]
    connection: ConnectionOptions,
}

impl Audit {
    pub(crate) fn run(self) -> Result<(), Failure> {
        wait_for(self.show())
    }

    async fn show(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let key = self
            .key
            .as_deref()
            .map(|id| super::key_id(id, "--key"))
            .transpose()?;
        let request = client
            .request(Method::GET, &["api", "audit"])?
            .parameter("key_id", key.as_deref())
            .parameter("user_id", self.user.as_deref())
            .parameter("actor", self.actor.as_deref())
            .parameter("action", self.action.as_deref())
            .parameter("from", self.from.as_deref())
            .parameter("to", self.to.as_deref());

        if self.connection.json {
            let mut pages = client.pages(request, Some(self.limit));
            while let Some(page) = pages.next().await? {
                page.iter().try_for_each(output::json)?;
            }
            return Ok(());
        }
        let entries = client.list(request, Some(self.limit)).await?;
        Ok(table::print(rows(&understood(entries)?))?)
    }
}

fn rows(entries: &[AuditRecord]) -> Table {
    let mut rows = table::with_headings(&["AT", "ACTOR", "ACTION", "KEY", "USER", "CHANGE"]);
    for entry in entries {
        rows.add_row([
            table::moment(&entry.at),
            table::text(&actor(entry)),
            table::text(&entry.action),
            entry.key_id.map_or_else(|| Cell::new("-"), Cell::new),
            table::optional(entry.user_id.as_deref().filter(|id| !id.is_empty())),
            table::text(&change(entry)),
        ]);
    }
    table::keep_whole(&mut rows, &[0, 2, 3]);
    rows
}

fn actor(entry: &AuditRecord) -> String {
    let kind = serde_json::to_value(entry.actor.kind).unwrap_or_default();
    format!("{} {}", kind.as_str().unwrap_or_default(), entry.actor.id)
}

/// What was changed from what to what; of what was made or deleted, the name says enough.
fn change(entry: &AuditRecord) -> String {
    match (&entry.before, &entry.after) {
        (Some(before), Some(after)) => fields(before, after).join(", "),
        (Some(only), None) | (None, Some(only)) => {
            only.get("name").map(Value::to_string).unwrap_or_default()
        }
        (None, None) => String::new(),
    }
}

fn fields(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let of =
        |fields: &Map<String, Value>, name: &str| fields.get(name).cloned().unwrap_or_default();
    after
        .keys()
        .map(|name| format!("{name}: {} → {}", of(before, name), of(after, name)))
        .collect()
}
