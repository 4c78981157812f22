//! `keywright migrate`.

use clap::Args;

use crate::configuration::{ConfigurationFile, DatabaseUrl, FileOption, Storage, StorageOptions};
use crate::failure::Failure;
use crate::{database, output};

/// Bring the database to the schema of this version
#[derive(Debug, Args)]
#[command(after_help = "\
`keywright serve` does the same when it starts. This is for those who want it done before, or by
another database user. A database can be brought forward and not back: make a copy first.")]
pub(crate) struct Migrate {
    #[command(flatten)]
    file: FileOption,
    #[command(flatten)]
    storage: StorageOptions,
}

impl Migrate {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = ConfigurationFile::read(self.file.config.as_deref())?;
        let storage = Storage::resolve(self.storage, &file)?;
        super::wait_for(async {
            let before = match &storage.database {
                DatabaseUrl::Sqlite(path) if !path.exists() => None,
                database => database::schema_versions(database).await?.applied,
            };
            let store = database::open(&storage).await?;
            store.close().await;
            let now = database::schema_versions(&storage.database).await?.known;
            Ok(output::line(&match before {
                Some(before) if before == now => {
                    format!("{}: already at schema {now}", storage.database)
                }
                Some(before) => format!(
                    "{}: migrated from schema {before} to {now}",
                    storage.database
                ),
                None => format!("{}: made at schema {now}", storage.database),
            })?)
        })
    }
}
