//! One node: a server process, and the proxy through which it reaches the database.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::{now, since};
use crate::key::Key;
use crate::proxy::Proxy;

/// How long a process may take to listen, the database being there or coming back.
const START: Duration = Duration::from_mins(1);

/// How many keys wait to be asked about next.
const HOT: usize = 64;

/// How its process is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
}

pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) proxy: Proxy,
    launch: Launch,
    folder: PathBuf,
    process: Mutex<Option<Child>>,
    address: Mutex<Option<SocketAddr>>,
    hot: Mutex<VecDeque<Arc<Key>>>,
    /// Changes that it was asked for and has not answered.
    pub(crate) changing: AtomicU64,
    /// Verifications that it answered, and those it could not decide.
    pub(crate) decided: AtomicU64,
    pub(crate) undecided: AtomicU64,
    /// Whether some fault is at it.
    pub(crate) taken: AtomicBool,
}

impl Node {
    pub(crate) fn new(number: usize, proxy: Proxy, launch: Launch, folder: PathBuf) -> Self {
        Self {
            number,
            proxy,
            launch,
            folder,
            process: Mutex::default(),
            address: Mutex::default(),
            hot: Mutex::default(),
            changing: AtomicU64::new(0),
            decided: AtomicU64::new(0),
            undecided: AtomicU64::new(0),
            taken: AtomicBool::new(false),
        }
    }

    /// Starts the process, again and again while it does not find its database; returns when it listens.
    ///
    /// # Panics
    /// With what it logged, if it never does.
    pub(crate) async fn start(&self) {
        fs::create_dir_all(&self.folder).expect("the folder is ours");
        let began = now();
        while !self.try_start(began).await {}
    }

    async fn try_start(&self, began: Duration) -> bool {
        *lock(&self.process) = Some(self.spawn());
        loop {
            assert!(
                since(began) < START,
                "node {} does not start: {}",
                self.number,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
            let printed = fs::read_to_string(self.folder.join("stdout")).unwrap_or_default();
            let listens = printed
                .lines()
                .find_map(|line| line.strip_prefix("listening on http://"));
            if let Some(address) = listens {
                *lock(&self.address) = Some(address.parse().expect("an address"));
                return true;
            }
            let mut process = lock(&self.process);
            let child = process.as_mut().expect("it was started");
            if child.try_wait().expect("it is our child").is_some() {
                return false;
            }
        }
    }

    fn spawn(&self) -> Child {
        let stdout = File::create(self.folder.join("stdout")).expect("the folder is ours");
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("stderr"))
            .expect("the folder is ours");
        Command::new(&self.launch.program)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .envs(
                self.launch
                    .variables
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.folder.join("data"))
            .args(&self.launch.arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{} could not be started: {error}",
                    self.launch.program.display()
                )
            })
    }

    /// Where it listens, or listened last.
    pub(crate) fn address(&self) -> SocketAddr {
        lock(&self.address).expect("it was started")
    }

    /// What it logged, in all its starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }

    /// The first service key, where it was this node that made it.
    pub(crate) fn service_key(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("data").join("admin-key")).ok()?;
        Some(text.trim().to_owned())
    }

    /// Holds the process still, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(child) = &*lock(&self.process) {
            kill_process(Pid::from_child(child), signal).expect("it is our child");
        }
    }

    /// `kill -9`; returns when it is gone.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = lock(&self.process).take() {
            child
                .kill()
                .and_then(|()| child.wait().map(|_| ()))
                .expect("it is our child");
        }
    }

    /// What has ended by itself, which no node may.
    pub(crate) fn ended(&self) -> bool {
        lock(&self.process)
            .as_mut()
            .is_some_and(|child| child.try_wait().expect("it is our child").is_some())
    }

    /// It is asked about next.
    pub(crate) fn heat(&self, key: &Arc<Key>) {
        let mut hot = lock(&self.hot);
        if hot.len() == HOT {
            hot.pop_front();
        }
        hot.push_back(key.clone());
    }

    pub(crate) fn hottest(&self) -> Option<Arc<Key>> {
        lock(&self.hot).pop_front()
    }

    pub(crate) fn count(&self, was_decided: bool) {
        let counter = if was_decided {
            &self.decided
        } else {
            &self.undecided
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
