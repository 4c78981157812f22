//! What is checked. Nothing is changed by it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keywright_store::SchemaVersions;
use rustix::fs::Access;
use secrecy::ExposeSecret;

use super::Finding;
use crate::configuration::{Configuration, DatabaseUrl, SecretSource};
use crate::failure::Failure;
use crate::private_file::{self, FILE_MODE, FOLDER_MODE};
use crate::{database, service_key};

/// Whatever of a server's own machine can be checked without the server.
pub(super) async fn all(configuration: &Configuration) -> Vec<Finding> {
    let storage = &configuration.storage;
    let mut findings = vec![
        Finding::ok(
            "configuration",
            format!(
                "listen on {}, database {}",
                configuration.network.listen, storage.database
            ),
        ),
        data_folder(configuration),
    ];
    findings.extend(jwt(configuration));
    let (database, versions) = database(&storage.database).await;
    findings.extend(database);
    if let Some(versions) = versions {
        findings.push(migrations(versions));
        findings.push(service_keys(configuration, versions).await);
    }
    findings.extend(admin_key_file(configuration));
    findings
}

fn data_folder(configuration: &Configuration) -> Finding {
    const ABOUT: &str = "data folder";
    let path = &configuration.storage.data_dir;
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::warn(
            ABOUT,
            format!("{shown} is not there yet: `keywright serve` makes what it needs of it"),
        ),
        Err(error) => Finding::fail(ABOUT, format!("{shown}: {error}")),
        Ok(found) if !found.is_dir() => Finding::fail(
            ABOUT,
            format!("{shown} is no folder: move it away, or name another with --data-dir"),
        ),
        Ok(_) if rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() => {
            Finding::fail(
                ABOUT,
                format!("{shown} cannot be written by this user: run as its owner, or chown it"),
            )
        }
        Ok(found) => permissions(ABOUT, path, &found, FOLDER_MODE)
            .unwrap_or_else(|| Finding::ok(ABOUT, format!("{shown} is its owner's alone"))),
    }
}

fn jwt(configuration: &Configuration) -> Vec<Finding> {
    const ABOUT: &str = "JWTs of users";
    let rules = &configuration.jwt;
    let secret = match (&rules.secret, rules.secret.load()) {
        (SecretSource::None, _) => None,
        (SecretSource::Kept(path), _) if !path.exists() => {
            let shown = path.display();
            Some(Finding::warn(
                ABOUT,
                format!("{shown} is not there yet: `keywright serve` makes it"),
            ))
        }
        (_, Err(Failure::Usage(text) | Failure::Refused(text))) => Some(Finding::fail(ABOUT, text)),
        (SecretSource::Kept(path) | SecretSource::File(path), _) => Some(
            private(ABOUT, path)
                .unwrap_or_else(|| Finding::ok(ABOUT, format!("secret in {}", path.display()))),
        ),
        (SecretSource::Given(_), _) => Some(Finding::ok(ABOUT, "secret from the configuration")),
    };
    let jwks = rules
        .jwks_url
        .as_ref()
        .map(|url| Finding::ok(ABOUT, format!("keys from {url}")));
    secret.into_iter().chain(jwks).collect()
}

async fn database(database: &DatabaseUrl) -> (Vec<Finding>, Option<SchemaVersions>) {
    const ABOUT: &str = "database";
    if let DatabaseUrl::Sqlite(path) = database
        && !path.exists()
    {
        let shown = path.display();
        return (
            vec![Finding::warn(
                ABOUT,
                format!("{shown} is not there yet: `keywright serve` makes it"),
            )],
            None,
        );
    }
    match database::damage(database).await {
        Ok(None) => {}
        Ok(Some(damage)) => {
            let text = format!(
                "{database} is damaged ({damage}): stop the server, keep a copy of its files, and restore a backup"
            );
            return (vec![Finding::fail(ABOUT, text)], None);
        }
        Err(Failure::Usage(text) | Failure::Refused(text)) => {
            return (vec![Finding::fail(ABOUT, text)], None);
        }
        Err(_) => return (vec![], None),
    }
    match database::schema_versions(database).await {
        Err(Failure::Usage(text) | Failure::Refused(text)) => {
            (vec![Finding::fail(ABOUT, text)], None)
        }
        Err(_) => (vec![], None),
        Ok(versions) => {
            let careless = match database {
                DatabaseUrl::Sqlite(path) => private(ABOUT, path),
                DatabaseUrl::Postgres(_) => None,
            };
            let careless = unwritable(ABOUT, database).or(careless);
            (
                vec![careless.unwrap_or_else(|| Finding::ok(ABOUT, "it answers"))],
                Some(versions),
            )
        }
    }
}

