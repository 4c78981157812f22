//! `keywright keyspaces show`, and how one is shown.

use clap::Args;
use keywright_api::Keyspace;
use reqwest::Method;

use crate::client::{Answer, ConnectionOptions};
use crate::failure::Failure;
use crate::{output, table};

/// Show a keyspace with its permissions
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its name
    name: String,
}

impl Show {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let request = client.request(Method::GET, &["api", "keyspaces", &self.name])?;
        show_keyspace(&client.send(request).await?, connection)
    }
}

/// Shows the keyspace that the server answered.
pub(super) fn show_keyspace(
    answer: &Answer,
    connection: &ConnectionOptions,
) -> Result<(), Failure> {
    if connection.json {
        return Ok(output::line(answer.as_text())?);
    }
    let keyspace: Keyspace = answer.read()?;
    let fields = [
        ("name", table::text(&keyspace.name)),
        ("prefix", table::text(&keyspace.prefix)),
        (
            "description",
            table::optional(keyspace.description.as_deref()),
        ),
        ("self-service", table::yes_or_no(keyspace.self_service)),
        ("created", table::moment(&keyspace.created_at)),
    ];
    table::print(table::of_one(&fields))?;
    if keyspace.permissions.is_empty() {
        return Ok(());
    }
    let mut rows = table::with_headings(&["PERMISSION", "DESCRIPTION"]);
    for permission in &keyspace.permissions {
        rows.add_row([
            table::text(&permission.name),
            table::optional(permission.description.as_deref()),
        ]);
    }
    output::line("")?;
    Ok(table::print(rows)?)
}
