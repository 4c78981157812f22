//! `keywright users keys`.

use clap::Args;
use reqwest::Method;

use crate::client::{ConnectionOptions, understood};
use crate::command::keys::key_rows;
use crate::failure::Failure;
use crate::{output, table};

/// List a user's keys, newest first
#[derive(Debug, Args)]
#[command(
    after_help = "Needs a service key with users:read; `keywright keys list --user ID` needs one with keys:read."
)]
pub(super) struct Keys {
    /// The user's id
    #[arg(value_name = "USER_ID")]
    id: String,
    /// At most so many [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = crate::command::at_least_one)]
    limit: Option<usize>,
}

impl Keys {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let request = client.request(Method::GET, &["api", "users", &self.id, "api-keys"])?;
        let keys = client.list(request, self.limit).await?;
        if connection.json {
            return Ok(output::json(&keys)?);
        }
        Ok(table::print(key_rows(&understood(keys)?))?)
    }
}
