//! `keywright keyspaces create`.

use clap::Args;
use keywright_api::CreateKeyspace;
use reqwest::Method;

use super::permission::{Permission, on_the_wire};
use super::show::show_keyspace;
use crate::client::ConnectionOptions;
use crate::failure::Failure;

/// Make a keyspace
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  keywright keyspaces create live --prefix sk_live_ \\
    --permission orders:read --permission 'orders:write=Place and cancel orders'")]
pub(super) struct Create {
    /// Its name
    name: String,
    /// How the text of its keys begins, such as sk_live_
    #[arg(long, value_name = "TEXT")]
    prefix: String,
    /// What its keys can be allowed; may be repeated
    #[arg(long = "permission", value_name = "NAME[=DESCRIPTION]")]
    permissions: Vec<Permission>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Let users make keys in it and change what those may do
    #[arg(long)]
    self_service: bool,
}

impl Create {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let request = client
            .request(Method::POST, &["api", "keyspaces"])?
            .body(&CreateKeyspace {
                name: self.name,
                prefix: self.prefix,
                description: self.description,
                self_service: self.self_service,
                permissions: on_the_wire(self.permissions),
            });
        show_keyspace(&client.send(request).await?, connection)
    }
}
