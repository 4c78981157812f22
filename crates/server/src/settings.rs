//! What an operator can set of the server.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use keywright_engine::VerifierOptions;
use secrecy::SecretString;

use crate::jwt::JwksUrl;
use crate::oidc::Issuer;
use crate::public_url::PublicUrl;

/// What an operator can set of the server. [`Default`] gives what the documents call the defaults.
pub struct Settings {
    /// How users are recognised.
    pub jwt: JwtSettings,
    /// How users sign in to the console, if they can.
    pub oidc: Option<OidcSettings>,
    /// The networks of proxies that are believed when they name the source of a request.
    pub trusted_proxies: Vec<IpNet>,
    /// Where browsers reach the server, if it was said; else it is taken from each request.
    pub public_url: Option<PublicUrl>,
    /// Origins of browsers that may call the API.
    pub cors_origins: Vec<HeaderValue>,
    /// Whether `/metrics` is served beside the API; not where it has a listener of its own.
    pub serve_metrics: bool,
    /// How long a request may take before it is answered 503. What a change waits for other nodes does not count: that
    /// ends by itself, a lease and a margin after the commit at the latest.
    pub request_timeout: Duration,
    /// How long a client may take to send a request's headers, and be silent before and between requests.
    pub header_timeout: Duration,
    /// How long a body may take to arrive before the request is answered 408.
    pub body_timeout: Duration,
    /// How long an answer may wait for a client that reads none of it before the connection is cut off.
    pub write_timeout: Duration,
    /// How long a fetch of the identity provider's public keys may take.
    pub fetch_timeout: Duration,
    /// How long requests that have begun may go on after the server was told to stop.
    pub stop_timeout: Duration,
    /// How often last uses are written.
    pub use_flush_interval: Duration,
    /// What bounds verification: keys in memory, keys being looked up.
    pub verifier: VerifierOptions,
    /// How the process takes part in a cluster, where the store has one. With nothing it takes no part: then it decides
    /// nothing from memory, and its changes wait for nobody.
    pub node: Option<NodeSettings>,
    /// How long counts of use are kept; for ever where nothing is said. Whole days (UTC) are removed.
    pub usage_retention: Option<Duration>,
    /// How many connections may be open at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// How many threads serve verifications, beside the runtime that the server is started on and that does the rest;
    /// with none, that runtime does everything.
    pub workers: usize,
}

/// How the process takes part in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// What people call it: the machine's name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// How long leases are, if it is the first node to say so.
    pub lease: Option<Duration>,
    /// Whether the database is to tell of changes (`LISTEN`), or is asked for them at every renewal only.
    pub notices: bool,
}

/// How users are recognised: by a shared secret, by an identity provider's public keys, or both.
pub struct JwtSettings {
    /// The secret of HS256, at least 32 bytes.
    pub secret: Option<SecretString>,
    /// Where the public keys of RS256, ES256 and `EdDSA` are.
    pub jwks_url: Option<JwksUrl>,
    /// What `aud` must be or hold.
    pub audience: String,
    /// What `iss` must be, if anything.
    pub issuer: Option<String>,
}

/// How users sign in to the console with an identity provider.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// Which one.
    pub issuer: Issuer,
    /// As which client it knows this server.
    pub client_id: String,
    /// The client's secret, if it has one.
    pub client_secret: Option<SecretString>,
    /// Scopes that are asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds a user's groups.
    pub groups_claim: String,
    /// The group whose members are operators.
    pub admin_group: Option<String>,
    /// Where browsers come back to: what [`Settings::public_url`] says, too.
    pub public_url: PublicUrl,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            secret: None,
            jwks_url: None,
            audience: "authenticated".to_owned(),
            issuer: None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jwt: JwtSettings::default(),
            oidc: None,
            trusted_proxies: Vec::new(),
            public_url: None,
            cors_origins: Vec::new(),
            serve_metrics: true,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(20),
            fetch_timeout: Duration::from_secs(5),
            stop_timeout: Duration::from_secs(30),
            use_flush_interval: Duration::from_secs(10),
            verifier: VerifierOptions::default(),
            node: None,
            usage_retention: Some(Duration::from_hours(400 * 24)),
            max_connections: 10_000,
            workers: thread::available_parallelism().map_or(1, NonZeroUsize::get),
        }
    }
}
