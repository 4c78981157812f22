//! What a browser keeps while it is at the identity provider: a cookie that is good once, for ten minutes.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::sign_in::own_path;
use super::visitor::cookie;
use crate::oidc::Attempt;

/// How long somebody may take at the identity provider.
const LIFETIME: Duration = Duration::from_mins(10);

/// The longest address to go to after it, in bytes: the whole must fit into a cookie.
const MAX_NEXT: usize = 1024;

/// A sign-in that has begun.
pub(super) struct Flow {
    pub(super) attempt: Attempt,
    /// Where to go then; empty where nothing was asked for.
    pub(super) next: String,
}

impl Flow {
    pub(super) fn new(attempt: Attempt, next: &str) -> Self {
        let next = if next.len() > MAX_NEXT { "" } else { next };
        Self {
            attempt,
            next: own_path(next).to_owned(),
        }
    }

    /// The one that this browser began.
    pub(super) fn of(headers: &HeaderMap, secure: bool) -> Option<Self> {
        Self::parse(cookie(headers, name(secure))?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (attempt, next) = text.rsplit_once('.')?;
        let next = URL_SAFE_NO_PAD.decode(next).ok()?;
        let next = String::from_utf8(next).ok()?;
        Some(Self::new(Attempt::parse(attempt)?, &next))
    }

    fn to_text(&self) -> SecretString {
        let attempt = self.attempt.to_text();
        let next = URL_SAFE_NO_PAD.encode(&self.next);
        SecretString::from(format!("{}.{next}", attempt.expose_secret()))
    }

    /// Has the browser keep it.
    pub(super) fn keep(&self, secure: bool) -> HeaderValue {
        let text = self.to_text();
        keep_in_browser(name(secure), text.expose_secret(), LIFETIME, secure)
    }
}

/// Has the browser forget the sign-in that it began.
pub(super) fn forget(secure: bool) -> HeaderValue {
    keep_in_browser(name(secure), "", Duration::ZERO, secure)
}

/// As the session's: over TLS one that no other host, and no page over plain HTTP, can set.
const fn name(secure: bool) -> &'static str {
    if secure {
        "__Host-keywright_sign_in"
    } else {
        "keywright_sign_in"
    }
}

/// A cookie that no script reads, and that no form or picture of another site sends.
pub(super) fn keep_in_browser(name: &str, value: &str, age: Duration, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let age = age.as_secs();
    let value = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}");
    // infallible: it is ASCII
    let mut value = HeaderValue::try_from(value).expect("a cookie of ours is ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(next: &str) -> Flow {
        let part = "a".repeat(43);
        let attempt = Attempt::parse(&format!("{part}.{part}.{part}")).unwrap();
        Flow::new(attempt, next)
    }

    fn and_back(next: &str) -> String {
        let kept = flow(next).to_text();
        Flow::parse(kept.expose_secret()).unwrap().next
    }

    #[test]
    fn where_to_go_then_is_kept_and_leads_nowhere_else() {
        for path in ["", "/keys/new?keyspace=a.b", "/account"] {
            assert_eq!(and_back(path), path);
        }
        for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example"] {
            assert_eq!(and_back(elsewhere), "");
        }
        let long = format!("/keys?cursor={}", "a".repeat(MAX_NEXT));
        assert_eq!(and_back(&long), "");
    }

    #[test]
    fn what_a_browser_made_up_leads_nowhere_else_either() {
        let kept = flow("").to_text();
        let kept = kept.expose_secret();
        let elsewhere = URL_SAFE_NO_PAD.encode("//evil.example");
        assert_eq!(Flow::parse(&format!("{kept}{elsewhere}")).unwrap().next, "");
        for bad in [
            "",
            ".",
            &format!("{kept}*"),
            &format!("{kept}."),
            &format!("{kept}{}", URL_SAFE_NO_PAD.encode([0xff])),
        ] {
            assert!(Flow::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn over_tls_nobody_else_can_set_the_cookie() {
        let kept = flow("").keep(true);
        let kept = kept.to_str().unwrap();
        assert!(kept.starts_with("__Host-keywright_sign_in=aaa"), "{kept}");
        assert!(
            kept.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=600; Secure"),
            "{kept}"
        );
        assert_eq!(
            forget(false),
            "keywright_sign_in=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }
}
