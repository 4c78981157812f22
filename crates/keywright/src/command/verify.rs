//! `keywright verify`.

use std::io::{IsTerminal, Read};

use clap::Args;
use comfy_table::Cell;
use keywright_api::{FoundCode, FoundKey, Verification, VerifyKey};
use reqwest::Method;
use zeroize::{Zeroize, Zeroizing};

use crate::client::ConnectionOptions;
use crate::command::wait_for;
use crate::failure::Failure;
use crate::{output, table};

/// More than the server takes as a key: it may say what is wrong with a longer text.
const MAX_BYTES: u64 = 8 * 1024;

/// Ask whether a key is good; the key is read from standard input
#[derive(Debug, Args)]
#[command(
    after_help = "\
Examples:
  keywright verify --permission READ_GRAPH <key-file
  keywright verify <<<\"$KEY\" && echo good

Exit codes: 0 the key is good for what was asked; 1 it is not, or nobody can tell now; 2 asked for
wrongly.",
    override_usage = "keywright verify [OPTIONS] <FILE"
)]
pub(crate) struct Verify {
    /// What the key must be allowed, all of it; may be repeated
    #[arg(long = "permission", value_name = "NAME,…", value_delimiter = ',')]
    permissions: Vec<String>,
    /// The keyspace it must belong to [default: any but that of service keys]
    #[arg(long, value_name = "NAME")]
    keyspace: Option<String>,
    /// Taken only to be refused, unquoted.
    #[arg(hide = true)]
    key_as_argument: Option<String>,
    #[command(flatten)]
    connection: ConnectionOptions,
}

impl Verify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.key_as_argument.is_some() {
            return Err(Failure::usage(
                "the key is read from standard input, never from an argument, which every user of this machine can \
                 read: if there are others, revoke that key. Write keywright verify <FILE",
            ));
        }
        wait_for(self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let mut question = VerifyKey {
            key: key_from_standard_input()?,
            permissions: self.permissions,
            keyspace: self.keyspace,
        };
        let request = client
            .request(Method::POST, &["api", "verify"])?
            .body(&question);
        question.key.zeroize();
        let answer = client.send(request).await?;
        let verification: Verification = answer.read()?;
        let shown = if self.connection.json {
            output::line(answer.as_text())
        } else {
            show(&verification)
        };
        // The exit code is the answer, whoever reads the rest.
        let is_valid = matches!(&verification, Verification::Found(found) if found.valid);
        match shown.map_err(Failure::from) {
            Err(refused @ Failure::Refused(_)) => Err(refused),
            _ if is_valid => Ok(()),
            _ => Err(Failure::No),
        }
    }
}

fn key_from_standard_input() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let mut text = Zeroizing::new(String::new());
    let read = if stdin.is_terminal() {
        output::note("Enter the key:");
        stdin.read_line(&mut text)
    } else {
        stdin.lock().take(MAX_BYTES).read_to_string(&mut text)
    };
    read.map_err(|error| {
        Failure::usage(format!(
            "standard input: {error}; the key is read from there"
        ))
    })?;
    let key = text.trim();
    if key.is_empty() {
        return Err(Failure::usage(
            "standard input is empty; the key is read from there",
        ));
    }
    Ok(key.to_owned())
}

fn show(verification: &Verification) -> std::io::Result<()> {
    let Verification::Found(found) = verification else {
        return table::print(table::of_one(&[("code", table::bad("NOT_FOUND"))]));
    };
    let metadata = serde_json::to_string(&found.metadata)?;
    let mut fields = vec![("code", code(found))];
    if let Some(missing) = &found.missing_permissions {
        fields.push(("missing", table::names(missing)));
    }
    fields.extend([
        ("key id", Cell::new(found.key_id)),
        ("name", table::text(&found.name)),
        (
            "user",
            table::optional(Some(&*found.user_id).filter(|id| !id.is_empty())),
        ),
        ("keyspace", table::text(&found.keyspace)),
        ("permissions", table::names(&found.permissions)),
        (
            "expires",
            table::optional_moment(found.expires_at.as_deref()),
        ),
        ("metadata", table::text(&metadata)),
    ]);
    table::print(table::of_one(&fields))
}

fn code(found: &FoundKey) -> Cell {
    match found.code {
        FoundCode::Valid => table::good("VALID"),
        FoundCode::Revoked => table::bad("REVOKED"),
        FoundCode::Suspended => table::doubtful("SUSPENDED"),
        FoundCode::Expired => table::bad("EXPIRED"),
        FoundCode::InsufficientPermissions => table::doubtful("INSUFFICIENT_PERMISSIONS"),
    }
}
