//! `keywright keys list`.

use clap::{Args, ValueEnum};
use reqwest::Method;

use super::key_rows;
use crate::client::{ConnectionOptions, understood};
use crate::failure::Failure;
use crate::{output, table};

/// List a user's keys, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys list --user user-1
  keywright keys list --user user-1 --status active --json | jq -r '.[].id'
  keywright keys list --keyspace keywright        (the service keys)")]
pub(crate) struct List {
    /// Whose keys; left out for service keys
    #[arg(long, value_name = "ID", required_unless_present = "keyspace")]
    user: Option<String>,
    /// Only keys of this keyspace
    #[arg(long, value_name = "NAME")]
    keyspace: Option<String>,
    /// Only keys in this state
    #[arg(long, value_enum, value_name = "STATUS", ignore_case = true)]
    status: Option<Status>,
    /// At most so many [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = crate::command::at_least_one)]
    limit: Option<usize>,
}

/// The states that keys can be asked for by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    /// It may be used, unless it is expired
    Active,
    /// Put aside
    Suspended,
    /// Ended for good
    Revoked,
}

impl Status {
    const fn on_the_wire(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Revoked => "REVOKED",
        }
    }
}

impl List {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let request = client
            .request(Method::GET, &["api", "api-keys"])?
            .acting_for(self.user.as_deref())?
            .parameter("keyspace", self.keyspace.as_deref())
            .parameter("status", self.status.map(Status::on_the_wire));
        let keys = client.list(request, self.limit).await?;
        if connection.json {
            return Ok(output::json(&keys)?);
        }
        Ok(table::print(key_rows(&understood(keys)?))?)
    }
}
