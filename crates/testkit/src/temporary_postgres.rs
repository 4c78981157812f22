//! A PostgreSQL cluster that lives as long as the value that stands for it.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::guardian::Guardian;
use crate::installation::{Installation, finish, psql};

/// Below the range from which Linux takes the ports of outgoing connections:
/// a port there could be lost to a stranger while the server is stopped, or
/// even connect to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How a cluster is set up; [`TemporaryPostgres::options`] gives the usual one.
#[derive(Debug, Clone)]
pub struct Options {
    durable: bool,
    max_connections: u16,
}

impl Options {
    /// Whether a commit reaches the disk before it is answered. Off unless asked
    /// for, and then the data is kept in memory (`/dev/shm`) where there is room: most tests look at what is answered, not at what survives. Then even
    /// [`TemporaryPostgres::kill`] loses the last commits, except those whose
    /// transaction set `synchronous_commit` itself: they survive the processes,
    /// though not the machine.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// How many sessions the server admits (300 unless said otherwise).
    #[must_use]
    pub fn max_connections(mut self, max_connections: u16) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Makes the cluster and starts it; returns when it takes connections.
    ///
    /// # Panics
    /// With what to do, if PostgreSQL is not installed; with the server's log,
    /// if it does not start.
    #[must_use]
    pub fn start(self) -> TemporaryPostgres {
        TemporaryPostgres::with(&self)
    }

    fn configuration(&self, sockets: &Path) -> String {
        let durable = if self.durable { "on" } else { "off" };
        format!(
            "listen_addresses = '127.0.0.1'\n\
             unix_socket_directories = '{}'\n\
             max_connections = {}\n\
             fsync = {durable}\n\
             synchronous_commit = {durable}\n\
             full_page_writes = {durable}\n",
            sockets.display(),
            self.max_connections,
        )
    }
}

/// A PostgreSQL cluster of its own: own directory, loopback port and password.
///
/// Dropping it, or the end of this process in whatever way, stops the server
/// and deletes its directory. Every method that changes whether the server runs
/// takes `&self`, so that a test can do it while other threads use the database.
#[derive(Debug)]
pub struct TemporaryPostgres {
    installation: Installation,
    directory: PathBuf,
    port: u16,
    password: String,
    _guardian: Guardian,
}

impl TemporaryPostgres {
    /// Starts a cluster with the usual [`Options`].
    ///
    /// # Panics
    /// As [`Options::start`].
    #[must_use]
    pub fn start() -> Self {
        Self::options().start()
    }

    /// The usual options: not durable, 300 connections.
    pub fn options() -> Options {
        Options {
            durable: false,
            max_connections: 300,
        }
    }

    fn with(options: &Options) -> Self {
        let installation = Installation::find();
        let directory = own_directory(&installation, options);
        let guardian = Guardian::over(&directory);
        let password = random_name();
        initialise(&installation, &directory, &password, options);

        let mut cluster = Self {
            installation,
            directory,
            port: 0,
            password,
            _guardian: guardian,
        };
        cluster.start_on_a_free_port();
        cluster
    }

