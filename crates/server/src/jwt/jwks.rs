//! The identity provider's public keys (RFC 7517): kept, and fetched again when a token names one that is not
//! among them, at most once a minute. Who needs no new key never waits for a fetch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use keywright_core::ambient::Clock;
use tokio::sync::Mutex;

use super::JwtError;
use crate::outbound::{Outbound, OutboundError, is_trustworthy, told};

/// How long at least between two fetches.
const PAUSE: Duration = Duration::from_mins(1);

/// How long at least between two tries while no key was ever had.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// How old keys may get before they are fetched again in the background, so that one that the provider withdrew
/// does not stay good here.
const REFRESH: Duration = Duration::from_mins(15);

/// How many keys are tried for a token that names none.
const MAX_CANDIDATES: usize = 16;

/// Where an identity provider's public keys are: `https`, or `http` on this machine.
#[derive(Debug, Clone)]
pub struct JwksUrl(reqwest::Url);

/// The text is no URL that keys may be fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an https:// URL without a user or password (http:// is taken for this machine only: localhost, 127.0.0.0/8 or [::1])"
)]
pub struct NotAJwksUrl;

impl JwksUrl {
    /// Takes a URL that keys may be fetched from.
    ///
    /// # Errors
    /// [`NotAJwksUrl`]: over clear text anybody between could put in keys of their own.
    pub fn parse(text: &str) -> Result<Self, NotAJwksUrl> {
        let url = reqwest::Url::parse(text).map_err(|_| NotAJwksUrl)?;
        if is_trustworthy(&url) {
            Ok(Self(url))
        } else {
            Err(NotAJwksUrl)
        }
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The public keys, as they were fetched last.
pub(super) struct Jwks(Arc<Inner>);

struct Inner {
    url: JwksUrl,
    /// How long a fetch may take.
    timeout: Duration,
    clock: Arc<dyn Clock>,
    keys: ArcSwapOption<KeySet>,
    /// Held by whoever fetches; tells when the last try ended.
    fetching: Mutex<Option<Duration>>,
}

struct KeySet {
    keys: Vec<PublicKey>,
    fetched: Duration,
}

struct PublicKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// The keys that a token with this header may be signed with.
    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        self.keys
            .iter()
            .filter(|known| {
                known.algorithm == algorithm && (kid.is_none() || known.kid.as_deref() == kid)
            })
            .map(|known| known.key.clone())
            .take(MAX_CANDIDATES)
            .collect()
    }
}

impl Jwks {
    pub(super) fn new(url: JwksUrl, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            url,
            timeout,
            clock,
            keys: ArcSwapOption::empty(),
            fetching: Mutex::default(),
        }))
    }

    /// The keys that a token with this header may be signed with; empty where the provider has none.
    pub(super) async fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, JwtError> {
        if let Some(found) = self.known(kid, algorithm) {
            return Ok(found);
        }
        self.0.fetch_if_due().await;
        match &*self.0.keys.load() {
            Some(keys) => Ok(keys.candidates(kid, algorithm)),
            None => Err(JwtError::NoKeys),
        }
    }

    fn known(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Vec<DecodingKey>> {
        let keys = self.0.keys.load_full()?;
        let found = keys.candidates(kid, algorithm);
        let stale = self.0.clock.uptime().saturating_sub(keys.fetched) >= REFRESH;
        // One task at a time, however many requests notice.
        if stale && self.0.fetching.try_lock().is_ok() {
            let inner = self.0.clone();
            tokio::spawn(async move { inner.fetch_if_due().await });
        }
        (!found.is_empty()).then_some(found)
    }
}

impl Inner {
    /// Fetches, unless that was tried a moment ago. Whoever comes while another fetches waits for that one fetch.
    async fn fetch_if_due(&self) {
        let mut tried = self.fetching.lock().await;
        let now = self.clock.uptime();
        let pause = if self.keys.load().is_some() {
            PAUSE
        } else {
            FIRST_PAUSE
        };
        if tried.is_some_and(|tried| now.saturating_sub(tried) < pause) {
            return;
        }
        match fetch(&self.url, self.timeout).await {
            Ok(keys) => self
                .keys
                .store(Some(Arc::new(KeySet { keys, fetched: now }))),
            Err(error) => {
                let error = told(&error);
                tracing::warn!(error, url = %self.url, "the identity provider's public keys were not had");
            }
        }
        // The pause begins now: those who waited for this fetch, however long it took, do not begin another.
        *tried = Some(self.clock.uptime());
    }
}

/// Why a fetch failed, for the log.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] OutboundError),
    #[error("the document is no JSON Web Key Set: {0}")]
    Document(#[from] serde_json::Error),
}

async fn fetch(url: &JwksUrl, timeout: Duration) -> Result<Vec<PublicKey>, FetchError> {
    let document = Outbound::new(timeout)?.get(&url.0).await?;
    Ok(read(&document)?)
}

/// The keys of a document that can check a signature we take. Others are passed over: providers publish keys for
/// other purposes beside them.
fn read(document: &[u8]) -> Result<Vec<PublicKey>, serde_json::Error> {
    let set: JwkSet = serde_json::from_slice(document)?;
    Ok(set.keys.iter().filter_map(usable).collect())
}

fn usable(jwk: &Jwk) -> Option<PublicKey> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let declared = match jwk.common.key_algorithm {
        None => algorithm,
        Some(KeyAlgorithm::RS256) => Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => Algorithm::EdDSA,
        Some(_) => return None,
    };
    let signs = matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    if declared != algorithm || !signs {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some(PublicKey {
        kid: jwk.common.key_id.clone(),
        algorithm,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_over_tls_or_from_this_machine() {
        for good in [
            "https://id.example/keys",
            "http://localhost:1/k",
            "http://127.0.0.1:9/k",
            "http://127.0.0.2:9/k",
            "http://[::1]:9/k",
        ] {
            assert!(JwksUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "keys",
            "http://id.example/keys",
            "ftp://localhost/",
            "https://u:p@id.example/",
            "file:///etc/x",
        ] {
            assert!(JwksUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn symmetric_and_foreign_keys_of_a_document_are_passed_over() {
        let document = r#"{"keys": [
            {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "a"},
            {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "b"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "enc", "kid": "c"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "d"}
        ]}"#;
        let keys = read(document.as_bytes()).unwrap();
        assert_eq!(
            keys.iter()
                .map(|key| key.kid.as_deref())
                .collect::<Vec<_>>(),
            [Some("d")]
        );
    }
}
