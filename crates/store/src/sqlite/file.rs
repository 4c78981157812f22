//! The file of an embedded database, and the lock that makes it this process's own.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::OpenError;

/// The ending of the lock's file.
const LOCK: &str = ".lock";
/// That of the log: what was committed since it was last moved into the database.
const WAL: &str = "-wal";
/// That of the log's index.
const SHM: &str = "-shm";

/// A database file that nobody else opens while this value lives.
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// The lock is the open file's: it goes when this is closed, also by kill -9.
    _lock: File,
}

impl DatabaseFile {
    /// Makes what is missing (folder 0700, file 0600) and takes the lock.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        let folder = folder_of(path);
        make_private_folder(folder).map_err(of(folder))?;
        private(path).map_err(of(path))?;
        // So that two names of one file (a symbolic link, a relative path) have one lock.
        let path = path.canonicalize().map_err(of(path))?;
        let lock_path = beside(&path, LOCK);
        let lock = private(&lock_path).map_err(of(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse {
                database: path,
                lock: lock_path,
            }),
            Err(error) => Err(OpenError::File {
                path: lock_path,
                source: error.into(),
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn of(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::File { path, source }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Whether nobody has the database open, and its log holds nothing that the file itself does not.
pub(super) fn is_at_rest(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else {
        return false;
    };
    let logged = beside(&path, WAL).metadata().is_ok_and(|log| log.len() > 0);
    // The lock is let go of at once: a server that starts meanwhile is not to be kept from it.
    let held = File::open(beside(&path, LOCK))
        .map(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).is_err());
    match held {
        Ok(held) => !held && !logged,
        Err(error) => error.kind() == io::ErrorKind::NotFound && !logged,
    }
}

/// What whoever serves the database at `path` must be able to write, as far as it is there: its files and their folder.
pub(super) fn written(path: &Path) -> Vec<PathBuf> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let beside_it = [WAL, SHM, LOCK].map(|ending| beside(&path, ending));
    let mut there = vec![folder_of(&path).to_owned()];
    there.push(path);
    there.extend(beside_it);
    there.retain(|path| path.exists());
    there
}

/// Makes the folder, and those it is in, where they are missing: for this user alone (0700), and on the disk when this
/// returns. I1 holds for the first commit too: a folder that a power loss takes away would take it along. (SQLite does
/// the same for the files in it.)
///
/// # Errors
/// Where a folder cannot be made, where its name is that of something else, or where the folder it is in cannot be
/// opened and synced.
pub fn make_private_folder(folder: &Path) -> io::Result<()> {
    make_missing(folder, &mut |parent| File::open(parent)?.sync_all())
}

/// Calls `sync` with the folder that each new one is in, after it was made.
fn make_missing(folder: &Path, sync: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    make_missing(parent, sync)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another process made it just now, and need not have synced it yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    sync(parent)
}

/// The folder that a file or folder is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Opens a file for writing, making it for this user alone where it is missing.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn synced_by_making(folder: &Path) -> Vec<PathBuf> {
        let mut synced = Vec::new();
        let mut sync = |parent: &Path| {
            synced.push(parent.to_owned());
            Ok(())
        };
        make_missing(folder, &mut sync).unwrap();
        synced
    }

    #[test]
    fn what_each_new_folder_is_in_is_synced() {
        let temporary = tempfile::tempdir().unwrap();
        let there = temporary.path();
        let made = there.join("a/b/c");
        assert_eq!(
            synced_by_making(&made),
            [there.to_owned(), there.join("a"), there.join("a/b")]
        );
        for folder in [&made, &there.join("a/b"), &there.join("a")] {
            let permissions = folder.metadata().unwrap().permissions().mode();
            assert_eq!(permissions & 0o777, 0o700, "{}", folder.display());
        }
        assert!(synced_by_making(&made).is_empty());
    }

    /// The default, `keywright-data`, is in the folder that the server was started in.
    #[test]
    fn a_folder_of_one_name_is_in_the_current_one() {
        let name = format!("made-by-a-test-{}", std::process::id());
        let folder = Path::new(&name);
        let synced = synced_by_making(folder);
        std::fs::remove_dir(folder).unwrap();
        assert_eq!(synced, [Path::new(".")]);
    }

    #[test]
    fn what_is_no_folder_is_an_error() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        File::create(&file).unwrap();
        for folder in [&file, &file.join("below")] {
            assert!(make_private_folder(folder).is_err(), "{}", folder.display());
        }
    }
}