    /// A URL of the cluster's administrator, in the database `postgres`.
    pub fn admin_url(&self) -> String {
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/postgres",
            self.password, self.port
        )
    }

    /// Makes an empty database and gives its URL.
    ///
    /// # Panics
    /// If the server does not run, or refuses.
    pub fn create_database(&self) -> String {
        create_database(&self.admin_url()).1
    }

    /// The loopback TCP port; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory that holds the cluster's Unix socket.
    pub fn socket_directory(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// What the server logs, from all its starts.
    pub fn log_file(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// Where the cluster keeps its data, log and socket.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stops in an orderly way: sessions are cut, what they began is rolled back.
    ///
    /// # Panics
    /// If the server does not run.
    pub fn stop(&self) {
        self.control(&["-m", "fast", "stop"]);
    }

    /// Stops at once, without a checkpoint: the next start recovers from the log.
    ///
    /// # Panics
    /// If the server does not run.
    pub fn abort(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// `kill -9` for every process of the server; returns when they are gone.
    ///
    /// # Panics
    /// If one of them is still there after ten seconds.
    pub fn kill(&self) {
        for _ in 0..1_000 {
            self.signal(Signal::KILL);
            if self.processes().is_empty() {
                self.forget_process_number();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!(
            "processes of the server outlive kill -9: {:?}",
            self.processes()
        );
    }

    /// Holds every process of the server still: connections stay open, nothing
    /// answers. [`Self::resume`] ends it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts the server again after [`Self::stop`], [`Self::abort`] or
    /// [`Self::kill`]; returns when it takes connections.
    ///
    /// # Panics
    /// If it does not start, with its log.
    pub fn start_again(&self) {
        if let Err(log) = self.try_start() {
            panic!("PostgreSQL did not start again; its log ends with:\n{log}");
        }
    }

    /// [`Self::stop`], then [`Self::start_again`].
    ///
    /// # Panics
    /// As those two.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn control(&self, arguments: &[&str]) {
        finish("pg_ctl", self.pg_ctl().args(arguments).output());
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.installation.command("pg_ctl");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-w", "-t", "60", "-s"]);
        command
    }

    /// Starts the server on its port, or gives the end of its log.
    fn try_start(&self) -> Result<(), String> {
        let log = self.log_file();
        let output = self
            .pg_ctl()
            .arg("-l")
            .arg(&log)
            .args(["-o", &format!("-c port={}", self.port), "start"])
            .output()
            .unwrap_or_else(|error| panic!("could not start pg_ctl: {error}"));
        if output.status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        Err(lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    /// A port that is free now can be taken before the server binds it, by
    /// another cluster that looks at the same moment: then the next one is tried.
    fn start_on_a_free_port(&mut self) {
        let mut last_log = String::new();
        for port in ports_from(std::process::id())
            .filter(|port| is_free(*port))
            .take(20)
        {
            self.port = port;
            match self.try_start() {
                Ok(()) => return,
                Err(log) if log.contains("Address already in use") => last_log = log,
                Err(log) => panic!("PostgreSQL did not start; its log ends with:\n{log}"),
            }
        }
        panic!("PostgreSQL found no free port in {PORTS:?}; its log ends with:\n{last_log}");
    }

    /// A killed server leaves its number in two lock files. It may be a zombie's
    /// for a while, or a stranger's soon, and the next start would refuse.
    fn forget_process_number(&self) {
        let socket = format!(".s.PGSQL.{}.lock", self.port);
        for lock in [
            self.data().join("postmaster.pid"),
            self.socket_directory().join(socket),
        ] {
            // There is none if the server was not running.
            let _ = fs::remove_file(lock);
        }
    }

    /// First to the process that makes the others, so that none is made unseen.
    fn signal(&self, signal: Signal) {
        if let Some(server) = self.server_process() {
            send(server, signal);
        }
        for process in self.processes() {
            send(process, signal);
        }
    }

    fn server_process(&self) -> Option<Pid> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let server = Pid::from_raw(file.lines().next()?.parse().ok()?)?;
        self.processes()
            .into_iter()
            .find(|process| *process == server)
    }

    /// Every process of the server: they all work in the data directory.
    fn processes(&self) -> Vec<Pid> {
        let data = self.data();
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data))
            .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
            .collect()
    }
}

/// A directory for one cluster, its name resolved: the processes of the server
/// are recognised by the resolved name.
fn own_directory(installation: &Installation, options: &Options) -> PathBuf {
    let prefix = "keywright-postgres-";
    let in_memory = (!options.durable)
        .then(memory)
        .flatten()
        .and_then(|folder| TempDir::with_prefix_in(prefix, folder).ok());
    let directory = in_memory
        .map_or_else(|| TempDir::with_prefix(prefix), Ok)
        .unwrap_or_else(|error| panic!("could not make a temporary directory: {error}"))
        // From here on the guardian removes it.
        .keep();
    let directory = directory
        .canonicalize()
        .expect("the directory was just made");
    let sockets = directory.join("socket");
    fs::create_dir(&sockets).expect("the directory is ours and empty");
    installation.hand_over(&directory);
    installation.hand_over(&sockets);
    directory
}

/// A folder kept in memory, where what need not last is made several times faster. Whoever says by `TMPDIR` where
/// temporary files go has said it; and a file system with less room than a test run takes is left alone.
fn memory() -> Option<&'static Path> {
    const TMPFS: u64 = 0x0102_1994;
    const ROOM: u64 = 1 << 30;

    let folder = Path::new("/dev/shm");
    let found = rustix::fs::statfs(folder).ok()?;
    let free = found
        .f_bavail
        .saturating_mul(u64::try_from(found.f_bsize).ok()?);
    let fits = std::env::var_os("TMPDIR").is_none()
        && u64::try_from(found.f_type) == Ok(TMPFS)
        && free >= ROOM;
    fits.then_some(folder)
}

fn initialise(installation: &Installation, directory: &Path, password: &str, options: &Options) {
    let data = directory.join("data");
    let password_file = directory.join("password");
    fs::write(&password_file, password).expect("the directory is ours");
    installation.hand_over(&password_file);

    let mut initdb = installation.command("initdb");
    initdb
        .arg("-D")
        .arg(&data)
        .arg("--pwfile")
        .arg(&password_file)
        .args([
            "--username=postgres",
            // Checked by the server only: SCRAM would cost an unoptimised client
            // many milliseconds for each connection.
            "--auth=password",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--lc-messages=C",
            "--no-sync",
        ]);
    finish("initdb", initdb.output());

    fs::OpenOptions::new()
        .append(true)
        .open(data.join("postgresql.conf"))
        .and_then(|mut file| {
            file.write_all(options.configuration(&directory.join("socket")).as_bytes())
        })
        .expect("initdb wrote postgresql.conf");
}

/// Every port of [`PORTS`], from one that differs between processes.
fn ports_from(seed: u32) -> impl Iterator<Item = u16> {
    let count = u32::from(PORTS.end - PORTS.start);
    (0..count).filter_map(move |step| {
        let offset = (seed.wrapping_mul(7) % count + step) % count;
        u16::try_from(u32::from(PORTS.start) + offset).ok()
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn send(process: Pid, signal: Signal) {
    // It may have ended by itself since it was listed.
    let _ = rustix::process::kill_process(process, signal);
}

/// 32 hexadecimal digits that nobody else has drawn.
fn random_name() -> String {
    use std::io::Read as _;

    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("every Unix has /dev/urandom");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// Makes an empty database in the cluster of `admin_url`; its name and its URL.
pub(crate) fn create_database(admin_url: &str) -> (String, String) {
    let name = format!("test_{}", random_name());
    // template0 takes no connections, so that copying it never has to wait.
    execute(
        admin_url,
        &format!("CREATE DATABASE {name} TEMPLATE template0"),
    )
    .unwrap_or_else(|error| panic!("could not create a test database: {error}"));
    let url = in_database(admin_url, &name);
    (name, url)
}

/// Runs one statement through psql; `Err` holds what psql said.
pub(crate) fn execute(url: &str, statement: &str) -> Result<(), String> {
    let output = asking(url, statement)
        .output()
        .map_err(|error| format!("could not start psql: {error}; run scripts/test"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Has psql run one statement, whatever becomes of it and of this process.
pub(crate) fn execute_in_background(url: &str, statement: &str) {
    let started = asking(url, statement)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // Nobody waits for it, and where it cannot run, nobody can help it.
    drop(started);
}

fn asking(url: &str, statement: &str) -> Command {
    let mut psql = Command::new(psql());
    psql.args([
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--dbname",
        url,
    ])
    .args(["--command", statement]);
    psql
}

/// The URL of another database in the same cluster; keeps the query.
fn in_database(url: &str, name: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (url, String::new()),
    };
    let authority = address.find("://").map_or(0, |scheme| scheme + "://".len());
    let end = address[authority..]
        .find('/')
        .map_or(address.len(), |path| authority + path);
    format!("{}/{name}{query}", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::{PORTS, in_database, ports_from};

    #[test]
    fn the_database_of_a_url_is_replaced_and_the_rest_kept() {
        for (url, expected) in [
            ("postgres://u:p@h:5433/postgres", "postgres://u:p@h:5433/db"),
            (
                "postgres://u:p@h:5433/postgres?sslmode=disable",
                "postgres://u:p@h:5433/db?sslmode=disable",
            ),
            ("postgres://h", "postgres://h/db"),
            (
                "postgresql://h/?host=/run/a",
                "postgresql://h/db?host=/run/a",
            ),
        ] {
            assert_eq!(in_database(url, "db"), expected);
        }
    }

    #[test]
    fn every_port_of_the_range_is_tried_once() {
        let mut ports: Vec<u16> = ports_from(u32::MAX).collect();
        ports.sort_unstable();
        assert_eq!(ports, PORTS.collect::<Vec<u16>>());
    }
}
