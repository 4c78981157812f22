//! `keywright keys create`.

use clap::Args;
use keywright_api::{CreateKey, CreatedKey};
use reqwest::Method;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::edit::{Expiry, metadata};
use crate::client::ConnectionOptions;
use crate::failure::Failure;
use crate::output;

/// Make a key; its text is printed this once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys create 'build server' --user user-1 --permission READ_GRAPH,EXECUTE_GRAPH
  keywright keys create nightly --user user-1 --keyspace live --expires-in 90d
  keywright keys create gateway --keyspace keywright --permission keys:verify   (a service key)

Only the key's text goes to standard output, so that it can be piped where secrets are kept.")]
pub(crate) struct Create {
    /// What to call it
    name: String,
    /// Whose it is to be; left out for service keys
    #[arg(long, value_name = "ID", required_unless_present = "keyspace")]
    user: Option<String>,
    /// What it may do; may be repeated [default: nothing]
    #[arg(long = "permission", value_name = "NAME,…", value_delimiter = ',')]
    permissions: Vec<String>,
    /// The keyspace to make it in [default: default]
    #[arg(long, value_name = "NAME")]
    keyspace: Option<String>,
    /// What to say about it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A JSON object to attach to it
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    metadata: Option<Map<String, Value>>,
    #[command(flatten)]
    expiry: Expiry,
}

impl Create {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let key = CreateKey {
            name: self.name,
            permissions: self.permissions,
            description: self.description,
            keyspace: self.keyspace,
            expires_at: self.expiry.at(),
            metadata: self.metadata,
        };
        let request = client
            .request(Method::POST, &["api", "api-keys"])?
            .acting_for(self.user.as_deref())?
            .body(&key);
        let answer = client.send(request).await?;
        if connection.json {
            output::line(answer.as_text())?;
            output::note(
                "The text of the key is in this answer and nowhere else: keep it where secrets are kept.",
            );
            return Ok(());
        }
        let CreatedKey {
            api_key,
            plain_text_key,
        } = answer.read()?;
        output::line(&Zeroizing::new(plain_text_key))?;
        output::note(&format!(
            "Made key {} ({}). Its text is shown this once and stored nowhere: keep it where secrets are kept.",
            api_key.id,
            output::printable(&api_key.name)
        ));
        Ok(())
    }
}