fn migrations(versions: SchemaVersions) -> Finding {
    const ABOUT: &str = "migrations";
    let SchemaVersions { applied, known } = versions;
    match applied {
        None => Finding::warn(
            ABOUT,
            "the database is empty: `keywright serve` or `keywright migrate` makes its tables",
        ),
        Some(applied) if applied < known => Finding::warn(
            ABOUT,
            format!(
                "schema {applied}, and this version has {known}: `keywright serve` or `keywright migrate` brings it forward"
            ),
        ),
        Some(applied) if applied > known => Finding::fail(
            ABOUT,
            format!(
                "schema {applied}, and this version knows up to {known}: run the newer keywright"
            ),
        ),
        Some(applied) => Finding::ok(ABOUT, format!("schema {applied}")),
    }
}

async fn service_keys(configuration: &Configuration, versions: SchemaVersions) -> Finding {
    const ABOUT: &str = "service key";
    if versions.applied.is_none() {
        return Finding::warn(ABOUT, "none yet: `keywright serve` makes the first");
    }
    if versions.applied != Some(versions.known) {
        return Finding::warn(ABOUT, "not looked for before the database is migrated");
    }
    match database::service_key_exists(&configuration.storage).await {
        Ok(true) => Finding::ok(ABOUT, "there is one"),
        Ok(false) => Finding::warn(ABOUT, "none yet: `keywright serve` makes the first"),
        Err(Failure::Usage(text) | Failure::Refused(text)) => Finding::fail(ABOUT, text),
        Err(_) => Finding::fail(ABOUT, "not known"),
    }
}

fn admin_key_file(configuration: &Configuration) -> Option<Finding> {
    const ABOUT: &str = "admin-key file";
    let path = configuration.admin_key_path();
    let shown = path.display();
    match private_file::read(&path) {
        Ok(Some(text)) if service_key::is_service_key(text.expose_secret()) => {
            Some(private(ABOUT, &path).unwrap_or_else(|| {
                Finding::ok(
                    ABOUT,
                    format!("{shown}: move the key where secrets are kept"),
                )
            }))
        }
        Ok(Some(_)) => Some(Finding::warn(
            ABOUT,
            format!("{shown} holds something else than a service key"),
        )),
        Err(Failure::Usage(text) | Failure::Refused(text)) => Some(Finding::fail(ABOUT, text)),
        Ok(None) | Err(_) => None,
    }
}

/// Which file of an embedded database its server could not write, if any.
fn unwritable(about: &'static str, database: &DatabaseUrl) -> Option<Finding> {
    let files = database::written_files(database);
    let closed = files
        .iter()
        .find(|file| rustix::fs::access(*file, Access::READ_OK | Access::WRITE_OK).is_err())?;
    let shown = closed.display();
    Some(Finding::fail(
        about,
        format!(
            "{shown} cannot be written by this user, so that `keywright serve` does not start: run as its owner, or \
             chown it, or chmod u+rw it"
        ),
    ))
}

/// What is wrong with the permissions of a file that holds a secret, if anything.
fn private(about: &'static str, path: &Path) -> Option<Finding> {
    match fs::metadata(path) {
        Ok(found) => permissions(about, path, &found, FILE_MODE),
        Err(error) => Some(Finding::fail(about, format!("{}: {error}", path.display()))),
    }
}

fn permissions(
    about: &'static str,
    path: &Path,
    found: &fs::Metadata,
    wanted: u32,
) -> Option<Finding> {
    let mode = found.permissions().mode() & 0o777;
    (mode & !wanted != 0).then(|| {
        let shown = path.display();
        Finding::fail(
            about,
            format!("{shown} is open to others (mode {mode:04o}): chmod {wanted:04o} {shown}"),
        )
    })
}
