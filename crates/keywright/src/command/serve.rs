//! `keywright serve`.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use keywright_engine::VerifierOptions;
use keywright_server::{JwtSettings, NodeSettings, Server, Settings, Surroundings};
use keywright_store::Store;
use reqwest::header::HeaderValue;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::configuration::{Configuration, SecretSource, ServeOptions};
use crate::failure::Failure;
use crate::private_file::FILE_MODE;
use crate::system::{SystemClock, SystemEntropy, raise_open_files};
use crate::{database, output, service_key, telemetry};

/// How long the database of a server that did not start may take to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long threads may take to end that wait for the operating system.
const LINGER: Duration = Duration::from_millis(500);
/// How many files are kept for what is neither a client's connection nor the database's: the runtime, logs, listeners,
/// fetches of public keys, and changes of the database's log.
const RESERVED_FILES: u64 = 128;
/// How many files a thread that serves verifications holds open for itself.
const WORKER_FILES: u64 = 4;

/// Run the server
#[derive(Debug, Args)]
#[command(after_help = "\
Without any configuration this is a working server: SQLite in keywright-data, and a generated JWT
secret kept there.

Examples:
  keywright serve
  keywright serve --config /etc/keywright.toml
  KEYWRIGHT_DATABASE=postgres://keywright:…@db/keywright KEYWRIGHT_JWT_SECRET=… \\
    keywright serve --listen 0.0.0.0:7878 --behind-proxy 10.0.0.0/8

Every option is an environment variable too, and a line of the file, such as
  listen = \"0.0.0.0:7878\"
A flag counts more than the environment, and the environment more than the file. Secrets are no
flags: set KEYWRIGHT_JWT_SECRET and KEYWRIGHT_OIDC_CLIENT_SECRET, or jwt-secret and
oidc-client-secret in the file.")]
pub(crate) struct Serve {
    #[command(flatten)]
    options: ServeOptions,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let configuration = Configuration::resolve(self.options)?;
        telemetry::start(&configuration.log, configuration.log_format);
        if password_on_the_command_line(&configuration) {
            tracing::warn!(
                "the database's password is on the command line, where other users of this machine can read it: set \
                 KEYWRIGHT_DATABASE or write it into the file of --config"
            );
        }
        warn_of_what_lets_others_in(&configuration);
        #[cfg(debug_assertions)]
        turn_a_rule_off()?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if let Some(workers) = configuration.workers {
            runtime.worker_threads(workers.get());
        }
        let runtime = runtime.enable_all().build().map_err(|error| {
            Failure::refused(format!("the runtime could not be started: {error}"))
        })?;
        let served = runtime.block_on(serve(&configuration));
        // A thread that waits for the operating system (a name to be resolved, a file's lock) cannot be cancelled, and
        // nothing of what it was to find out is wanted any longer.
        runtime.shutdown_timeout(LINGER);
        served
    }
}

/// Whether an argument of this process, not only its environment, holds the database's password.
fn password_on_the_command_line(configuration: &Configuration) -> bool {
    configuration.storage.database.has_password()
        && std::env::args_os().any(|argument| {
            let argument = argument.to_string_lossy();
            let url = argument.strip_prefix("--database=").unwrap_or(&argument);
            url.starts_with("postgres://") || url.starts_with("postgresql://")
        })
}

/// For the trial of a cluster, which shows that it notices.
#[cfg(debug_assertions)]
fn turn_a_rule_off() -> Result<(), Failure> {
    if let Ok(name) = std::env::var("KEYWRIGHT_WITHOUT_RULE") {
        let rule: keywright_engine::rules::Rule = name.parse().map_err(Failure::usage)?;
        tracing::warn!(
            ?rule,
            "this process does not keep a rule, and may decide by an older state"
        );
        rule.turn_off();
    }
    Ok(())
}

/// Warns of a configuration that is taken, and that few can have meant.
fn warn_of_what_lets_others_in(configuration: &Configuration) {
    if let SecretSource::File(path) | SecretSource::Kept(path) = &configuration.jwt.secret
        && let Ok(found) = std::fs::metadata(path)
        && found.permissions().mode() & !FILE_MODE & 0o777 != 0
    {
        let mode = found.permissions().mode() & 0o777;
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{mode:04o}"),
            "the file of the JWT secret is open to other users of this machine, and whoever reads it can sign in as \
             anybody: chmod {FILE_MODE:04o} it"
        );
    }
    for network in &configuration.network.behind_proxy {
        if network.prefix_len() == 0 {
            tracing::warn!(
                %network,
                "--behind-proxy names everybody: any client is believed what it says its address is; name the \
                 proxies' own networks"
            );
        }
    }
}

