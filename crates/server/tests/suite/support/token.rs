//! JSON Web Tokens, good ones and every kind of bad one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The secret that every world's server shares with its identity provider.
pub(crate) const SECRET: &str = "a secret of the tests, and of at least 32 bytes";

/// A token in the making; good for the default settings until it is made otherwise.
#[derive(Clone)]
pub(crate) struct Token {
    header: Header,
    claims: Value,
}

impl Token {
    /// For the user `sub`, until the year 2100.
    pub(crate) fn of(sub: &str) -> Self {
        Self {
            header: Header::new(Algorithm::HS256),
            claims: json!({"sub": sub, "aud": "authenticated", "exp": 4_102_444_800_u64}),
        }
    }

    /// With another header.
    pub(crate) fn header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.header);
        self
    }

    /// With this claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Without this claim.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    /// Signed with the secret that the server shares.
    pub(crate) fn signed(&self) -> String {
        self.signed_by(&EncodingKey::from_secret(SECRET.as_bytes()))
    }

    pub(crate) fn signed_by(&self, key: &EncodingKey) -> String {
        jsonwebtoken::encode(&self.header, &self.claims, key).expect("a token can be signed")
    }

    /// With a header and a signature that no library writes.
    pub(crate) fn forged(&self, header: &Value, signature: &[u8]) -> String {
        let (header, claims) = (header.to_string(), self.claims.to_string());
        [header.as_bytes(), claims.as_bytes(), signature]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".")
    }

    /// Correctly signed claims whose text no library writes.
    pub(crate) fn signed_text(claims: &str) -> String {
        let header = json!({"alg": "HS256", "typ": "JWT"}).to_string();
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }
}
