//! `keywright users show`.

use clap::Args;
use comfy_table::Cell;
use keywright_api::User;
use reqwest::Method;

use crate::client::ConnectionOptions;
use crate::failure::Failure;
use crate::{output, table};

/// Show a user
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The user's id
    #[arg(value_name = "USER_ID")]
    id: String,
}

impl Show {
    pub(super) async fn run(self, connection: &ConnectionOptions) -> Result<(), Failure> {
        let client = connection.client()?;
        let answer = client
            .send(client.request(Method::GET, &["api", "users", &self.id])?)
            .await?;
        if connection.json {
            return Ok(output::line(answer.as_text())?);
        }
        let user: User = answer.read()?;
        let fields = [
            ("id", table::text(&user.id)),
            ("keys", Cell::new(user.api_keys)),
            ("first seen", table::moment(&user.created_at)),
        ];
        Ok(table::print(table::of_one(&fields))?)
    }
}
