//! `keywright completions`.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::{arguments, output};

/// Print a script that completes commands in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright completions bash >/etc/bash_completion.d/keywright
  keywright completions fish >~/.config/fish/completions/keywright.fish")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut arguments::definition(),
            "keywright",
            &mut script,
        );
        Ok(output::line(String::from_utf8_lossy(&script).trim_end())?)
    }
}
