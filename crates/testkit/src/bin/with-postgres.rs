//! `with-postgres COMMAND…` runs a command beside a PostgreSQL cluster of its
//! own, named to it in `KEYWRIGHT_TEST_POSTGRES`, and exits as the command did.
//! A cluster that is already named there is used, and left as it was.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, ExitStatus};

use keywright_testkit::{TemporaryPostgres, VARIABLE};

/// What shells answer for a command that cannot be started.
const NOT_STARTED: u8 = 127;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        return refuse("usage: with-postgres COMMAND…", USAGE);
    };
    let cluster = env::var_os(VARIABLE)
        .is_none()
        .then(TemporaryPostgres::start);
    let mut command = Command::new(&program);
    command.args(arguments);
    if let Some(cluster) = &cluster {
        command.env(VARIABLE, OsString::from(cluster.admin_url()));
    }
    match command.status() {
        Ok(status) => ExitCode::from(as_a_shell_says_it(status)),
        Err(error) => refuse(
            &format!("could not start {}: {error}", program.display()),
            NOT_STARTED,
        ),
    }
}

fn refuse(sentence: &str, code: u8) -> ExitCode {
    // Without a standard error there is nobody to tell; the code remains.
    let _ = writeln!(io::stderr(), "{sentence}");
    ExitCode::from(code)
}

/// The exit code, or 128 and the number of the signal that ended the command.
fn as_a_shell_says_it(status: ExitStatus) -> u8 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}
