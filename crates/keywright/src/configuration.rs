//! Configuration: flags, over the environment, over the file, over defaults (CONTRACT §6).

mod database_url;
mod file;
mod jwt_secret;
mod options;
mod sign_in;
mod value;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use keywright_server::jwt::JwksUrl;
use keywright_server::{JwtSettings, OidcSettings, PublicUrl};
use reqwest::Url;
use secrecy::SecretString;

pub(crate) use self::database_url::DatabaseUrl;
pub(crate) use self::file::ConfigurationFile;
pub(crate) use self::jwt_secret::SecretSource;
pub(crate) use self::options::{
    FileOption, JwtOptions, NetworkOptions, ServeOptions, StorageOptions,
};
#[cfg(test)]
pub(crate) use self::value::UsageRetention;
pub(crate) use self::value::{LogFilter, LogFormat};
use crate::failure::Failure;

/// The address of a server that nobody configured.
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7878);
/// How many connections to its database a server has that nobody configured.
// infallible: the number is not 0, or this does not compile
pub(crate) const CONNECTIONS: NonZeroU32 = NonZeroU32::new(keywright_store::CONNECTIONS).unwrap();
/// The folder of a server that nobody configured.
pub(crate) const DATA_DIR: &str = "keywright-data";
/// The file of the generated JWT secret, in the data folder.
const JWT_SECRET_FILE: &str = "jwt-secret";
/// The file of the first service key, in the data folder.
pub(crate) const ADMIN_KEY_FILE: &str = "admin-key";

/// Everything that `serve` needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// Where data is kept.
    pub(crate) storage: Storage,
    /// Which JWTs are good.
    pub(crate) jwt: JwtRules,
    /// Where and to whom the server answers.
    pub(crate) network: Network,
    /// How users sign in to the console, if they can.
    pub(crate) sign_in: Option<OidcSettings>,
    /// The file for the first service key, if one was named.
    pub(crate) admin_key_file: Option<PathBuf>,
    /// Threads that serve verifications, and of the runtime that does the rest, if said.
    pub(crate) workers: Option<NonZeroUsize>,
    /// How many keys are kept in memory, if said.
    pub(crate) cache_keys: Option<NonZeroUsize>,
    /// How long counts of use are kept; `None` for ever.
    pub(crate) usage_retention: Option<Duration>,
    /// How often they are written.
    pub(crate) usage_interval: Duration,
    /// How long leases are, if this is the first node.
    pub(crate) lease: Option<Duration>,
    /// Whether the database is not to tell of changes.
    pub(crate) no_notify: bool,
    /// What is logged.
    pub(crate) log: LogFilter,
    /// How.
    pub(crate) log_format: LogFormat,
}

/// Where data is kept.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// The folder for what the server makes itself.
    pub(crate) data_dir: PathBuf,
    /// The database.
    pub(crate) database: DatabaseUrl,
    /// How many connections to it there are at most.
    pub(crate) connections: NonZeroU32,
    /// Whether a database of several nodes tells them of changes.
    pub(crate) tells: bool,
}

/// Which JWTs of users are good.
#[derive(Debug, Clone)]
pub(crate) struct JwtRules {
    /// Where the shared secret is.
    pub(crate) secret: SecretSource,
    /// Where an identity provider's keys are.
    pub(crate) jwks_url: Option<JwksUrl>,
    /// What `aud` must hold.
    pub(crate) audience: String,
    /// What `iss` must be.
    pub(crate) issuer: Option<String>,
}

/// Where and to whom the server answers.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// The proxies in front.
    pub(crate) behind_proxy: Vec<IpNet>,
    /// Where browsers reach the server, if said.
    pub(crate) public_url: Option<PublicUrl>,
    /// The origins whose browser pages may call.
    pub(crate) cors_origins: Vec<String>,
    /// The address for `/metrics`, if it has one of its own.
    pub(crate) metrics_listen: Option<SocketAddr>,
}

impl Configuration {
    /// Lays the sources over each other and checks what they come to.
    ///
    /// # Errors
    /// [`Failure::Usage`], which says what is wrong and what would be right.
    pub(crate) fn resolve(options: ServeOptions) -> Result<Self, Failure> {
        let file = ConfigurationFile::read(options.file.config.as_deref())?;
        let process = file.under(options.process)?;
        let no_notify = process.no_notify.unwrap_or(false);
        let storage = Storage {
            tells: !no_notify,
            ..Storage::resolve(options.storage, &file)?
        };
        let jwt = JwtRules::resolve(options.jwt, &file, &storage)?;
        let network = Network::resolve(file.under(options.network)?)?;
        let sign_in = sign_in::resolve(options.oidc, &file, network.public_url.as_ref())?;
        Ok(Self {
            storage,
            jwt,
            network,
            sign_in,
            admin_key_file: process.admin_key_file,
            workers: process.workers,
            cache_keys: process.cache_keys,
            lease: process.lease.map(|lease| lease.0),
            no_notify,
            usage_retention: process.usage_retention.unwrap_or_default().0,
            usage_interval: process.usage_interval.unwrap_or_default().0,
            log: process.log.unwrap_or_default(),
            log_format: process.log_format.unwrap_or_default(),
        })
    }

