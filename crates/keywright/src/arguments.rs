//! The command line: every command, and what it takes. No argument ever holds a secret: other users of the machine
//! can read them.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{
    admin_key, audit, cluster, completions, doctor, keys, keyspaces, migrate, openapi, serve,
    token, usage, users, verify,
};
use crate::failure::Failure;

/// Issues API keys, verifies them and retires them.
#[derive(Debug, Parser)]
#[command(name = "keywright", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  keywright serve
  KEY=$(keywright keys create 'build server' --user user-1 --permission READ_GRAPH)
  keywright verify --permission READ_GRAPH <<<\"$KEY\"
  keywright keys list --user user-1

Exit codes: 0 done, 1 refused or not possible, 2 asked for wrongly.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Serve>),
    /// Make, show, change and revoke keys
    Keys(keys::Keys),
    /// Show and delete users
    Users(users::Users),
    /// Make, show and change keyspaces
    Keyspaces(keyspaces::Keyspaces),
    /// Show who changed what
    Audit(audit::Audit),
    /// Show how often keys were used
    Usage(usage::Usage),
    /// Show the nodes, as the one that is asked sees them
    Cluster(cluster::Cluster),
    /// Ask whether a key is good; the key is read from standard input
    Verify(verify::Verify),
    /// Sign a JWT for a user with the server's own secret
    Token(token::Token),
    /// Make a service key straight in the database, when all are lost
    AdminKey(admin_key::AdminKey),
    /// Bring the database to the schema of this version
    Migrate(migrate::Migrate),
    /// Check configuration, files and database, and say what to do
    Doctor(Box<doctor::Doctor>),
    /// Print the server's OpenAPI document
    Openapi(openapi::Openapi),
    /// Print a script that completes commands in a shell
    Completions(completions::Completions),
}

impl Arguments {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(command) => command.run(),
            Command::Keys(command) => command.run(),
            Command::Users(command) => command.run(),
            Command::Keyspaces(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Usage(command) => command.run(),
            Command::Cluster(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::AdminKey(command) => command.run(),
            Command::Migrate(command) => command.run(),
            Command::Doctor(command) => command.run(),
            Command::Openapi(_) => openapi::Openapi::run(),
            Command::Completions(command) => command.run(),
        }
    }
}

/// The command line as clap knows it.
pub(crate) fn definition() -> clap::Command {
    environment_counts(Arguments::command())
}

/// Reads the command line; ends the process where it is not understood, or only help was asked for.
pub(crate) fn parse() -> Arguments {
    let matches = definition().get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Help names the variables without what they hold, and a variable that is empty is not set.
fn environment_counts(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            let is_empty = argument
                .get_env()
                .and_then(std::env::var_os)
                .is_some_and(|value| value.is_empty());
            let argument = argument.hide_env_values(true);
            if is_empty {
                argument.env(None)
            } else {
                argument
            }
        })
        .mut_subcommands(environment_counts)
}

#[cfg(test)]
mod tests {
    use keywright_server::JwtSettings;

    use super::*;
    use crate::configuration::{CONNECTIONS, LISTEN, UsageRetention};

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// Every help text there is, as a terminal of 100 columns shows it.
    #[test]
    fn help_is_as_it_was_reviewed() {
        let mut texts = String::new();
        append_help(&mut definition().term_width(100), &mut texts);
        insta::assert_snapshot!(texts);
    }

    fn append_help(command: &mut clap::Command, texts: &mut String) {
        command.build();
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        texts.push_str(lines.join("\n").trim_end());
        texts.push_str("\n\n\n");
        for subcommand in command.get_subcommands_mut() {
            if subcommand.get_name() != "help" {
                append_help(subcommand, texts);
            }
        }
    }

    #[test]
    fn help_names_the_defaults_that_count() {
        let definition = definition();
        for (command, argument, default) in [
            ("serve", "listen", LISTEN.to_string()),
            ("keys", "server", format!("http://{LISTEN}")),
            ("serve", "database_connections", CONNECTIONS.to_string()),
            ("serve", "jwt_audience", JwtSettings::default().audience),
            (
                "serve",
                "usage_retention",
                UsageRetention::default().to_string(),
            ),
        ] {
            let command = definition.find_subcommand(command).unwrap();
            let mut arguments = command.get_arguments();
            let argument = arguments.find(|known| known.get_id() == argument).unwrap();
            let help = argument.get_help().unwrap().to_string();
            assert!(help.ends_with(&format!("[default: {default}]")), "{help}");
        }
    }

    #[test]
    fn every_option_of_serve_is_a_variable_too() {
        let definition = definition();
        let serve = definition.find_subcommand("serve").unwrap();
        for argument in serve
            .get_arguments()
            .filter(|argument| argument.get_long().is_some())
        {
            let long = argument.get_long().unwrap();
            let variable = format!("KEYWRIGHT_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(
                argument.get_env().and_then(|name| name.to_str()),
                Some(variable.as_str()),
                "--{long}"
            );
        }
    }
}
