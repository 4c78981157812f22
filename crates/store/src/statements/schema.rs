//! The tables, brought up to date when a database is opened, and the rows that every database begins with.

use keywright_core::ambient::{Entropy, EntropyError};
use keywright_core::identifier::UserId;
use keywright_core::key_text::{TagKey, TagKeys};
use keywright_core::keyspace::Keyspace;
use keywright_core::timestamp::Timestamp;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use super::{
    Change, Connection, Failure, LEDGER_EXISTS, MIGRATIONS, Made, keyspaces, meaning, query, users,
};
use crate::{OpenError, SchemaVersions};

/// Where sqlx keeps which migrations ran.
const LEDGER: &str = "_sqlx_migrations";

fn known() -> Vec<Migration> {
    MIGRATIONS
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect()
}

/// The newest migration in the database, and the newest that this program knows.
pub(crate) async fn applied_and_known(
    connection: &mut Connection,
) -> Result<SchemaVersions, OpenError> {
    let applied = applied(connection).await?;
    let known = known()
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    Ok(SchemaVersions {
        applied: applied.iter().map(|(version, _)| *version).max(),
        known,
    })
}

/// What has been applied: numbers with checksums. Nothing where there is no ledger yet.
async fn applied(connection: &mut Connection) -> Result<Vec<(i64, Vec<u8>)>, OpenError> {
    let ledger = query(LEDGER_EXISTS).fetch_optional(&mut *connection).await;
    if ledger.map_err(|error| meaning(error.into()))?.is_none() {
        return Ok(Vec::new());
    }
    let applied = connection
        .list_applied_migrations(LEDGER)
        .await
        .map_err(migration_failed)?;
    Ok(applied
        .into_iter()
        .map(|one| (one.version, one.checksum.into_owned()))
        .collect())
}

/// Brings the tables up to date. Forward only; a database of a newer program is refused before it is touched.
pub(crate) async fn prepare_database(connection: &mut Connection) -> Result<(), OpenError> {
    let SchemaVersions {
        applied: newest,
        known: newest_known,
    } = applied_and_known(connection).await?;
    if let Some(found) = newest.filter(|&found| found > newest_known) {
        return Err(OpenError::NewerSchema {
            found,
            known: newest_known,
        });
    }
    // A database that is up to date is not written to: on PostgreSQL the program may then do without the right to
    // make tables.
    let applied = applied(connection).await?;
    let known = known();
    if applied.len() == known.len()
        && known.iter().all(|one| {
            applied
                .iter()
                .any(|(version, sum)| *version == one.version && **sum == *one.checksum)
        })
    {
        return Ok(());
    }
    // Not `ignore_missing`: whatever was applied must be known, also what another process applied since.
    Migrator::with_migrations(known)
        .run_direct(None, connection, false)
        .await
        .map_err(migration_failed)
}

fn migration_failed(error: MigrateError) -> OpenError {
    match error {
        MigrateError::Execute(error) => OpenError::Store(meaning(error.into())),
        MigrateError::ExecuteMigration(error, version) => match meaning(error.into()) {
            crate::StoreError::Internal(text) => {
                OpenError::Migration(format!("migration {version}: {text}"))
            }
            other => OpenError::Store(other),
        },
        other => OpenError::Migration(other.to_string()),
    }
}

/// The rows that every database begins with: the built-in keyspaces, each with a tag key of its own, and the owner
/// of service keys. Where they are there already, also by another node at the same moment, they stay as they are.
pub(crate) struct Built {
    keyspaces: Vec<(Keyspace, TagKeys)>,
    now: Timestamp,
}

impl Built {
    /// Draws the tag keys.
    pub(crate) fn new(now: Timestamp, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let with_tag_keys = |keyspace| Ok((keyspace, TagKeys::new(TagKey::generate(entropy)?)));
        let keyspaces = Keyspace::built_in(now)
            .into_iter()
            .map(with_tag_keys)
            .collect::<Result<_, _>>()?;
        Ok(Self { keyspaces, now })
    }
}

impl Change for Built {
    type Outcome = ();

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        let owner = UserId::reserved();
        if !users::is_known(connection, &owner).await? {
            users::insert(connection, &owner, self.now).await?;
        }
        for (keyspace, tag_keys) in &self.keyspaces {
            if keyspaces::find(connection, keyspace.name.as_str())
                .await?
                .is_none()
            {
                keyspaces::insert(connection, keyspace, tag_keys).await?;
            }
        }
        Ok(Made::unrecorded(()))
    }
}
