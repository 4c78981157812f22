//! The file of an embedded database, and the lock that makes it this process's own.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::OpenError;

/// A database file that nobody else opens while this value lives.
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// The lock is the open file's: it goes when this is closed, also by kill -9.
    _lock: File,
}

impl DatabaseFile {
    /// Makes what is missing (folder 0700, file 0600) and takes the lock.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            make_folder(folder).map_err(of(folder))?;
        }
        private(path).map_err(of(path))?;
        // So that two names of one file (a symbolic link, a relative path) have one lock.
        let path = path.canonicalize().map_err(of(path))?;
        let lock_path = beside(&path, ".lock");
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

/// Makes the folder, and what it is in, where they are missing.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // I1 holds for the first commit too: a folder that power loss takes away would take it along. (SQLite does the
    // same for the files in it.)
    if let Some(parent) = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
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
