//! The options as they can be given: each as a flag, as an environment variable and as a line of the file, by being
//! a field of one of these groups. (A secret is no flag: other users of the machine can read the arguments.)
//!
//! A group is taken from the command line and the environment by clap, and once more from the file; [`or`] lays the
//! one over the other.
//!
//! [`or`]: Layer::or

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::value::{
    Issuer, JwksUrl, Lease, ListenAddress, LogFilter, LogFormat, Network, Origin, PublicUrl, Scope,
    SecretText, UsageInterval, UsageRetention,
};

/// A group of options that can be laid over the same group from a weaker source.
pub(crate) trait Layer: DeserializeOwned {
    /// What is given here, and else what is given in `weaker`.
    #[must_use]
    fn or(self, weaker: Self) -> Self;
}

/// Where the configuration file is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct FileOption {
    /// TOML file with any of the options of serve, by their names without the dashes in front
    #[arg(long, env = "KEYWRIGHT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Where data is kept.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Storage")]
pub(crate) struct StorageOptions {
    /// Folder for what the server keeps: the SQLite database, the generated JWT secret, the first service key
    /// [default: keywright-data]
    #[arg(long, env = "KEYWRIGHT_DATA_DIR", value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// sqlite:PATH or postgres://USER@HOST/NAME; where the URL holds a password, set the environment variable or
    /// write it into the file instead [default: keywright.db in the data folder]
    #[arg(long, env = "KEYWRIGHT_DATABASE", value_name = "URL")]
    pub(crate) database: Option<SecretText>,
    /// How many connections to the database there are at most [default: 10]
    #[arg(long, env = "KEYWRIGHT_DATABASE_CONNECTIONS", value_name = "NUMBER")]
    pub(crate) database_connections: Option<NonZeroU32>,
}

impl Layer for StorageOptions {
    fn or(self, weaker: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(weaker.data_dir),
            database: self.database.or(weaker.database),
            database_connections: self.database_connections.or(weaker.database_connections),
        }
    }
}

/// Which JWTs of users are good.
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the flags"
)]
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "JWTs of users")]
pub(crate) struct JwtOptions {
    /// The secret itself: in the file, or `KEYWRIGHT_JWT_SECRET`.
    #[arg(skip)]
    pub(crate) jwt_secret: Option<SecretText>,
    /// File with the HS256 secret, at least 32 bytes (or set KEYWRIGHT_JWT_SECRET) [default on SQLite: jwt-secret in
    /// the data folder, made at the first start]
    #[arg(long, env = "KEYWRIGHT_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: Option<PathBuf>,
    /// Where the identity provider publishes its keys, for RS256, ES256 and EdDSA
    #[arg(long, env = "KEYWRIGHT_JWT_JWKS_URL", value_name = "URL")]
    pub(crate) jwt_jwks_url: Option<JwksUrl>,
    /// What aud must hold [default: authenticated]
    #[arg(long, env = "KEYWRIGHT_JWT_AUDIENCE", value_name = "TEXT")]
    pub(crate) jwt_audience: Option<String>,
    /// What iss must be [default: anything]
    #[arg(long, env = "KEYWRIGHT_JWT_ISSUER", value_name = "TEXT")]
    pub(crate) jwt_issuer: Option<String>,
}

impl Layer for JwtOptions {
    fn or(self, weaker: Self) -> Self {
        // The secret has two names: whichever the stronger source gives counts, and hides both of the weaker.
        let (jwt_secret, jwt_secret_file) =
            if self.jwt_secret.is_some() || self.jwt_secret_file.is_some() {
                (self.jwt_secret, self.jwt_secret_file)
            } else {
                (weaker.jwt_secret, weaker.jwt_secret_file)
            };
        Self {
            jwt_secret,
            jwt_secret_file,
            jwt_jwks_url: self.jwt_jwks_url.or(weaker.jwt_jwks_url),
            jwt_audience: self.jwt_audience.or(weaker.jwt_audience),
            jwt_issuer: self.jwt_issuer.or(weaker.jwt_issuer),
        }
    }
}