    /// Where the first service key goes if nobody is at the terminal.
    pub(crate) fn admin_key_path(&self) -> PathBuf {
        let default = || self.storage.data_dir.join(ADMIN_KEY_FILE);
        self.admin_key_file.clone().unwrap_or_else(default)
    }
}

impl Storage {
    /// Lays `options` over the file.
    ///
    /// # Errors
    /// Where the database's URL is not understood.
    pub(crate) fn resolve(
        options: StorageOptions,
        file: &ConfigurationFile,
    ) -> Result<Self, Failure> {
        let options = file.under(options)?;
        let data_dir = options.data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR));
        let database = match options.database {
            None => DatabaseUrl::in_folder(&data_dir),
            Some(url) => DatabaseUrl::parse(&url.0)?,
        };
        Ok(Self {
            data_dir,
            database,
            connections: options.database_connections.unwrap_or(CONNECTIONS),
            tells: true,
        })
    }
}

impl JwtRules {
    /// Lays `options` over the environment's secret and the file.
    ///
    /// # Errors
    /// Where the secret is given twice, or not at all though several nodes must agree on it.
    pub(crate) fn resolve(
        mut options: JwtOptions,
        file: &ConfigurationFile,
        storage: &Storage,
    ) -> Result<Self, Failure> {
        options.jwt_secret =
            secret_of_the_environment("KEYWRIGHT_JWT_SECRET")?.map(value::SecretText);
        let options = file.under(options)?;
        let jwks_url = options.jwt_jwks_url.map(|url| url.0);
        let secret = match (options.jwt_secret, options.jwt_secret_file) {
            (Some(_), Some(_)) => {
                return Err(Failure::usage(
                    "the JWT secret is given both as it is (KEYWRIGHT_JWT_SECRET, or jwt-secret in the file) and as a \
                     file (--jwt-secret-file): give one of them",
                ));
            }
            (Some(secret), None) => SecretSource::Given(secret.0),
            (None, Some(path)) => SecretSource::File(path),
            (None, None) => match storage.database {
                // Whoever has an identity provider with keys of its own has no use for a second way in.
                _ if jwks_url.is_some() => SecretSource::None,
                DatabaseUrl::Sqlite(_) => {
                    SecretSource::Kept(storage.data_dir.join(JWT_SECRET_FILE))
                }
                DatabaseUrl::Postgres(_) => {
                    return Err(Failure::usage(
                        "on PostgreSQL all nodes must agree on which JWTs are good: set KEYWRIGHT_JWT_SECRET (at \
                         least 32 bytes) or --jwt-secret-file, or --jwt-jwks-url",
                    ));
                }
            },
        };
        Ok(Self {
            secret,
            jwks_url,
            audience: options
                .jwt_audience
                .unwrap_or_else(|| JwtSettings::default().audience),
            issuer: options.jwt_issuer,
        })
    }
}

impl Network {
    fn resolve(options: NetworkOptions) -> Result<Self, Failure> {
        let listen = options.listen.map_or(LISTEN, SocketAddr::from);
        let behind_proxy: Vec<IpNet> = options
            .behind_proxy
            .into_iter()
            .flatten()
            .map(|network| network.0)
            .collect();
        let clear_text_is_meant = !behind_proxy.is_empty() || options.insecure_http == Some(true);
        let metrics_listen = options.metrics_listen.map(SocketAddr::from);
        if !clear_text_is_meant {
            stays_on_this_machine("--listen", listen, "keys and tokens")?;
            if let Some(metrics_listen) = metrics_listen {
                stays_on_this_machine("--metrics-listen", metrics_listen, "metrics")?;
            }
        }
        Ok(Self {
            listen,
            behind_proxy,
            public_url: options.public_url.map(|url| url.0),
            cors_origins: options
                .cors_origin
                .into_iter()
                .flatten()
                .map(|origin| origin.0)
                .collect(),
            metrics_listen,
        })
    }
}

/// Refuses an address that others reach, where nobody said that clear text is meant.
fn stays_on_this_machine(option: &str, address: SocketAddr, what: &str) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "on {address} ({option}) {what} would cross the network in clear text. Listen on a loopback address; or name \
         the TLS proxies in front with --behind-proxy CIDR,…; or, on a network that nobody else can read, say \
         --insecure-http"
    )))
}

/// Whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// A secret that the environment gives; one that is empty is not given.
pub(crate) fn secret_of_the_environment(name: &str) -> Result<Option<SecretString>, Failure> {
    match std::env::var(name) {
        Ok(secret) if !secret.is_empty() => Ok(Some(SecretString::from(secret))),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::usage(format!("{name} is no UTF-8 text")))
        }
    }
}
