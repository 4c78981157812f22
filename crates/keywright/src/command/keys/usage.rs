//! `keywright keys usage`.

use clap::Args;
use reqwest::Method;

use super::Which;
use crate::client::ConnectionOptions;
use crate::command::usage::{Span, show_usage};
use crate::failure::Failure;

/// Show how often a key was used
#[derive(Debug, Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    span: Span,
}

impl Usage {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let request = client
            .request(
                Method::GET,
                &["api", "api-keys", &self.which.id()?, "usage"],
            )?
            .acting_for(self.which.user.as_deref())?;
        show_usage(&client.send(self.span.ask(request)).await?, connection)
    }
}
