//! A database as somebody sees it who goes round the server: by `sqlite3` and `psql`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use keywright_testkit::TestDatabase;

/// Where a world keeps what it knows.
#[derive(Debug)]
pub(crate) enum Database {
    /// The file that the server keeps in its data folder.
    Sqlite(PathBuf),
    /// A database of the cluster that tests share.
    Shared(TestDatabase),
    /// A database of a cluster that the test has to itself.
    Own(String),
}

impl Database {
    /// How the program is told of it; `None` where the default will do.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Sqlite(_) => None,
            Self::Shared(database) => Some(database.url()),
            Self::Own(url) => Some(url),
        }
    }

    /// Runs statements; gives one line for each row, columns parted by `|`.
    #[track_caller]
    pub(crate) fn query(&self, statements: &str) -> Vec<String> {
        let output = match self {
            Self::Sqlite(file) => tool(
                "sqlite3",
                [
                    "-batch".as_ref(),
                    "-bail".as_ref(),
                    "-cmd".as_ref(),
                    ".timeout 10000".as_ref(),
                    file.as_os_str(),
                    statements.as_ref(),
                ],
            ),
            Self::Shared(_) | Self::Own(_) => {
                let url = self.url().unwrap_or_default();
                tool(
                    "psql",
                    [
                        "-XqAt",
                        "-v",
                        "ON_ERROR_STOP=1",
                        "-d",
                        url,
                        "-c",
                        statements,
                    ]
                    .map(OsStr::new),
                )
            }
        };
        output.lines().map(str::to_owned).collect()
    }

    /// The one number that a statement answers.
    #[track_caller]
    pub(crate) fn number(&self, statement: &str) -> i64 {
        let rows = self.query(statement);
        match rows.as_slice() {
            [number] => number.parse().expect("a number"),
            _ => panic!("{statement}: {rows:?}"),
        }
    }

    /// All tables as SQL.
    pub(crate) fn dump(&self) -> String {
        match self {
            Self::Sqlite(file) => tool(
                "sqlite3",
                ["-batch".as_ref(), file.as_os_str(), ".dump".as_ref()],
            ),
            Self::Shared(_) | Self::Own(_) => tool(
                "pg_dump",
                ["-d", self.url().unwrap_or_default()].map(OsStr::new),
            ),
        }
    }
}

/// What a tool prints that must succeed.
#[track_caller]
fn tool<'a>(name: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> String {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("could not start {name}: {error}; scripts/test installs it")
        });
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {error}");
    String::from_utf8(output.stdout).expect("a dump is UTF-8")
}
