//! Servers that are measured: each its own process, on a port and in a folder of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Outcome;
use crate::ambient::Stopwatch;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder that is removed when dropped, on the disk that the target folder is on: `/tmp` may be memory, and what
/// is durable there costs nothing.
pub fn scratch() -> Outcome<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(programs()?)?)
}

/// The program of this name that was built together with this one.
pub fn program(name: &str) -> Outcome<PathBuf> {
    let path = programs()?.join(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is not built: bench/run builds it", path.display()).into())
    }
}

fn programs() -> Outcome<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().ok_or("this program is in no folder")?;
    Ok(folder.to_owned())
}

/// A port nobody listens on now.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Processor time, of all threads of a process and of its children.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// In the program, in seconds.
    pub user: f64,
    /// In the kernel on its behalf, in seconds.
    pub system: f64,
}

impl CpuTime {
    /// Both together, in seconds.
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// What was used since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }
}

/// A running server. It is stopped, by its own process id, when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server that will listen on `address`, and waits until it does.
    pub fn start(command: &mut Command, address: SocketAddr) -> Outcome<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut server = Self { child, address };
        let waiting = Stopwatch::start();
        while TcpStream::connect(address).is_err() {
            server.fail_if_ended()?;
            if waiting.elapsed() > PATIENCE {
                return Err(format!("{command:?} does not listen on {address}").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Starts a server that takes a port itself and prints a line `listening on http://IP:PORT` when it is ready.
    pub fn start_announced(command: &mut Command) -> Outcome<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        // The pipe stays with the child afterwards, so that it can go on writing.
        let output = server.child.stdout.as_mut().ok_or("the output is a pipe")?;
        for line in BufReader::new(output).lines() {
            if let Some(address) = line?.trim().strip_prefix("listening on http://") {
                server.address = address.parse()?;
                return Ok(server);
            }
        }
        Err(format!("{command:?} ended before it was ready").into())
    }

    fn fail_if_ended(&mut self) -> Outcome {
        match self.child.try_wait()? {
            Some(status) => Err(format!("the server ended: {status}").into()),
            None => Ok(()),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has used so far, with its children. The sum is exact to a tick (10 ms); how it divides into user and
    /// system is sampled by most kernels.
    pub fn cpu_time(&self) -> Outcome<CpuTime> {
        let mut sum = CpuTime::default();
        for id in family(self.id())? {
            let stat = Stat::of(id)?;
            sum.user += stat.user;
            sum.system += stat.system;
        }
        Ok(sum)
    }

    /// Memory in use (resident set size), with that of its children, in bytes.
    pub fn rss(&self) -> Outcome<u64> {
        let mut sum = 0;
        for id in family(self.id())? {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let kibibytes: u64 = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
                .ok_or("the process has no VmRSS")?
                .parse()?;
            sum += kibibytes * 1024;
        }
        Ok(sum)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> Outcome {
        self.terminate()
    }

    fn terminate(&mut self) -> Outcome {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let waiting = Stopwatch::start();
        while self.child.try_wait()?.is_none() {
            if waiting.elapsed() > PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                return Err("the server did not stop when asked, and was killed".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing more can be done about a process that cannot be stopped.
        let _ = self.terminate();
    }
}

/// A process and its children.
fn family(parent: u32) -> Outcome<Vec<u32>> {
    let mut family = vec![parent];
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that has ended meanwhile is nobody's child.
        if Stat::of(id).is_ok_and(|stat| stat.parent == parent) {
            family.push(id);
        }
    }
    Ok(family)
}

/// What is needed of `/proc/PID/stat` (see proc(5)).
struct Stat {
    parent: u32,
    user: f64,
    system: f64,
}

impl Stat {
    fn of(id: u32) -> Outcome<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat"))?)
    }

    fn parse(text: &str) -> Outcome<Self> {
        // The name of the program may hold spaces and brackets; after the last one come the fields from the third on.
        let (_, fields) = text
            .rsplit_once(')')
            .ok_or("/proc/PID/stat has no program")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).ok_or("/proc/PID/stat is cut short");
        Ok(Self {
            parent: field(4)?.parse()?,
            user: seconds(field(14)?.parse()?),
            system: seconds(field(15)?.parse()?),
        })
    }
}

/// What /proc counts in: part of Linux's interface to programs on every architecture that Keywright is built for.
const TICKS_PER_SECOND: f64 = 100.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "exact for millions of years of ticks"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

/// A `keywright serve` with an embedded database.
#[derive(Debug)]
pub struct Keywright {
    server: Server,
    service_key: String,
}

impl Keywright {
    /// Starts it on the embedded database in `data_dir`, which is made if it is not there, and waits until it is
    /// ready. `options` are further options of `serve`.
    pub fn start<I: AsRef<OsStr>>(
        data_dir: &Path,
        options: impl IntoIterator<Item = I>,
    ) -> Outcome<Self> {
        let mut command = Command::new(program("keywright")?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(options)
            .env("KEYWRIGHT_LOG", "warn");
        let server = Server::start_announced(&mut command)?;
        let mut service_key = String::new();
        // Written at the first start, and left there.
        fs::File::open(data_dir.join("admin-key"))?.read_to_string(&mut service_key)?;
        service_key.truncate(service_key.trim_end().len());
        Ok(Self {
            server,
            service_key,
        })
    }

    /// The process.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// A service key with every permission.
    pub fn service_key(&self) -> &str {
        &self.service_key
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(self) -> Outcome {
        self.server.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_after_a_strange_name_are_found() {
        let text = "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 2 3 4 150 50 6 7 20 0 1 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.parent, 3);
        assert!((stat.user / stat.system - 3.0).abs() < 1e-9);
        assert!(Stat::parse("7 (cut) S 3").is_err());
    }
}
