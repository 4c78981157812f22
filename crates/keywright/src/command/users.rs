//! `keywright users`.

mod delete;
mod keys;
mod list;
mod show;

use clap::{Args, Subcommand};

use crate::client::ConnectionOptions;
use crate::command::wait_for;
use crate::failure::Failure;

/// Show and delete users
#[derive(Debug, Args)]
pub(crate) struct Users {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: ConnectionOptions,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List users, newest first
    List(list::List),
    /// Show a user
    Show(show::Show),
    /// List a user's keys, newest first
    Keys(keys::Keys),
    /// Delete a user with all keys
    Delete(delete::Delete),
}

impl Users {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let connection = self.connection;
        wait_for(async {
            match self.action {
                Action::List(action) => action.run(&connection).await,
                Action::Show(action) => action.run(&connection).await,
                Action::Keys(action) => action.run(&connection).await,
                Action::Delete(action) => action.run(&connection).await,
            }
        })
    }
}
