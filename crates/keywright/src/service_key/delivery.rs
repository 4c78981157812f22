//! Handing the text of a service key over in a file, whatever happens in between.
//!
//! The text is on the disk under another name before the key is in the database, and gets its final name after. So
//! a crash leaves a file that no database knows, which the next start clears away, or a key whose text waits beside,
//! which the next start hands over. It never leaves a key whose text is nowhere, nor half a file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use keywright_core::digest::Digest;
use keywright_core::key_text::{KeyText, WellFormed};
use keywright_core::keyspace::Keyspace;
use keywright_core::timestamp::Timestamp;
use keywright_store::Store;
use rustix::fs::{FlockOperation, flock};
use secrecy::ExposeSecret;

use crate::database;
use crate::failure::Failure;
use crate::private_file;

/// A file that is about to hold a service key. While this lives, no other process writes one to the same folder.
pub(super) struct Delivery {
    path: PathBuf,
    unfinished: PathBuf,
    _lock: File,
}

impl Delivery {
    /// Makes sure that the file may be written.
    ///
    /// # Errors
    /// Where it holds something else than a service key, or its folder cannot be used.
    pub(super) async fn begin(path: &Path) -> Result<Self, Failure> {
        apart(path, Self::begin_here).await
    }

    fn begin_here(path: &Path) -> Result<Self, Failure> {
        private_file::ensure_folder(private_file::folder_of(path))?;
        let delivery = Self::locked(path)?;
        delivery.refuse_to_overwrite()?;
        match fs::remove_file(&delivery.unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::file(&delivery.unfinished, error))
            }
            _ => Ok(delivery),
        }
    }

    fn locked(path: &Path) -> Result<Self, Failure> {
        let Some(name) = path.file_name() else {
            return Err(Failure::usage(format!(
                "{} is no name of a file",
                path.display()
            )));
        };
        let mut unfinished = name.to_owned();
        unfinished.push(".unfinished");
        let folder = private_file::folder_of(path);
        let lock = File::open(folder).map_err(|error| Failure::file(folder, error))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| Failure::file(folder, error))?;
        Ok(Self {
            path: path.to_owned(),
            unfinished: path.with_file_name(unfinished),
            _lock: lock,
        })
    }

    fn refuse_to_overwrite(&self) -> Result<(), Failure> {
        let is_file = fs::symlink_metadata(&self.path)
            .map_or(true, |found| found.is_file() || found.is_symlink());
        let there = if is_file {
            private_file::read(&self.path).ok()
        } else {
            None
        };
        match there {
            Some(None) => Ok(()),
            Some(Some(text))
                if text.expose_secret().is_empty() || is_service_key(text.expose_secret()) =>
            {
                Ok(())
            }
            _ => Err(Failure::refused(format!(
                "{} is there and holds something else than a service key, so none is written to it: move it away, or \
                 name another file with --admin-key-file",
                self.path.display()
            ))),
        }
    }

    /// Puts the text on the disk, not yet under its name.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(&self, text: &KeyText) -> Result<(), Failure> {
        private_file::write_new(&self.unfinished, text.expose())
            .map_err(|error| Failure::file(&self.unfinished, error))
    }

    /// The key is in the database: gives the file its name.
    ///
    /// # Errors
    /// Where it cannot be renamed; it then holds the text of a good key under its other name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        private_file::rename(&self.unfinished, &self.path).map_err(|error| {
            Failure::refused(format!(
                "{}: {error}; the service key was made, and its text is in {}",
                self.path.display(),
                self.unfinished.display()
            ))
        })
    }

    /// The key is not in the database and will not be: removes the file.
    pub(super) fn withdraw(self) {
        // What cannot be removed holds the text of no key.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Waits for the folder's lock on a thread of its own: another process may hold it for as long as it likes, and this
/// one must hear when it is to stop.
async fn apart(
    path: &Path,
    wait: impl FnOnce(&Path) -> Result<Delivery, Failure> + Send + 'static,
) -> Result<Delivery, Failure> {
    let owned = path.to_owned();
    let waited = tokio::task::spawn_blocking(move || wait(&owned)).await;
    waited.unwrap_or_else(|error| Err(Failure::file(path, error)))
}

/// Hands over what a crash after the commit left beside `path`.
///
/// # Errors
/// Where the database cannot tell, or the file cannot be renamed.
pub(super) async fn finish_interrupted(store: &dyn Store, path: &Path) -> Result<(), Failure> {
    if !private_file::folder_of(path).is_dir() {
        return Ok(());
    }
    let delivery = apart(path, Delivery::locked).await?;
    let Some(text) = private_file::read(&delivery.unfinished)? else {
        return Ok(());
    };
    let digest = Digest::of(text.expose_secret());
    let known = store
        .find_key_by_digest(&digest)
        .await
        .map_err(|error| database::failed(&error))?;
    if known.is_none() {
        delivery.withdraw();
        return Ok(());
    }
    delivery.refuse_to_overwrite()?;
    delivery.finish()?;
    super::announce(path);
    Ok(())
}

/// Whether a text has the form of a service key.
pub(crate) fn is_service_key(text: &str) -> bool {
    let [_, service] = Keyspace::built_in(Timestamp::from_micros(0));
    WellFormed::parse(text).is_some_and(|text| text.prefix() == service.prefix.as_str())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use keywright_core::key_text::TagKey;

    use super::*;
    use crate::system::SystemEntropy;

    fn service_key() -> KeyText {
        let [_, service] = Keyspace::built_in(Timestamp::from_micros(0));
        let tag_key = TagKey::generate(&SystemEntropy).unwrap();
        KeyText::mint(&service.prefix, &tag_key, &SystemEntropy).unwrap()
    }

    #[test]
    fn an_older_service_key_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-key");
        private_file::write_new(&path, service_key().expose()).unwrap();
        let key = service_key();
        let delivery = Delivery::begin_here(&path).unwrap();
        delivery.write(&key).unwrap();
        delivery.finish().unwrap();
        assert_eq!(
            private_file::read(&path).unwrap().unwrap().expose_secret(),
            key.expose()
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_else_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        fs::write(&notes, "dear diary").unwrap();
        let link = folder.path().join("link");
        symlink(&notes, &link).unwrap();
        for path in [notes.as_path(), &link, folder.path()] {
            assert!(
                matches!(Delivery::begin_here(path), Err(Failure::Refused(_))),
                "{}",
                path.display()
            );
        }
        assert_eq!(fs::read_to_string(&notes).unwrap(), "dear diary");
    }

    #[test]
    fn what_a_crash_before_the_commit_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-key");
        Delivery::begin_here(&path)
            .unwrap()
            .write(&service_key())
            .unwrap();
        let delivery = Delivery::begin_here(&path).unwrap();
        delivery.write(&service_key()).unwrap();
        delivery.withdraw();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
