//! `keywright keys`: one file for each thing that is done with keys.

mod create;
mod edit;
mod list;
mod permissions;
mod show;
mod transition;
mod update;
mod usage;

use clap::{Args, Subcommand};

pub(super) use self::show::key_rows;
use self::show::show_key;
pub(super) use self::update::set_or_clear;
use crate::client::ConnectionOptions;
use crate::command::wait_for;
use crate::failure::Failure;

/// Make, show, change and revoke keys
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: ConnectionOptions,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key; its text is printed this once
    Create(create::Create),
    /// List a user's keys, newest first
    List(list::List),
    /// Show a key
    Show(show::Show),
    /// Show how often a key was used
    Usage(usage::Usage),
    /// Change a key's name, description, metadata or expiry
    Update(update::Update),
    /// Put a key aside; it can be reactivated
    Suspend(transition::Suspend),
    /// Take a suspended key back into use
    Reactivate(transition::Reactivate),
    /// End a key for good
    Revoke(transition::Revoke),
    /// Replace what a key may do
    Permissions(permissions::Permissions),
}

impl Keys {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let connection = self.connection;
        wait_for(async {
            match self.action {
                Action::Create(action) => action.run(&connection).await,
                Action::List(action) => action.run(&connection).await,
                Action::Show(action) => action.run(&connection).await,
                Action::Usage(action) => action.run(&connection).await,
                Action::Update(action) => action.run(&connection).await,
                Action::Suspend(action) => action.run(&connection).await,
                Action::Reactivate(action) => action.run(&connection).await,
                Action::Revoke(action) => action.run(&connection).await,
                Action::Permissions(action) => action.run(&connection).await,
            }
        })
    }
}

/// Which key is meant.
#[derive(Debug, Args)]
struct Which {
    /// The key's id (not its text)
    #[arg(value_name = "KEY_ID")]
    id: String,
    /// Only if it is this user's
    #[arg(long, value_name = "ID")]
    user: Option<String>,
}

impl Which {
    fn id(&self) -> Result<String, Failure> {
        super::key_id(&self.id, "KEY_ID")
    }
}
