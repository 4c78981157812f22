//! Users' JSON Web Tokens (RFC 7519; CONTRACT §4.1).
//!
//! The algorithm is bound to the source of the key: HS256 is taken only with the shared secret, RS256, ES256 and
//! `EdDSA` only with the identity provider's public keys. So a public key is never used as a secret, whatever a
//! token's header says. `jku` and `jwk` in a header are never looked at.

mod jwks;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use keywright_core::ambient::Clock;
use keywright_core::identifier::UserId;
use keywright_core::timestamp::Timestamp;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::settings::JwtSettings;

pub use jwks::{JwksUrl, NotAJwksUrl};

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwtError {
    /// It is not good, for this reason.
    Invalid(&'static str),
    /// Whether it is good cannot be known: the public keys cannot be had.
    NoKeys,
}

const LACKS_CLAIM: &str = "it lacks one of the claims exp, sub, aud and iss";

/// Recognises users by their tokens.
pub(crate) struct JwtVerifier {
    clock: Arc<dyn Clock>,
    secret: Option<DecodingKey>,
    jwks: Option<jwks::Jwks>,
    audience: String,
    issuer: Option<String>,
}

/// What of the claims is read; audience and issuer are the library's.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
}

impl JwtVerifier {
    pub(crate) fn new(
        settings: &JwtSettings,
        fetch_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            secret: settings
                .secret
                .as_ref()
                .map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes())),
            jwks: settings
                .jwks_url
                .clone()
                .map(|url| jwks::Jwks::new(url, fetch_timeout, clock.clone())),
            audience: settings.audience.clone(),
            issuer: settings.issuer.clone(),
            clock,
        }
    }

    /// The user that `token` is for.
    pub(crate) async fn verify(&self, token: &str) -> Result<UserId, JwtError> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| JwtError::Invalid("its header cannot be read"))?;
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: an extension that must be understood, and none is.
            return Err(JwtError::Invalid(
                "its header asks for an extension that is not known here",
            ));
        }
        match (header.alg, &self.secret, &self.jwks) {
            (Algorithm::HS256, Some(secret), _) => self.check(token, header.alg, secret),
            (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA, _, Some(jwks)) => {
                let keys = jwks.candidates(header.kid.as_deref(), header.alg).await?;
                let mut outcome = Err(JwtError::Invalid(
                    "no public key of the identity provider fits it",
                ));
                for key in &keys {
                    outcome = self.check(token, header.alg, key);
                    if outcome.is_ok() {
                        break;
                    }
                }
                outcome
            }
            _ => Err(JwtError::Invalid("its algorithm is not taken here")),
        }
    }

    fn check(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<UserId, JwtError> {
        use jsonwebtoken::errors::ErrorKind;

        let mut validation = Validation::new(algorithm);
        // Times are compared below, with our clock and without leeway.
        validation.validate_exp = false;
        validation.set_audience(&[&self.audience]);
        let mut required = vec!["exp", "sub", "aud"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let token = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|error| {
            JwtError::Invalid(match error.kind() {
                ErrorKind::InvalidSignature => "its signature is wrong",
                ErrorKind::InvalidAudience => "it is for another audience",
                ErrorKind::InvalidIssuer => "it is of another issuer",
                ErrorKind::MissingRequiredClaim(_) => LACKS_CLAIM,
                ErrorKind::Json(error) if error.to_string().starts_with("missing field") => {
                    LACKS_CLAIM
                }
                _ => "it cannot be read",
            })
        })?;
        let Claims { sub, exp, nbf } = token.claims;
        let now = self.clock.now();
        if moment(exp).is_none_or(|exp| now >= exp) {
            return Err(JwtError::Invalid("it is expired"));
        }
        if nbf.is_some_and(|nbf| moment(nbf).is_none_or(|nbf| now < nbf)) {
            return Err(JwtError::Invalid("it is not good yet"));
        }
        UserId::new(sub)
            .map_err(|_| JwtError::Invalid("its sub is no id of a user: 1 to 255 characters, none a control character, no white space at either end"))
    }
}

/// A `NumericDate` (RFC 7519 §2): seconds since the epoch, with a fraction or without. `None` for what is no number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "casts from float saturate, and the far future may"
)]
fn moment(numeric_date: f64) -> Option<Timestamp> {
    (!numeric_date.is_nan()).then(|| Timestamp::from_micros((numeric_date * 1e6) as i64))
}
