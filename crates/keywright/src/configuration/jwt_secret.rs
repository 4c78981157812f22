//! The secret that users' JWTs are signed with, where the identity provider shares one or there is none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_core::ambient::Entropy;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::private_file;

/// HS256 asks for a key as long as its hash (RFC 7518 §3.2).
pub(crate) const MIN_BYTES: usize = 32;

/// Where the secret comes from.
#[derive(Debug, Clone)]
pub(crate) enum SecretSource {
    /// It was given as it is.
    Given(SecretString),
    /// It is in this file, which somebody else wrote.
    File(PathBuf),
    /// The server makes it at its first start and keeps it in this file.
    Kept(PathBuf),
    /// There is none: an identity provider signs with keys of its own.
    None,
}

impl SecretSource {
    /// Reads the secret, or makes it where that is left to the server; `None` where there is none by design.
    ///
    /// # Errors
    /// Where it cannot be read or is too short.
    pub(crate) fn load_or_generate(
        &self,
        entropy: &dyn Entropy,
    ) -> Result<Option<SecretString>, Failure> {
        if let Self::Kept(path) = self
            && !path.exists()
        {
            generate(path, entropy)?;
        }
        self.load()
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// Where it is not there, cannot be read or is too short.
    pub(crate) fn load(&self) -> Result<Option<SecretString>, Failure> {
        let (secret, name) = match self {
            Self::None => return Ok(None),
            Self::Given(secret) => (secret.clone(), "the JWT secret".to_owned()),
            Self::File(path) | Self::Kept(path) => {
                let secret = private_file::read(path)?.ok_or_else(|| self.missing(path))?;
                (secret, format!("the JWT secret in {}", path.display()))
            }
        };
        let length = secret.expose_secret().len();
        if length < MIN_BYTES {
            return Err(Failure::usage(format!(
                "{name} must have at least {MIN_BYTES} bytes and has {length}: make one with `openssl rand -hex 32`"
            )));
        }
        Ok(Some(secret))
    }

    fn missing(&self, path: &Path) -> Failure {
        let path = path.display();
        match self {
            Self::Kept(_) => Failure::refused(format!(
                "there is no JWT secret in {path}: `keywright serve` makes it at its first start; if the server has \
                 another data folder, name it with --data-dir, and if it is configured with a secret, give the same"
            )),
            _ => Failure::usage(format!(
                "there is no file {path}, which was to hold the JWT secret"
            )),
        }
    }
}

/// Makes a secret of 256 bits. Of several processes that do so at once, one prevails, and no one ever reads half.
fn generate(path: &Path, entropy: &dyn Entropy) -> Result<(), Failure> {
    let folder = private_file::folder_of(path);
    private_file::ensure_folder(folder)?;

    let mut bytes = Zeroizing::new([0; MIN_BYTES]);
    let mut suffix = [0; 8];
    entropy
        .fill(bytes.as_mut_slice())
        .and_then(|()| entropy.fill(&mut suffix))
        .map_err(|error| Failure::refused(error.to_string()))?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));

    let unfinished = folder.join(format!(".jwt-secret-{}", URL_SAFE_NO_PAD.encode(suffix)));
    private_file::write_new(&unfinished, &secret)
        .map_err(|error| Failure::file(&unfinished, error))?;
    // A link, unlike a new name, never takes the place of a file that is there.
    let linked = fs::hard_link(&unfinished, path).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    });
    let _ = fs::remove_file(&unfinished);
    linked
        .and_then(|()| fs::File::open(folder)?.sync_all())
        .map_err(|error| Failure::file(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemEntropy;

    #[test]
    fn a_secret_that_the_server_keeps_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let kept = SecretSource::Kept(folder.path().join("data/jwt-secret"));
        assert!(matches!(kept.load(), Err(Failure::Refused(_))));
        let first = kept.load_or_generate(&SystemEntropy).unwrap().unwrap();
        assert_eq!(first.expose_secret().len(), 43);
        let again = kept.load_or_generate(&SystemEntropy).unwrap().unwrap();
        assert_eq!(first.expose_secret(), again.expose_secret());
        // Nothing half done is left beside it.
        assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 1);
    }

    #[test]
    fn many_who_make_it_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let kept = SecretSource::Kept(folder.path().join("jwt-secret"));
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let load = || kept.load_or_generate(&SystemEntropy).unwrap().unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            let secret = |secret: SecretString| secret.expose_secret().to_owned();
            threads
                .into_iter()
                .map(|thread| secret(thread.join().unwrap()))
                .collect()
        });
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_short_secret_is_refused_and_not_quoted() {
        let Err(Failure::Usage(refusal)) = SecretSource::Given("hunter2".into()).load() else {
            panic!("it was taken")
        };
        assert!(refusal.contains("at least 32 bytes and has 7"), "{refusal}");
        assert!(!refusal.contains("hunter2"));
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = SecretSource::File(folder.path().join("nothing"));
        assert!(matches!(
            missing.load_or_generate(&SystemEntropy),
            Err(Failure::Usage(_))
        ));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
