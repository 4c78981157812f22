//! Files that hold secrets: readable by their owner alone, whole or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use keywright_store::sqlite::make_private_folder;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The mode of a file that holds a secret.
pub(crate) const FILE_MODE: u32 = 0o600;
/// The mode of a folder that holds such files.
pub(crate) const FOLDER_MODE: u32 = 0o700;

/// No secret is larger, and a wrongly named file may be.
const MAX_BYTES: u64 = 64 * 1024;

/// Sees to it that a folder exists; one that is made is its owner's alone, and on the disk.
pub(crate) fn ensure_folder(path: &Path) -> Result<(), Failure> {
    make_private_folder(path).map_err(|error| Failure::file(path, error))
}

/// Reads a secret, without the line end that editors put after it; `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<SecretString>, Failure> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file(path, error)),
    };
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(length) if length as u64 > MAX_BYTES => Err(Failure::file(
            path,
            "is too large for a file that holds one secret",
        )),
        Ok(_) => Ok(Some(SecretString::from(without_line_end(&text)))),
        Err(error) => Err(Failure::file(path, error)),
    }
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Writes a new file, on the disk when this returns.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where there is one of this name.
pub(crate) fn write_new(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    let line = Zeroizing::new(format!("{secret}\n"));
    let written = file
        .write_all(line.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Gives a file its final name, in place of whatever has it; on the disk when this returns.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    File::open(folder_of(to))?.sync_all()
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_new(&path, "s3cret").unwrap();
        assert_eq!(read(&path).unwrap().unwrap().expose_secret(), "s3cret");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            FILE_MODE
        );
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_new(&path, "first").unwrap();
        let again = write_new(&path, "second").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap().unwrap().expose_secret(), "first");
    }

    #[test]
    fn a_missing_file_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("nothing")).unwrap().is_none());
    }

    #[test]
    fn only_one_line_end_is_cut_off() {
        assert_eq!(without_line_end("a\r\n"), "a");
        assert_eq!(without_line_end(" a \n\n"), " a \n");
    }
}
