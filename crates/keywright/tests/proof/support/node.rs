//! A server process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    /// Variables of its environment, which holds nothing else but PATH.
    pub(crate) variables: Vec<(String, String)>,
    /// A program that starts it, with its arguments.
    pub(crate) under: Vec<String>,
    /// Where it listens; a free port of 127.0.0.1 unless said.
    pub(crate) listen: Option<String>,
    /// Further arguments of `serve`.
    pub(crate) arguments: Vec<String>,
}

impl Launch {
    /// With one variable more.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The program, as this launch starts it.
    pub(crate) fn program(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_keywright");
        let mut command = match self.under.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        // Tests wait for what is written behind.
        command.env("KEYWRIGHT_USAGE_INTERVAL", "1s");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A server process in a folder of its own. It can be stopped and started again, which changes its address.
#[derive(Debug)]
pub(crate) struct Node {
    folder: PathBuf,
    launch: Launch,
    running: Mutex<Option<Child>>,
    address: Mutex<Option<SocketAddr>>,
}

impl Node {
    /// Starts a server; returns when it says that it listens.
    ///
    /// # Panics
    /// With what it said, if it does not.
    #[track_caller]
    pub(crate) fn start(folder: &Path, launch: Launch) -> Self {
        fs::create_dir_all(folder).expect("a temporary folder");
        let node = Self {
            folder: folder.to_owned(),
            launch,
            running: Mutex::default(),
            address: Mutex::default(),
        };
        node.start_again();
        node
    }

    /// Starts it on the data it had.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[track_caller]
    pub(crate) fn start_again(&self) {
        let mut running = self.running.lock().expect("no other test uses it");
        assert!(running.is_none(), "it runs already");
        let mut child = self.spawn();
        let address = eventually("the server listens", || {
            let printed = fs::read_to_string(self.folder.join("stdout")).unwrap_or_default();
            let address = printed
                .lines()
                .find_map(|line| line.strip_prefix("listening on http://"));
            if address.is_none()
                && let Some(status) = child.try_wait().expect("it is our child")
            {
                panic!("the server did not start ({status}): {}", self.log());
            }
            Some(address?.parse().expect("an address"))
        });
        *running = Some(child);
        *self.address.lock().expect("no other test uses it") = Some(address);
    }

    fn spawn(&self) -> Child {
        // What it prints is this start's; what it logs is kept of all.
        let stdout = File::create(self.folder.join("stdout")).expect("the folder is ours");
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("stderr"))
            .expect("the folder is ours");
        self.launch
            .program()
            .args(["serve", "--listen"])
            .arg(self.launch.listen.as_deref().unwrap_or("127.0.0.1:0"))
            .arg("--data-dir")
            .arg(self.data())
            .args(&self.launch.arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start the server: {error}"))
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where it listens, or listened last.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.address.lock().expect("no other test uses it");
        address.expect("it was started")
    }

    /// What it logged, in all its starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }

    /// What it printed, in its last start.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.folder.join("stdout")).unwrap_or_default()
    }

    /// The process itself, and not the one that started it.
    pub(crate) fn process(&self) -> Pid {
        let running = self.running.lock().expect("no other test uses it");
        process_of(running.as_ref().expect("it runs"), &self.launch)
    }

    /// `kill -9`; returns when it is gone.
    pub(crate) fn kill(&self) {
        assert_eq!(self.end(Signal::KILL).signal(), Some(Signal::KILL.as_raw()));
    }

    /// Asks it to stop; returns when it has.
    pub(crate) fn stop(&self) -> ExitStatus {
        self.end(Signal::TERM)
    }

    fn end(&self, signal: Signal) -> ExitStatus {
        kill_process(self.process(), signal).expect("it runs");
        self.wait()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn wait(&self) -> ExitStatus {
        let taken = self.running.lock().expect("no other test uses it").take();
        let mut child = taken.expect("it runs");
        eventually("the server ends", || {
            child.try_wait().expect("it is our child")
        })
    }
}

/// A program that traces keeps the server as its only child.
fn process_of(child: &Child, launch: &Launch) -> Pid {
    let own = child.id();
    let number = if launch.under.is_empty() {
        own
    } else {
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.expect("it runs");
        children
            .split_whitespace()
            .next()
            .expect("it has a child")
            .parse()
            .expect("a number")
    };
    Pid::from_raw(i32::try_from(number).expect("a process number")).expect("not 0")
}

impl Drop for Node {
    fn drop(&mut self) {
        let Ok(running) = self.running.get_mut() else {
            return;
        };
        if let Some(mut child) = running.take() {
            if !self.launch.under.is_empty() {
                let _ = kill_process(process_of(&child, &self.launch), Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a command of the program to its end; gives its exit code, what it printed, and what it said.
pub(crate) fn run(launch: &Launch, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = launch
        .program()
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("could not start the program: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}