/// How users sign in to the console.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Users of the console")]
pub(crate) struct OidcOptions {
    /// OpenID provider that users sign in to the console with, as it calls itself; needs --oidc-client-id and
    /// --public-url [default: none, and service keys alone sign in]
    #[arg(long, env = "KEYWRIGHT_OIDC_ISSUER", value_name = "URL")]
    pub(crate) oidc_issuer: Option<Issuer>,
    /// Client that is registered there, with the redirect URI <public-url>/sign-in/callback (its secret, if it has one:
    /// set KEYWRIGHT_OIDC_CLIENT_SECRET)
    #[arg(long, env = "KEYWRIGHT_OIDC_CLIENT_ID", value_name = "TEXT")]
    pub(crate) oidc_client_id: Option<String>,
    /// The client's secret: in the file, or `KEYWRIGHT_OIDC_CLIENT_SECRET`.
    #[arg(skip)]
    pub(crate) oidc_client_secret: Option<SecretText>,
    /// Scope to ask for beside openid; may be repeated
    #[arg(
        long,
        env = "KEYWRIGHT_OIDC_SCOPE",
        value_name = "SCOPE",
        value_delimiter = ','
    )]
    pub(crate) oidc_scope: Option<Vec<Scope>>,
    /// Claim with the groups of a user [default: groups]
    #[arg(long, env = "KEYWRIGHT_OIDC_GROUPS_CLAIM", value_name = "NAME")]
    pub(crate) oidc_groups_claim: Option<String>,
    /// Group whose members may do everything with everybody's keys [default: none]
    #[arg(long, env = "KEYWRIGHT_ADMIN_GROUP", value_name = "NAME")]
    pub(crate) admin_group: Option<String>,
}

impl OidcOptions {
    /// An option that is given and means nothing without the provider.
    pub(crate) fn only_with_issuer(&self) -> Option<&'static str> {
        [
            ("--oidc-client-id", self.oidc_client_id.is_some()),
            (
                "KEYWRIGHT_OIDC_CLIENT_SECRET",
                self.oidc_client_secret.is_some(),
            ),
            ("--oidc-scope", self.oidc_scope.is_some()),
            ("--oidc-groups-claim", self.oidc_groups_claim.is_some()),
            ("--admin-group", self.admin_group.is_some()),
        ]
        .into_iter()
        .find_map(|(option, is_given)| is_given.then_some(option))
    }
}

impl Layer for OidcOptions {
    fn or(self, weaker: Self) -> Self {
        Self {
            oidc_issuer: self.oidc_issuer.or(weaker.oidc_issuer),
            oidc_client_id: self.oidc_client_id.or(weaker.oidc_client_id),
            oidc_client_secret: self.oidc_client_secret.or(weaker.oidc_client_secret),
            oidc_scope: self.oidc_scope.or(weaker.oidc_scope),
            oidc_groups_claim: self.oidc_groups_claim.or(weaker.oidc_groups_claim),
            admin_group: self.admin_group.or(weaker.admin_group),
        }
    }
}

/// Where and to whom the server answers.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7878]
    #[arg(long, env = "KEYWRIGHT_LISTEN", value_name = "IP:PORT")]
    pub(crate) listen: Option<ListenAddress>,
    /// The proxies in front of the server: they speak TLS, and a client's address is the one they name
    #[arg(
        long,
        env = "KEYWRIGHT_BEHIND_PROXY",
        value_name = "CIDR,…",
        value_delimiter = ','
    )]
    pub(crate) behind_proxy: Option<Vec<Network>>,
    /// Answer in clear text on a network that nobody else can read
    #[arg(
        long,
        env = "KEYWRIGHT_INSECURE_HTTP",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(crate) insecure_http: Option<bool>,
    /// Where browsers reach the server, such as https://keys.example.com [default: as each request says]
    #[arg(long, env = "KEYWRIGHT_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<PublicUrl>,
    /// Let browser pages of this origin call the server; may be repeated [default: none]
    #[arg(
        long,
        env = "KEYWRIGHT_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub(crate) cors_origin: Option<Vec<Origin>>,
    /// Answer /metrics on this address instead
    #[arg(long, env = "KEYWRIGHT_METRICS_LISTEN", value_name = "IP:PORT")]
    pub(crate) metrics_listen: Option<ListenAddress>,
}

