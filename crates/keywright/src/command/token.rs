//! `keywright token`.

use std::time::Duration;

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use keywright_core::ambient::Clock;
use keywright_core::identifier::UserId;
use keywright_core::timestamp::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::configuration::{
    ConfigurationFile, FileOption, JwtOptions, JwtRules, Storage, StorageOptions,
};
use crate::failure::Failure;
use crate::output;
use crate::system::SystemClock;

/// Sign a JWT for a user with the server's own secret
#[derive(Debug, Args)]
#[command(after_help = "\
Whoever can read the secret can act as any user; so does this. It needs no running server.

Example:
  curl -H \"Authorization: Bearer $(keywright token --user user-1)\" \\
    http://127.0.0.1:7878/api/api-keys")]
pub(crate) struct Token {
    /// The user's id: `sub`
    #[arg(long, value_name = "ID", value_parser = user_id)]
    user: UserId,
    /// How long it is good
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = super::duration)]
    ttl: Duration,
    #[command(flatten)]
    file: FileOption,
    #[command(flatten)]
    storage: StorageOptions,
    #[command(flatten)]
    jwt: JwtOptions,
}

/// The claims of a user's JWT (RFC 7519 §4.1).
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    iat: i64,
    exp: i64,
}

impl Token {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = ConfigurationFile::read(self.file.config.as_deref())?;
        let storage = Storage::resolve(self.storage, &file)?;
        let rules = JwtRules::resolve(self.jwt, &file, &storage)?;
        let secret = rules.secret.load()?.ok_or_else(|| {
            Failure::refused(
                "there is no local secret: this server takes the JWTs of an identity provider (jwt-jwks-url), which \
                 alone can make them",
            )
        })?;
        let token = sign(&self.user, self.ttl, &rules, &secret, SystemClock.now())?;
        Ok(output::line(token.expose_secret())?)
    }
}

fn sign(
    user: &UserId,
    ttl: Duration,
    rules: &JwtRules,
    secret: &SecretString,
    now: Timestamp,
) -> Result<SecretString, Failure> {
    let claims = Claims {
        sub: user.as_str(),
        aud: &rules.audience,
        iss: rules.issuer.as_deref(),
        iat: now.as_seconds(),
        exp: now.saturating_add(ttl).as_seconds(),
    };
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map(SecretString::from)
        .map_err(|error| Failure::refused(format!("the token could not be signed: {error}")))
}

fn user_id(text: &str) -> Result<UserId, String> {
    UserId::new(text).map_err(|error| error.to_string())
}
