//! Light or dark: as the browser prefers, unless somebody chose.

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};

use super::posted::{Fields, OwnForm};
use super::visitor::cookie;

const COOKIE: &str = "keywright_theme";

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    AsPreferred,
    Light,
    Dark,
}

impl Theme {
    pub(super) fn chosen(headers: &HeaderMap) -> Self {
        cookie(headers, COOKIE).map_or(Self::AsPreferred, Self::named)
    }

    fn named(name: &str) -> Self {
        match name {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::AsPreferred,
        }
    }

    /// As the cookie and the page write it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AsPreferred => "",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// `POST /theme`
pub(super) async fn choose(OwnForm(fields): OwnForm) -> Response {
    let theme = Theme::named(fields.one("theme"));
    let value = format!(
        "{COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax",
        theme.as_str()
    );
    // infallible: it is ASCII
    let value = HeaderValue::try_from(value).expect("a cookie of ours is ASCII");
    ([(SET_COOKIE, value)], Redirect::to(back_to(&fields))).into_response()
}

/// The page that the form stood in.
fn back_to(fields: &Fields) -> &str {
    let back = fields.one("back");
    if is_own_path(back) { back } else { "/" }
}

/// Whether this leads nowhere but to a page of this server.
pub(super) fn is_own_path(path: &str) -> bool {
    // `//host` and `/\host` lead elsewhere, and browsers drop tabs and line ends before they look.
    path.starts_with('/')
        && !path.starts_with("//")
        && path
            .bytes()
            .all(|byte| matches!(byte, b'!'..=b'~') && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_nowhere_else() {
        for path in ["/", "/keys", "/keys?status=ACTIVE&cursor=a_b-"] {
            assert!(is_own_path(path), "{path}");
        }
        for path in [
            "",
            "keys",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "/a\nb",
            "/ä",
            "\\/evil.example",
        ] {
            assert!(!is_own_path(path), "{path}");
        }
    }
}