impl Layer for NetworkOptions {
    fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            behind_proxy: self.behind_proxy.or(weaker.behind_proxy),
            insecure_http: self.insecure_http.or(weaker.insecure_http),
            public_url: self.public_url.or(weaker.public_url),
            cors_origin: self.cors_origin.or(weaker.cors_origin),
            metrics_listen: self.metrics_listen.or(weaker.metrics_listen),
        }
    }
}

/// How the process runs.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Process")]
pub(crate) struct ProcessOptions {
    /// File to write the first service key to, if the database has none [default: shown on a terminal, else
    /// admin-key in the data folder]
    #[arg(long, env = "KEYWRIGHT_ADMIN_KEY_FILE", value_name = "FILE")]
    pub(crate) admin_key_file: Option<PathBuf>,
    /// Threads that verify, and as many for the rest [default: one for each processor]
    #[arg(long, env = "KEYWRIGHT_WORKERS", value_name = "NUMBER")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// How many keys are kept in memory at most, at some 256 bytes each [default: 1000000]
    #[arg(long, env = "KEYWRIGHT_CACHE_KEYS", value_name = "NUMBER")]
    pub(crate) cache_keys: Option<NonZeroUsize>,
    /// How long a node of a cluster may decide from memory without being told of changes; the first node decides
    /// [default: 3s]
    #[arg(long, env = "KEYWRIGHT_LEASE", value_name = "DURATION")]
    pub(crate) lease: Option<Lease>,
    /// Ask PostgreSQL for changes at every renewal of the lease only, where it cannot tell of them (LISTEN)
    #[arg(
        long,
        env = "KEYWRIGHT_NO_NOTIFY",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(crate) no_notify: Option<bool>,
    /// How often to write counts of use and last uses [default: 10s]
    #[arg(long, env = "KEYWRIGHT_USAGE_INTERVAL", value_name = "DURATION")]
    pub(crate) usage_interval: Option<UsageInterval>,
    /// How long to keep counts of use, in days such as 90d, or forever [default: 400d]
    #[arg(long, env = "KEYWRIGHT_USAGE_RETENTION", value_name = "DAYS")]
    pub(crate) usage_retention: Option<UsageRetention>,
    /// What to log: a level, or target=level,… [default: info]
    #[arg(long, env = "KEYWRIGHT_LOG", value_name = "FILTER")]
    pub(crate) log: Option<LogFilter>,
    /// How to write the log [default: text]
    #[arg(long, env = "KEYWRIGHT_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

impl Layer for ProcessOptions {
    fn or(self, weaker: Self) -> Self {
        Self {
            admin_key_file: self.admin_key_file.or(weaker.admin_key_file),
            workers: self.workers.or(weaker.workers),
            cache_keys: self.cache_keys.or(weaker.cache_keys),
            lease: self.lease.or(weaker.lease),
            no_notify: self.no_notify.or(weaker.no_notify),
            usage_interval: self.usage_interval.or(weaker.usage_interval),
            usage_retention: self.usage_retention.or(weaker.usage_retention),
            log: self.log.or(weaker.log),
            log_format: self.log_format.or(weaker.log_format),
        }
    }
}

/// All options of `serve`: what the file may hold, too.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    pub(crate) file: FileOption,
    #[command(flatten)]
    pub(crate) storage: StorageOptions,
    #[command(flatten)]
    pub(crate) jwt: JwtOptions,
    #[command(flatten)]
    pub(crate) oidc: OidcOptions,
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
    #[command(flatten)]
    pub(crate) process: ProcessOptions,
}

impl From<ListenAddress> for SocketAddr {
    fn from(address: ListenAddress) -> Self {
        address.0
    }
}
