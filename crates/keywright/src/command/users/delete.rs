//! `keywright users delete`.

use clap::Args;
use reqwest::Method;

use crate::client::ConnectionOptions;
use crate::failure::Failure;
use crate::output;

/// Delete a user with all keys
#[derive(Debug, Args)]
#[command(after_help = "\
When this has ended, none of the user's keys is good any more. A JWT of theirs that is still good
makes the user anew, without the keys.")]
pub(super) struct Delete {
    /// The user's id
    #[arg(value_name = "USER_ID")]
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let shown = output::printable(&self.id);
        if !self.yes && !output::confirm(&format!("Delete user {shown} with all keys?")) {
            return Err(Failure::refused("nothing was deleted"));
        }
        let client = connection.client()?;
        client
            .send(client.request(Method::DELETE, &["api", "users", &self.id])?)
            .await?;
        output::note(&format!("Deleted user {shown} with all keys."));
        Ok(())
    }
}
