//! `keywright keyspaces`.

mod create;
mod list;
mod permission;
mod show;
mod update;

use clap::{Args, Subcommand};

use crate::client::ConnectionOptions;
use crate::command::wait_for;
use crate::failure::Failure;

/// Make, show and change keyspaces
#[derive(Debug, Args)]
pub(crate) struct Keyspaces {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: ConnectionOptions,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a keyspace
    Create(create::Create),
    /// List keyspaces
    List(list::List),
    /// Show a keyspace with its permissions
    Show(show::Show),
    /// Change a keyspace's description or self-service, or add permissions
    Update(update::Update),
}

impl Keyspaces {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let connection = self.connection;
        wait_for(async {
            match self.action {
                Action::Create(action) => action.run(&connection).await,
                Action::List(action) => action.run(&connection).await,
                Action::Show(action) => action.run(&connection).await,
                Action::Update(action) => action.run(&connection).await,
            }
        })
    }
}