/// How many connections each listener may have at once, with `open_files` for the process: so many that what is left
/// for what is `ours` (the database's files, the threads') and for fetches is never taken.
fn connections_within(open_files: u64, ours: u64, listeners: u64, wanted: usize) -> usize {
    let left = open_files.saturating_sub(ours.saturating_add(RESERVED_FILES));
    let each = (left / listeners).max(1);
    usize::try_from(each).map_or(wanted, |each| each.min(wanted))
}

/// How many connections clients may have, as [`connections_within`] the limit of this process.
fn max_connections(configuration: &Configuration, workers: usize) -> usize {
    let open_files = raise_open_files();
    let workers = u64::try_from(workers).unwrap_or(u64::MAX);
    let ours = database::open_files(&configuration.storage)
        .saturating_add(workers.saturating_mul(WORKER_FILES));
    let listeners = 1 + u64::from(configuration.network.metrics_listen.is_some());
    let wanted = Settings::default().max_connections;
    let connections = connections_within(open_files, ours, listeners, wanted);
    if connections < wanted {
        tracing::warn!(
            open_files,
            connections,
            wanted,
            "this process may open few files, so that clients have fewer connections at once: raise `ulimit -n` \
             (LimitNOFILE= of systemd)"
        );
    }
    connections
}

async fn serve(configuration: &Configuration) -> Result<(), Failure> {
    let settings = settings(configuration)?;
    // From here on a signal ends nothing by itself: whatever may take long is awaited beside `stops`.
    let mut stops = Stops::new()?;
    let store = tokio::select! {
        opened = database::open(&configuration.storage) => opened?,
        () = stops.wait() => {
            stopped_before_it_served();
            return Ok(());
        }
    };
    let started = tokio::select! {
        started = start(configuration, settings, store.clone()) => started.map(Some),
        () = stops.wait() => Ok(None),
    };
    let mut server = match started {
        Ok(Some(server)) => server,
        Ok(None) => {
            close(&*store, &mut stops).await;
            stopped_before_it_served();
            return Ok(());
        }
        Err(failure) => {
            close(&*store, &mut stops).await;
            return Err(failure);
        }
    };

    until_asked_to_stop(stops.wait(), server.failed()).await?;
    tracing::info!("stopping: what has begun is finished; once more stops at once");
    let stopped = tokio::select! {
        stopped = server.stop() => stopped,
        () = stops.wait() => return Err(Failure::refused("stopped at once: requests may have been cut off")),
    };
    if stopped.cut_off > 0 || !stopped.uses_written {
        tracing::warn!(
            cut_off = stopped.cut_off,
            uses_written = stopped.uses_written,
            "stopped, not all in order"
        );
    } else {
        tracing::info!("stopped");
    }
    Ok(())
}

/// Waits for the server's end: the one that was asked for, or its own.
async fn until_asked_to_stop(
    asked: impl Future<Output = ()>,
    failed: impl Future<Output = ()>,
) -> Result<(), Failure> {
    tokio::select! {
        () = asked => Ok(()),
        () = failed => {
            // Whoever reads the log need not be the one who sees what the process says at its end.
            tracing::error!("a part of the server has ended by itself: the process ends");
            Err(Failure::refused(
                "a part of the server has ended by itself, which is a defect that the log tells more of; start it again",
            ))
        }
    }
}

/// Whatever was begun is whole or not there at all, and the next start goes on from it.
fn stopped_before_it_served() {
    tracing::info!("stopped before it listened");
}

/// Closes the database of a server that never was. One that does not answer is left without a goodbye.
async fn close(store: &dyn Store, stops: &mut Stops) {
    let in_order = tokio::select! {
        closed = tokio::time::timeout(CLOSE_TIMEOUT, store.close()) => closed.is_ok(),
        () = stops.wait() => false,
    };
    if !in_order {
        tracing::warn!("the database was not closed in order");
    }
}

