//! `keywright keyspaces list`.

use clap::Args;
use keywright_api::Keyspace;
use reqwest::Method;

use crate::client::ConnectionOptions;
use crate::failure::Failure;
use crate::{output, table};

/// List keyspaces
#[derive(Debug, Args)]
pub(super) struct List {}

impl List {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let answer = client
            .send(client.request(Method::GET, &["api", "keyspaces"])?)
            .await?;
        if connection.json {
            return Ok(output::line(answer.as_text())?);
        }
        let mut rows = table::with_headings(&[
            "NAME",
            "PREFIX",
            "SELF-SERVICE",
            "PERMISSIONS",
            "DESCRIPTION",
        ]);
        for keyspace in answer.read::<Vec<Keyspace>>()? {
            let names: Vec<String> = keyspace
                .permissions
                .into_iter()
                .map(|permission| permission.name)
                .collect();
            rows.add_row([
                table::text(&keyspace.name),
                table::text(&keyspace.prefix),
                table::yes_or_no(keyspace.self_service),
                table::names(&names),
                table::optional(keyspace.description.as_deref()),
            ]);
        }
        Ok(table::print(rows)?)
    }
}
