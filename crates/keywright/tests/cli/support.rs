//! A real server process on a store of its own, and the command line beside it.
//!
//! Nothing is shared between tests, and nothing is taken from the environment of whoever runs them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use keywright_testkit::{TestDatabase, fresh_database};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;

/// How long a process may take to start or to stop before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(1);

/// The secret of every test that configures one.
pub(crate) const JWT_SECRET: &str = "a secret of forty-two bytes, for tests only";

/// Which kind of database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// A machine for one test: a folder to work in, an environment, and a database that nobody else has.
pub(crate) struct Machine {
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// How many files a server may have open: the soft and the hard limit.
    open_files: Option<(u32, u32)>,
    /// Whom commands run as, where not as whoever runs the tests.
    user: Option<u32>,
    /// Dropped with the machine.
    database: Option<TestDatabase>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Sessions of a server that was killed end before the database they use is dropped.
        drop(self.database.take());
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    /// The exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// A running `keywright serve`; killed when dropped.
pub(crate) struct Server {
    process: Child,
    lines: Receiver<String>,
    /// What it printed before it listened.
    pub(crate) announced: Vec<String>,
    /// `http://IP:PORT`.
    pub(crate) address: String,
}

impl Machine {
    /// A machine whose server has its database on `on`, by the environment alone.
    pub(crate) fn new(on: On) -> Self {
        let mut machine = Self::bare();
        machine.set("KEYWRIGHT_LISTEN", "127.0.0.1:0");
        if on == On::Postgres {
            let database = fresh_database();
            machine.set("KEYWRIGHT_DATABASE", database.url());
            machine.set("KEYWRIGHT_JWT_SECRET", JWT_SECRET);
            machine.database = Some(database);
        }
        machine
    }

