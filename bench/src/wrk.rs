//! Load from wrk: one thread, a fixed number of connections, `POST /api/verify` with another key each time.
//!
//! wrk is a closed loop: each connection sends its next request when it has the answer to the last. So its latencies
//! are those of a server that is as busy as it can be, and a slow answer delays the questions after it instead of
//! making them wait; they compare servers, and are not what a client at a fixed rate would see.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;

/// Key texts of one length, in a file, one after the other.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
    width: usize,
    count: usize,
}

impl KeyFile {
    /// Writes them down.
    pub fn write<T: AsRef<str>>(
        path: PathBuf,
        texts: impl IntoIterator<Item = T>,
    ) -> Outcome<Self> {
        let mut out = std::io::BufWriter::new(fs::File::create(&path)?);
        let (mut width, mut count) = (0, 0);
        for text in texts {
            let text = text.as_ref();
            if count == 0 {
                width = text.len();
            } else if text.len() != width {
                return Err("the keys of a file must be of one length".into());
            }
            out.write_all(text.as_bytes())?;
            count += 1;
        }
        out.flush()?;
        if count == 0 {
            return Err("a load needs a key".into());
        }
        Ok(Self { path, width, count })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// What is asked, by how many connections, and how closely the answers are looked at.
#[derive(Debug, Clone)]
pub struct Load {
    /// The caller's own key.
    pub service_key: String,
    /// The keys that are asked about, in rotation.
    pub keys: KeyFile,
    /// The first one, from 0; beyond the last it begins anew.
    pub first: usize,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// How long each waits after an answer before it sends its next request, in milliseconds.
    pub pause_ms: u64,
    /// For how long, in whole seconds.
    pub seconds: u64,
    /// Count the answers by status and code. It costs the client time for each answer, so loads that are compared
    /// must do alike.
    pub count_answers: bool,
}

/// The permission that every question asks for.
pub const PERMISSION: &str = "READ_GRAPH";

impl Load {
    /// Sends it, and waits until it is done.
    pub fn run(&self, address: SocketAddr, folder: &Path) -> Outcome<Measured> {
        let [measured] = Self::run_together([self], address, folder)?;
        Ok(measured)
    }

    /// Sends several at the same time: each is prepared, then all of them begin. What they need is written into
    /// `folder`.
    pub fn run_together<const N: usize>(
        loads: [&Self; N],
        address: SocketAddr,
        folder: &Path,
    ) -> Outcome<[Measured; N]> {
        let gate = Gate::new(folder)?;
        let mut running = Vec::with_capacity(N);
        for (number, load) in loads.into_iter().enumerate() {
            running.push(load.start(address, &gate, number)?);
        }
        gate.open(&mut running)?;
        let measured: Outcome<Vec<Measured>> = running.into_iter().map(Running::finish).collect();
        measured?
            .try_into()
            .map_err(|_| "each load has one result".into())
    }

    fn start(&self, address: SocketAddr, gate: &Gate, number: usize) -> Outcome<Running> {
        let script = gate.folder.path().join(format!("{number}.lua"));
        fs::write(&script, self.script(address, gate, number))?;
        let child = Command::new("wrk")
            .args(["--threads", "1", "--timeout", "10s"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .arg("--script")
            .arg(script)
            .arg(format!("http://{address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Running(child))
    }

    /// What comes before and after the key in every request.
    fn request(&self, address: SocketAddr) -> (String, String) {
        let body_head = r#"{"key":""#;
        let body_tail = format!(r#"","permissions":["{PERMISSION}"]}}"#);
        let length = body_head.len() + self.keys.width + body_tail.len();
        let head = format!(
            "POST /api/verify HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body_head}",
            self.service_key
        );
        (head, body_tail)
    }

    fn script(&self, address: SocketAddr, gate: &Gate, number: usize) -> String {
        let (head, tail) = self.request(address);
        let mut script = String::new();
        for (name, value) in [
            ("head", quoted_string(&head)),
            ("tail", quoted_string(&tail)),
            ("file", quoted_string(&self.keys.path.to_string_lossy())),
            (
                "ready",
                quoted_string(&gate.ready(number).to_string_lossy()),
            ),
            ("go", quoted_string(&gate.go().to_string_lossy())),
            ("width", self.keys.width.to_string()),
            ("count", self.keys.count.to_string()),
            ("first", (self.first % self.keys.count).to_string()),
            ("pause_ms", self.pause_ms.to_string()),
            ("count_answers", self.count_answers.to_string()),
        ] {
            // infallible: writing into a string
            let _ = writeln!(script, "local {name} = {value}");
        }
        script + include_str!("wrk.lua")
    }
}

/// A string, as Lua writes it.
fn quoted_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\r' => quoted.push_str("\\r"),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

/// Where loads wait for each other: a folder in which each says that it is ready, and is told to begin.
struct Gate {
    folder: TempDir,
}

impl Gate {
    fn new(folder: &Path) -> Outcome<Self> {
        let folder = tempfile::Builder::new()
            .prefix("load-")
            .tempdir_in(folder)?;
        Ok(Self { folder })
    }

    fn ready(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{number}.ready"))
    }

    fn go(&self) -> PathBuf {
        self.folder.path().join("go")
    }

    fn open(&self, running: &mut [Running]) -> Outcome {
        for (number, Running(child)) in running.iter_mut().enumerate() {
            while !self.ready(number).exists() {
                if let Some(status) = child.try_wait()? {
                    return Err(format!("wrk ended with {status} before it began").into());
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        fs::write(self.go(), "")?;
        Ok(())
    }
}

/// A load that is being prepared or sent; ended when dropped.
struct Running(Child);

impl Running {
    fn finish(mut self) -> Outcome<Measured> {
        let mut text = String::new();
        if let Some(mut output) = self.0.stdout.take() {
            output.read_to_string(&mut text)?;
        }
        let status = self.0.wait()?;
        if !status.success() {
            return Err(format!("wrk ended with {status}: {text}").into());
        }
        Measured::parse(&text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What wrk saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Answers.
    pub requests: u64,
    /// How long it took.
    pub seconds: f64,
    /// The size of all answers together, heads and bodies.
    pub bytes: u64,
    /// Half of the answers took no longer, in microseconds.
    pub p50: f64,
    /// 99 of 100 took no longer, in microseconds.
    pub p99: f64,
    /// Connections that could not be made, broke, or waited for more than 10 s.
    pub failures: u64,
    /// Answers with a status of 400 or above.
    pub refused: u64,
    /// How many answers there were of each status and code, `200 VALID`; empty unless they were to be counted.
    pub answers: BTreeMap<String, u64>,
}

impl Measured {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// From the lines that the script's `done` prints.
    fn parse(text: &str) -> Outcome<Self> {
        let mut figures = BTreeMap::new();
        let mut answers = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, value)) = line
                .strip_prefix("figure ")
                .and_then(|rest| rest.split_once(' '))
            {
                figures.insert(name, value);
            } else if let Some((count, answer)) = line
                .strip_prefix("answer ")
                .and_then(|rest| rest.split_once(' '))
            {
                answers.insert(answer.to_owned(), count.parse()?);
            }
        }
        let figure = |name: &str| {
            figures
                .get(name)
                .copied()
                .ok_or_else(|| format!("wrk did not say {name}: {text}"))
        };
        let whole = |name: &str| -> Outcome<u64> { Ok(figure(name)?.parse()?) };
        let microseconds: f64 = figure("duration")?.parse()?;
        Ok(Self {
            requests: whole("requests")?,
            seconds: microseconds / 1e6,
            bytes: whole("bytes")?,
            p50: figure("p50")?.parse()?,
            p99: figure("p99")?.parse()?,
            failures: whole("failures")?,
            refused: whole("refused")?,
            answers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_is_understood() {
        let text = "Running 1s test\nfigure requests 12\nfigure duration 2000000\nfigure bytes 99\n\
                    figure p50 80\nfigure p99 120.5\nfigure failures 0\nfigure refused 3\n\
                    answer 9 200 VALID\nanswer 3 503 overloaded\n";
        let measured = Measured::parse(text).unwrap();
        assert_eq!(measured.requests, 12);
        assert!((measured.rate() - 6.0).abs() < 1e-9);
        assert_eq!(measured.refused, 3);
        assert_eq!(measured.answers["200 VALID"], 9);
        assert_eq!(measured.answers["503 overloaded"], 3);
    }

    #[test]
    fn output_that_lacks_a_figure_is_an_error() {
        let error = Measured::parse("figure requests 12\n").unwrap_err();
        assert!(error.to_string().contains("duration"), "{error}");
    }

    #[test]
    fn a_string_means_the_same_in_lua() {
        assert_eq!(quoted_string("a\"\\\r\n"), r#""a\"\\\r\n""#);
    }
}
