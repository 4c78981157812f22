//! Keywright: issues API keys, verifies them and retires them.
//!
//! This crate is the program: configuration, telemetry and the command line. It is the only one that names a
//! concrete store, and the only one that takes the clock and randomness from the operating system ([`system`]).

#![expect(
    clippy::doc_markdown,
    reason = "documentation of arguments is help text, which a terminal shows as it is"
)]

mod arguments;
mod client;
mod command;
mod configuration;
mod database;
mod failure;
mod output;
mod private_file;
mod service_key;
mod system;
mod table;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    system::keep_secrets_in_the_process();
    match arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
