//! `keywright openapi`.

use clap::Args;

use crate::failure::Failure;
use crate::output;

/// Print the server's OpenAPI document
#[derive(Debug, Args)]
pub(crate) struct Openapi {}

impl Openapi {
    pub(crate) fn run() -> Result<(), Failure> {
        let document = keywright_server::document()
            .to_pretty_json()
            .map_err(|error| {
                Failure::refused(format!("the document cannot be written as JSON: {error}"))
            })?;
        Ok(output::line(&document)?)
    }
}
