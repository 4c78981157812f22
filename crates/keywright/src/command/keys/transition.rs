//! `keywright keys suspend`, `reactivate` and `revoke`.

use clap::Args;
use reqwest::Method;

use super::{Which, show_key};
use crate::client::ConnectionOptions;
use crate::failure::Failure;
use crate::output;

/// Put a key aside; it can be reactivated
#[derive(Debug, Args)]
#[command(
    after_help = "When this has ended, no verification that starts later finds the key good."
)]
pub(crate) struct Suspend {
    #[command(flatten)]
    which: Which,
}

/// Take a suspended key back into use
#[derive(Debug, Args)]
pub(crate) struct Reactivate {
    #[command(flatten)]
    which: Which,
}

/// End a key for good
#[derive(Debug, Args)]
#[command(
    after_help = "When this has ended, no verification that starts later finds the key good."
)]
pub(crate) struct Revoke {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Suspend {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        transition(&self.which, Method::POST, &["suspend"], connection).await
    }
}

impl Reactivate {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        transition(&self.which, Method::POST, &["reactivate"], connection).await
    }
}

impl Revoke {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let id = self.which.id()?;
        if !self.yes && !output::confirm(&format!("Revoke key {id} for good?")) {
            return Err(Failure::refused("nothing was revoked"));
        }
        transition(&self.which, Method::DELETE, &[], connection).await
    }
}

async fn transition(
    which: &Which,
    method: Method,
    step: &[&str],
    connection: &ConnectionOptions,
) -> Result<(), Failure> {
    let client = connection.client()?;
    let id = which.id()?;
    let path = [&["api", "api-keys", id.as_str()], step].concat();
    let request = client
        .request(method, &path)?
        .acting_for(which.user.as_deref())?;
    show_key(&client.send(request).await?, connection)
}
