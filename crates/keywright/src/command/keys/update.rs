//! `keywright keys update`.

use clap::{ArgGroup, Args};
use keywright_api::PatchKey;
use reqwest::Method;
use serde_json::{Map, Value};

use super::edit::{Expiry, metadata};
use super::{Which, show_key};
use crate::client::ConnectionOptions;
use crate::failure::Failure;

/// Change a key's name, description, metadata or expiry
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("change").multiple(true).required(true)
        .args(["name", "description", "no_description", "metadata", "expires_at", "expires_in", "no_expiry"]),
    override_usage = "keywright keys update [OPTIONS] <KEY_ID>",
    after_help = "\
Examples:
  keywright keys update 0193… --name 'old build server' --expires-in 7d
  keywright keys update 0193… --no-expiry --metadata '{\"team\": \"blue\"}'"
)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    /// A new name
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// A new description
    #[arg(long, value_name = "TEXT", conflicts_with = "no_description")]
    description: Option<String>,
    /// Take the description away
    #[arg(long)]
    no_description: bool,
    /// A JSON object that replaces the metadata whole
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    metadata: Option<Map<String, Value>>,
    #[command(flatten)]
    expiry: Expiry,
    /// Let it never expire
    #[arg(long, conflicts_with_all = ["expires_at", "expires_in"])]
    no_expiry: bool,
}

impl Update {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let change = PatchKey {
            name: self.name.map(Some),
            description: set_or_clear(self.description, self.no_description),
            metadata: self.metadata.map(Some),
            expires_at: set_or_clear(self.expiry.at(), self.no_expiry),
        };
        let request = client
            .request(Method::PATCH, &["api", "api-keys", &self.which.id()?])?
            .acting_for(self.which.user.as_deref())?
            .body(&change);
        show_key(&client.send(request).await?, connection)
    }
}

/// A field of a PATCH: a new value, null which clears, or nothing which keeps.
#[expect(clippy::option_option, reason = "a field of a PATCH has three states")]
pub(in crate::command) fn set_or_clear<T>(value: Option<T>, clear: bool) -> Option<Option<T>> {
    if clear { Some(None) } else { value.map(Some) }
}
