//! Where browsers reach the server, which a proxy in front can make another place than the one it listens at.

use std::fmt;

use reqwest::Url;

/// Where browsers reach the server: a scheme, a host and a port, at whose root the console is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// As browsers write it in `Origin` (RFC 6454 §6.2).
    origin: String,
    is_secure: bool,
}

/// The text does not say where browsers reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPublicUrl {
    /// It is no URL that browsers open.
    #[error(
        "write the https:// or http:// URL at which browsers reach the server, such as https://keys.example.com"
    )]
    NotOfTheWeb,
    /// It says more than an origin.
    #[error(
        "must end after the host and the port: the console stands at the root of its host, so that neither a path nor \
         a query, a user or a password can be part of it"
    )]
    MoreThanAnOrigin,
}

impl PublicUrl {
    /// Takes a URL that browsers reach a server at.
    ///
    /// # Errors
    /// [`NotAPublicUrl`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self, NotAPublicUrl> {
        let url = Url::parse(text).map_err(|_| NotAPublicUrl::NotOfTheWeb)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotAPublicUrl::NotOfTheWeb);
        }
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_bare {
            return Err(NotAPublicUrl::MoreThanAnOrigin);
        }
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            is_secure: url.scheme() == "https",
        })
    }

    /// As browsers write it in `Origin`.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether browsers come by TLS.
    pub(crate) const fn is_secure(&self) -> bool {
        self.is_secure
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_browsers_write_an_origin() {
        for (text, origin, is_secure) in [
            ("https://Keys.Example.com", "https://keys.example.com", true),
            (
                "https://keys.example.com:443/",
                "https://keys.example.com",
                true,
            ),
            ("http://localhost:7878", "http://localhost:7878", false),
            ("http://[::1]:80/", "http://[::1]", false),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.origin(), url.is_secure()), (origin, is_secure));
        }
    }

    #[test]
    fn nothing_but_an_origin_is_taken() {
        for text in [
            "",
            "keys.example.com",
            "ftp://keys.example.com",
            "file:///x",
        ] {
            assert_eq!(
                PublicUrl::parse(text),
                Err(NotAPublicUrl::NotOfTheWeb),
                "{text}"
            );
        }
        for text in [
            "https://keys.example.com/console",
            "https://keys.example.com/?a",
            "https://keys.example.com/#a",
            "https://u@keys.example.com/",
            "https://u:p@keys.example.com/",
        ] {
            assert_eq!(
                PublicUrl::parse(text),
                Err(NotAPublicUrl::MoreThanAnOrigin),
                "{text}"
            );
        }
    }
}