    /// A machine with no configuration at all.
    pub(crate) fn bare() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            environment: Vec::new(),
            open_files: None,
            user: None,
            database: None,
        }
    }

    /// Sets an environment variable for every later command.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Lets later servers open so few files: the soft and the hard limit.
    pub(crate) fn limit_open_files(&mut self, soft: u32, hard: u32) {
        self.open_files = Some((soft, hard));
    }

    /// Runs later commands as somebody whom permissions bind, which they do not bind root; gives the folder, and what
    /// is in it, to that user.
    pub(crate) fn be_no_root(&mut self) {
        const NOBODY: u32 = 65_534;
        if rustix::process::geteuid().is_root() {
            give(self.folder.path(), NOBODY);
            self.user = Some(NOBODY);
        }
    }

    /// What an environment variable is set to.
    pub(crate) fn variable(&self, name: &str) -> &str {
        let set = self.environment.iter().find(|(known, _)| known == name);
        &set.unwrap_or_else(|| panic!("{name} is not set")).1
    }

    /// The path of a file in the folder that commands run in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes such a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder is ours");
    }

    /// Reads such a file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The permission bits of such a file.
    pub(crate) fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        let found = fs::metadata(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.permissions().mode() & 0o777
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(Command::new(env!("CARGO_BIN_EXE_keywright")), arguments)
    }

    fn prepared(&self, mut command: Command, arguments: &[&str]) -> Command {
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            // Tests wait for what is written behind.
            .env("KEYWRIGHT_USAGE_INTERVAL", "1s")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end, with nothing on standard input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "")
    }

    /// Runs a command to its end, with this on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Done {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("keywright can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that does not read it may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child
            .wait_with_output()
            .expect("keywright can be waited for");
        Done {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Runs a command on a terminal of its own, where somebody types `input`; gives the exit code and all that the
    /// terminal shows.
    pub(crate) fn run_on_terminal(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let (terminal, child) = self.spawn_on_terminal(arguments);
        (&terminal).write_all(input.as_bytes()).expect("a terminal");
        let (code, shown) = ended(child, terminal);
        (code, shown.replace("\r\n", "\n"))
    }

    /// Starts a command on a terminal of its own, and gives the other end of that.
    pub(crate) fn spawn_on_terminal(&self, arguments: &[&str]) -> (File, Child) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal)
            .and_then(|()| unlockpt(&terminal))
            .expect("it is ours");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name");
        let name = name.into_string().expect("ASCII");
        let end = || {
            File::options()
                .read(true)
                .write(true)
                .open(&name)
                .expect("it is unlocked")
        };
        let child = self
            .command(arguments)
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("keywright can be started");
        (File::from(terminal), child)
    }

    /// Starts a server, and lets later commands find it.
    pub(crate) fn serve(&mut self, arguments: &[&str]) -> Server {
        let server = self
            .try_serve(arguments)
            .unwrap_or_else(|log| panic!("the server did not start:\n{log}"));
        self.set("KEYWRIGHT_SERVER", &server.address);
        server
    }

    /// Starts a server; gives its log where it ends before it listens.
    pub(crate) fn try_serve(&self, arguments: &[&str]) -> Result<Server, String> {
        let mut server = self.begin_to_serve(arguments);
        loop {
            match server.lines.recv_timeout(PATIENCE) {
                Ok(line) => match line.strip_prefix("listening on ") {
                    Some(address) => {
                        address.clone_into(&mut server.address);
                        return Ok(server);
                    }
                    None => server.announced.push(line),
                },
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the server was not ready in {PATIENCE:?}")
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.read("server.log")),
            }
        }
    }

    /// Starts a server and does not wait until it listens.
    pub(crate) fn begin_to_serve(&self, arguments: &[&str]) -> Server {
        let log = self.path("server.log");
        let log_file = File::create(&log).expect("the folder is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
        if let Some((soft, hard)) = self.open_files {
            command = Command::new("/bin/sh");
            command
                .arg("-c")
                .arg(format!(
                    r#"ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$0" "$@""#
                ))
                .arg(env!("CARGO_BIN_EXE_keywright"));
        }
        let mut process = self
            .prepared(command, &[&["serve"], arguments].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .expect("keywright can be started");
        let lines = lines_of(&mut process);
        Server {
            process,
            lines,
            announced: Vec::new(),
            address: String::new(),
        }
    }
}

/// Makes a folder, and all that is in it, a user's.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            give(&entry.path(), user);
        }
    }
}

/// Waits for a command on a terminal to end; gives its exit code and what the terminal showed.
fn ended(mut child: Child, terminal: File) -> (i32, String) {
    // The last to close a terminal hangs it up, and reading on gives an error.
    let mut shown = Vec::new();
    let _ = { terminal }.read_to_end(&mut shown);
    let status = child.wait().expect("it is our child");
    (
        status.code().unwrap_or(-1),
        String::from_utf8(shown).expect("UTF-8"),
    )
}

/// The lines that a process prints, as they come.
fn lines_of(process: &mut Child) -> Receiver<String> {
    let stdout = process.stdout.take().expect("it is piped");
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

impl Server {
    /// The next line that it prints.
    pub(crate) fn says(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("it prints one more line")
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to stop, by SIGTERM, and waits until it has.
    pub(crate) fn stop(self) -> ExitStatus {
        let id = i32::try_from(self.process.id()).expect("a process id");
        let id = rustix::process::Pid::from_raw(id).expect("not zero");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        self.wait()
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let step = Duration::from_millis(10);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                return status;
            }
            thread::sleep(step);
        }
        panic!("the server did not stop in {PATIENCE:?}");
    }

    /// Ends it as a crash does, by SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is our child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Done {
    /// The output of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// The output of a command that must have succeeded, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// What a command said that must have failed with this exit code.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.err
    }
}

/// Every file below a folder that holds a text.
pub(crate) fn files_that_hold(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_that_hold(&path, text));
        } else if fs::read(&path).is_ok_and(|bytes| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        }) {
            found.push(path);
        }
    }
    found
}
