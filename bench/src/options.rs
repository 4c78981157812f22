//! Options that every program takes.

use clap::Args;

/// To be flattened into a program's own options.
#[derive(Debug, Clone, Copy, Args)]
pub struct CommonOptions {
    /// Run for a very short time with tiny sizes, to see that everything works; the figures mean nothing
    #[arg(long)]
    pub smoke: bool,
}

impl CommonOptions {
    /// `chosen` if the user chose, else what is usual: `tiny` in a smoke run.
    pub fn size<T>(self, chosen: Option<T>, usual: T, tiny: T) -> T {
        chosen.unwrap_or(if self.smoke { tiny } else { usual })
    }
}
