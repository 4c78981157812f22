//! `keywright keys permissions`.

use clap::Args;
use keywright_api::ReplacePermissions;
use reqwest::Method;

use super::{Which, show_key};
use crate::client::ConnectionOptions;
use crate::failure::Failure;

/// Replace what a key may do
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys permissions 0193… --permission READ_GRAPH,READ_BLOCK
  keywright keys permissions 0193… --none")]
pub(crate) struct Permissions {
    #[command(flatten)]
    which: Which,
    /// All that it may do from now on; may be repeated
    #[arg(
        long = "permission",
        value_name = "NAME,…",
        value_delimiter = ',',
        required_unless_present = "none"
    )]
    names: Vec<String>,
    /// It may do nothing
    #[arg(long, conflicts_with = "names")]
    none: bool,
}

impl Permissions {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let id = self.which.id()?;
        let request = client
            .request(Method::PUT, &["api", "api-keys", &id, "permissions"])?
            .acting_for(self.which.user.as_deref())?
            .body(&ReplacePermissions {
                permissions: self.names,
            });
        show_key(&client.send(request).await?, connection)
    }
}