/// Listens, hands the first service key over, and serves.
async fn start(
    configuration: &Configuration,
    mut settings: Settings,
    store: Arc<dyn Store>,
) -> Result<Server, Failure> {
    let network = &configuration.network;
    let listener = listen(network.listen, "--listen").await?;
    let metrics = match network.metrics_listen {
        Some(address) => Some(listen(address, "--metrics-listen").await?),
        None => None,
    };
    // A person at the terminal is shown the first key, unless a file was asked for.
    let at_terminal = output::is_terminal() && configuration.admin_key_file.is_none();
    service_key::ensure_first(&*store, &configuration.admin_key_path(), at_terminal).await?;

    let address = local_address(&listener)?;
    tracing::info!(database = %configuration.storage.database, listen = %address, "starting");
    if let Some(node) = &mut settings.node {
        // The one that was asked for may leave the port to the system.
        node.address = address.to_string();
    }
    if let Some(metrics) = &metrics {
        tracing::info!(listen = %local_address(metrics)?, "metrics have an address of their own");
    }
    let surroundings = Surroundings {
        store,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let server = Server::start(listener, metrics, surroundings, settings)
        .map_err(|error| Failure::refused(format!("the server could not be started: {error}")))?;
    let console = console_address(configuration, address);
    let ready = format!("listening on http://{address}\nconsole at {console}");
    // Nobody need be listening to standard output for the server to be of use.
    if let Err(error) = output::line(&ready) {
        tracing::warn!(%error, "standard output cannot be written");
    }
    Ok(server)
}

/// What a person opens. An address that stands for all of this machine's is no place to go to.
fn console_address(configuration: &Configuration, mut listens: SocketAddr) -> String {
    if let Some(url) = &configuration.network.public_url {
        return format!("{url}/");
    }
    match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listens.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listens.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{listens}/")
}

fn settings(configuration: &Configuration) -> Result<Settings, Failure> {
    let defaults = Settings::default();
    let workers = configuration
        .workers
        .map_or(defaults.workers, NonZeroUsize::get);
    let origin = |origin: &String| {
        HeaderValue::from_str(origin)
            .map_err(|_| Failure::usage(format!("cors-origin: {origin} is no origin")))
    };
    let jwt = &configuration.jwt;
    Ok(Settings {
        jwt: JwtSettings {
            secret: jwt.secret.load_or_generate(&SystemEntropy)?,
            jwks_url: jwt.jwks_url.clone(),
            audience: jwt.audience.clone(),
            issuer: jwt.issuer.clone(),
        },
        oidc: configuration.sign_in.clone(),
        trusted_proxies: configuration.network.behind_proxy.clone(),
        public_url: configuration.network.public_url.clone(),
        cors_origins: configuration
            .network
            .cors_origins
            .iter()
            .map(origin)
            .collect::<Result<_, _>>()?,
        usage_retention: configuration.usage_retention,
        use_flush_interval: configuration.usage_interval,
        max_connections: max_connections(configuration, workers),
        workers,
        verifier: verifier(configuration),
        node: Some(NodeSettings {
            name: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            address: configuration.network.listen.to_string(),
            lease: configuration.lease,
            notices: !configuration.no_notify,
        }),
        ..defaults
    })
}

fn verifier(configuration: &Configuration) -> VerifierOptions {
    let mut options = VerifierOptions::default();
    if let Some(keys) = configuration.cache_keys {
        options.cache_keys = keys.get();
    }
    options
}

async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::refused(format!(
            "{address} cannot be listened on: {error}; name another address with {option}"
        ))
    })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::refused(format!("the listener has no address: {error}")))
}

/// What asks the process to stop.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> Result<Self, Failure> {
        let of = |kind| {
            signal(kind)
                .map_err(|error| Failure::refused(format!("signals cannot be received: {error}")))
        };
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn connections_leave_files_for_the_database() {
        assert_eq!(connections_within(1024, 40, 1, 10_000), 856);
        assert_eq!(connections_within(1024, 40, 2, 10_000), 428);
        assert_eq!(connections_within(100_000, 40, 1, 10_000), 10_000);
        assert_eq!(connections_within(u64::MAX, 40, 1, 10_000), 10_000);
        assert_eq!(connections_within(64, u64::MAX, 1, 10_000), 1);
    }

    #[tokio::test]
    async fn a_server_of_which_a_part_has_ended_is_a_failure() {
        assert!(until_asked_to_stop(ready(()), pending()).await.is_ok());
        let failure = until_asked_to_stop(pending(), ready(())).await;
        assert!(matches!(failure, Err(Failure::Refused(_))));
    }
}
