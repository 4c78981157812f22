//! Which database the server keeps its keys in.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::failure::Failure;

/// A database. Shown without its password.
#[derive(Debug, Clone)]
pub(crate) enum DatabaseUrl {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL, or a service that speaks its protocol; the URL may hold a password.
    Postgres(SecretString),
}

impl DatabaseUrl {
    /// The database of a server that nobody configured.
    pub(crate) fn in_folder(data_dir: &Path) -> Self {
        Self::Sqlite(data_dir.join("keywright.db"))
    }

    /// Reads `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    ///
    /// # Errors
    /// For anything else, without quoting it: there may be a password in it.
    pub(crate) fn parse(url: &SecretString) -> Result<Self, Failure> {
        let text = url.expose_secret();
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite_path(path).map(Self::Sqlite);
        }
        let is_postgres = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if is_postgres && Url::parse(text).is_ok() {
            return Ok(Self::Postgres(url.clone()));
        }
        Err(Failure::usage(
            "database: the URL is not understood; write sqlite:PATH or postgres://USER@HOST/NAME, with characters \
             of a password that mean something in a URL as %XX",
        ))
    }

    /// Whether it holds a password.
    pub(crate) fn has_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => Url::parse(url.expose_secret()).is_ok_and(|url| {
                url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
            }),
        }
    }
}

fn sqlite_path(path: &str) -> Result<PathBuf, Failure> {
    // `sqlite://PATH` is what other programs write.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(':') || path.contains('?') {
        return Err(Failure::usage(
            "database: after sqlite: comes the path of a file, such as sqlite:/var/lib/keywright/keywright.db",
        ));
    }
    Ok(PathBuf::from(path))
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url.expose_secret())),
        }
    }
}

fn without_password(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return "postgres://…".to_owned();
    };
    if url.password().is_some() {
        // It has a password, so it can have another.
        let _ = url.set_password(Some("***"));
    }
    if url.query_pairs().any(|(name, _)| name == "password") {
        url.set_query(None);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, Failure> {
        DatabaseUrl::parse(&SecretString::from(text))
    }

    fn shown(text: &str) -> String {
        parse(text).unwrap().to_string()
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(
            shown("postgres://u:hunter2@h:5432/d"),
            "postgres://u:***@h:5432/d"
        );
        assert_eq!(
            shown("postgres://u@h/d?password=hunter2&sslmode=require"),
            "postgres://u@h/d"
        );
        assert_eq!(
            shown("postgresql:///d?host=/run/postgresql"),
            "postgresql:///d?host=/run/postgresql"
        );
        assert!(!format!("{:?}", parse("postgres://u:hunter2@h/d").unwrap()).contains("hunter2"));
    }

    #[test]
    fn a_password_is_noticed() {
        assert!(parse("postgres://u:p@h/d").unwrap().has_password());
        assert!(parse("postgres://u@h/d?password=p").unwrap().has_password());
        assert!(!parse("postgres://u@h/d").unwrap().has_password());
    }

    #[test]
    fn sqlite_takes_a_path() {
        assert_eq!(shown("sqlite:a/b.db"), "sqlite:a/b.db");
        assert_eq!(shown("sqlite:///a/b.db"), "sqlite:/a/b.db");
        for no_path in ["sqlite:", "sqlite::memory:", "sqlite:a?mode=ro"] {
            assert!(parse(no_path).is_err(), "{no_path}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_quoted() {
        for text in [
            "",
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "hunter2",
        ] {
            let Err(Failure::Usage(refusal)) = parse(text) else {
                panic!("{text} was taken")
            };
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }
}
