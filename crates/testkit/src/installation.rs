//! Where PostgreSQL's programs are, and how to run them as somebody it accepts.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The account that owns PostgreSQL on every distribution that packages it.
const ACCOUNT: &str = "postgres";

/// A PostgreSQL server package found on this machine.
#[derive(Debug)]
pub(crate) struct Installation {
    programs: PathBuf,
    /// Present when running as root, whom the server refuses to serve.
    account: Option<Account>,
}

#[derive(Debug)]
struct Account {
    user: u32,
    group: u32,
}

impl Installation {
    /// Finds the newest server that `pg_config` or Debian's layout knows.
    ///
    /// # Panics
    /// If there is none, or if root has no `postgres` account to run it as.
    pub(crate) fn find() -> Self {
        let programs = from_pg_config()
            .into_iter()
            .chain(from_debian_layout())
            .find(|programs| programs.join("initdb").exists())
            .unwrap_or_else(|| {
                panic!(
                    "no PostgreSQL server (initdb, pg_ctl) on this machine: run scripts/test, \
                     which installs it, or install the package `postgresql`, or name a running \
                     cluster in {}",
                    crate::VARIABLE
                )
            });
        let account = rustix::process::geteuid().is_root().then(find_account);
        Self { programs, account }
    }

    /// Gives `path` to whoever will run the server.
    pub(crate) fn hand_over(&self, path: &Path) {
        if let Some(Account { user, group }) = self.account {
            chown(path, Some(user), Some(group)).unwrap_or_else(|error| {
                panic!("could not give {} to {ACCOUNT}: {error}", path.display())
            });
        }
    }

    /// One of PostgreSQL's programs, as the account that may run it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if self.account.is_some() {
            let mut command = Command::new("setpriv");
            command.arg("--reuid").arg(ACCOUNT);
            command.arg("--regid").arg(ACCOUNT);
            command.arg("--init-groups").arg("--").arg(path);
            command
        } else {
            Command::new(path)
        };
        // The account may not enter the directory that the tests run in, and
        // settings of the person who runs them must not reach the server.
        command.current_dir("/");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }
}

/// The program psql itself: what is on Debian's PATH is a script that looks for it first, which takes longer than
/// what it then does.
pub(crate) fn psql() -> &'static Path {
    static PSQL: OnceLock<PathBuf> = OnceLock::new();

    PSQL.get_or_init(|| {
        from_pg_config()
            .into_iter()
            .chain(from_debian_layout())
            .map(|programs| programs.join("psql"))
            .find(|program| program.exists())
            .unwrap_or_else(|| PathBuf::from("psql"))
    })
}

/// The output of a program that must have succeeded.
pub(crate) fn finish(program: &str, output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("could not start {program}: {error}"));
    assert!(
        output.status.success(),
        "{program} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(directory.trim()))
}

/// Debian keeps the programs of each major version in a directory of its own
/// that is on nobody's PATH.
fn from_debian_layout() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, programs)| programs).collect()
}

fn find_account() -> Account {
    let number = |flag: &str| -> Option<u32> {
        let output = Command::new("id").args([flag, ACCOUNT]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    match (number("-u"), number("-g")) {
        (Some(user), Some(group)) => Account { user, group },
        _ => panic!(
            "PostgreSQL refuses to run as root and there is no account `{ACCOUNT}` to run it as: \
             install the package `postgresql`, or run the tests as another user"
        ),
    }
}
