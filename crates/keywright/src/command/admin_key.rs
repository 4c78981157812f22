//! `keywright admin-key`.

use std::path::PathBuf;

use clap::Args;

use crate::configuration::{ConfigurationFile, DatabaseUrl, FileOption, Storage, StorageOptions};
use crate::failure::Failure;
use crate::service_key::Destination;
use crate::{database, service_key};

/// Make a service key straight in the database, when all are lost
#[derive(Debug, Args)]
#[command(after_help = "\
The key has every permission. An embedded database must not be in use: stop its server first. Once
the server runs again, revoke the keys that were lost: keywright keys list --keyspace keywright

Example:
  keywright admin-key --admin-key-file keywright-data/admin-key")]
pub(crate) struct AdminKey {
    /// File to write it to [default: standard output]
    #[arg(long = "admin-key-file", value_name = "FILE")]
    destination: Option<PathBuf>,
    #[command(flatten)]
    file: FileOption,
    #[command(flatten)]
    storage: StorageOptions,
}

impl AdminKey {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = ConfigurationFile::read(self.file.config.as_deref())?;
        let storage = Storage::resolve(self.storage, &file)?;
        if let DatabaseUrl::Sqlite(path) = &storage.database
            && !path.exists()
        {
            return Err(Failure::refused(format!(
                "there is no database {}: name it with --database or its folder with --data-dir; a new one gets its \
                 first service key from `keywright serve`",
                path.display()
            )));
        }
        let destination = self
            .destination
            .map_or(Destination::Output, Destination::File);
        super::wait_for(async {
            let store = database::open(&storage).await?;
            let made = service_key::make_another(&*store, &destination).await;
            store.close().await;
            made
        })
    }
}
