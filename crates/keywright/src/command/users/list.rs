//! `keywright users list`.

use clap::Args;
use comfy_table::Cell;
use keywright_api::User;
use reqwest::Method;

use crate::client::{ConnectionOptions, understood};
use crate::failure::Failure;
use crate::{output, table};

/// List users, newest first
#[derive(Debug, Args)]
pub(super) struct List {
    /// At most so many [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = crate::command::at_least_one)]
    limit: Option<usize>,
}

impl List {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let request = client.request(Method::GET, &["api", "users"])?;
        let users = client.list(request, self.limit).await?;
        if connection.json {
            return Ok(output::json(&users)?);
        }
        let mut rows = table::with_headings(&["ID", "KEYS", "FIRST SEEN"]);
        for user in understood::<User>(users)? {
            rows.add_row([
                table::text(&user.id),
                Cell::new(user.api_keys),
                table::moment(&user.created_at),
            ]);
        }
        table::keep_whole(&mut rows, &[0]);
        Ok(table::print(rows)?)
    }
}
