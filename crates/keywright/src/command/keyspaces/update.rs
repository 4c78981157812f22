//! `keywright keyspaces update`.

use clap::{ArgGroup, Args};
use keywright_api::PatchKeyspace;
use reqwest::Method;

use super::permission::{Permission, on_the_wire};
use super::show::show_keyspace;
use crate::client::ConnectionOptions;
use crate::command::keys::set_or_clear;
use crate::failure::Failure;

/// Change a keyspace's description or self-service, or add permissions
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("change").multiple(true).required(true)
        .args(["description", "no_description", "self_service", "permissions"]),
    override_usage = "keywright keyspaces update [OPTIONS] <NAME>",
    after_help = "\
Permissions are added, or described anew where they are there. None is ever removed.

Example:
  keywright keyspaces update live --self-service true --permission orders:cancel"
)]
pub(super) struct Update {
    /// Its name
    name: String,
    /// A new description
    #[arg(long, value_name = "TEXT", conflicts_with = "no_description")]
    description: Option<String>,
    /// Take the description away
    #[arg(long)]
    no_description: bool,
    /// Whether users make keys in it and change what those may do
    #[arg(long, value_name = "BOOLEAN")]
    self_service: Option<bool>,
    /// What its keys can be allowed, too; may be repeated
    #[arg(long = "permission", value_name = "NAME[=DESCRIPTION]")]
    permissions: Vec<Permission>,
}

impl Update {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let change = PatchKeyspace {
            description: set_or_clear(self.description, self.no_description),
            self_service: self.self_service.map(Some),
            permissions: on_the_wire(self.permissions),
        };
        let request = client
            .request(Method::PATCH, &["api", "keyspaces", &self.name])?
            .body(&change);
        show_keyspace(&client.send(request).await?, connection)
    }
}
