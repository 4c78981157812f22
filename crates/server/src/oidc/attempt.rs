//! What a browser keeps between going to its identity provider and coming back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_core::ambient::{Entropy, EntropyError};
use keywright_core::digest::Digest;
use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier};
use secrecy::{ExposeSecret, SecretString};

/// How many characters 32 random bytes are.
const LENGTH: usize = 43;

/// An attempt to sign in, which only the browser that makes it knows. 256 random bits each.
pub(crate) struct Attempt {
    /// Says that an answer belongs to the attempt (RFC 6749 §10.12).
    state: SecretString,
    /// Says that an ID token was made for it (OpenID Connect Core 1.0 §15.5.2).
    nonce: SecretString,
    /// Says that who exchanges the code has begun it (RFC 7636).
    verifier: SecretString,
}

impl Attempt {
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let random = || {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes)?;
            Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes)))
        };
        Ok(Self {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
        })
    }

    /// As the browser keeps it, for [`Self::parse`].
    pub(crate) fn to_text(&self) -> SecretString {
        let parts = [&self.state, &self.nonce, &self.verifier];
        SecretString::from(parts.map(ExposeSecret::expose_secret).join("."))
    }

    /// Takes back what a browser kept; `None` for what is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (part.len() == LENGTH && part.bytes().all(is_ours)).then(|| SecretString::from(part))
        });
        let attempt = Self {
            state: parts.next()??,
            nonce: parts.next()??,
            verifier: parts.next()??,
        };
        parts.next().is_none().then_some(attempt)
    }

    /// Whether an answer with this state belongs to it. (Digests are compared in constant time.)
    pub(crate) fn is_of(&self, state: &str) -> bool {
        Digest::of(self.state.expose_secret()) == Digest::of(state)
    }

    pub(super) fn state(&self) -> CsrfToken {
        CsrfToken::new(self.state.expose_secret().to_owned())
    }

    pub(super) fn nonce(&self) -> Nonce {
        Nonce::new(self.nonce.expose_secret().to_owned())
    }

    pub(super) fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.verifier.expose_secret().to_owned())
    }

    pub(super) fn challenge(&self) -> PkceCodeChallenge {
        PkceCodeChallenge::from_code_verifier_sha256(&self.verifier())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            let next = self.0.fetch_add(1, Ordering::Relaxed);
            buffer.fill(next);
            Ok(())
        }
    }

    #[test]
    fn what_a_browser_kept_is_taken_back() {
        let attempt = Attempt::new(&Counting(1.into())).unwrap();
        let text = attempt.to_text();
        let text = text.expose_secret();
        let back = Attempt::parse(text).unwrap();
        let parts: Vec<_> = text.split('.').collect();
        assert_eq!(parts.len(), 3);
        assert!(back.is_of(parts[0]) && !back.is_of(parts[1]) && !back.is_of(""));
        assert_eq!(back.nonce().secret(), parts[1]);
        assert_eq!(back.verifier().secret(), parts[2]);
    }

    #[test]
    fn nothing_else_is() {
        let one = "a".repeat(LENGTH);
        let good = format!("{one}.{one}.{one}");
        assert!(Attempt::parse(&good).is_some());
        for bad in [
            String::new(),
            one.clone(),
            format!("{one}.{one}"),
            format!("{good}.{one}"),
            format!("{good}."),
            format!("{one}.{one}.{}", "a".repeat(LENGTH - 1)),
            format!("{one}.{one}.{}=", "a".repeat(LENGTH - 1)),
            format!("{one}.{one}.{} ", "a".repeat(LENGTH - 1)),
            "..".to_owned(),
        ] {
            assert!(Attempt::parse(&bad).is_none(), "{bad}");
        }
    }
}
