//! Creations through the real API.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::database::Database;
use keywright_bench::process::Keywright;

use crate::Contestant;

/// A server, and wrk that asks it for keys of a thousand users at random.
pub(crate) struct Api {
    server: Keywright,
    clients: usize,
    _database: Database,
}

impl Api {
    pub(crate) fn start(database: Database, clients: usize) -> Outcome<Self> {
        Ok(Self {
            server: database.serve([])?,
            clients,
            _database: database,
        })
    }
}

impl Contestant for Api {
    fn name(&self) -> String {
        "Keywright, over HTTP".to_owned()
    }

    fn run(&mut self, time: Duration) -> Outcome<f64> {
        let script = tempfile::Builder::new().suffix(".lua").tempfile()?;
        let key = format!("local service_key = \"{}\"\n", self.server.service_key());
        fs::write(script.path(), key + include_str!("create.lua"))?;
        let output = Command::new("wrk")
            .args(["--threads", "1", "--timeout", "30s"])
            .args(["--connections", &self.clients.to_string()])
            .args(["--duration", &format!("{}s", time.as_secs())])
            .arg("--script")
            .arg(script.path())
            .arg(format!("http://{}", self.server.server().address()))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        let figures: Vec<f64> = told
            .lines()
            .find_map(|line| line.strip_prefix("answers, failures, microseconds: "))
            .ok_or_else(|| format!("wrk said nothing that is understood: {told}"))?
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        match figures[..] {
            [answers, 0.0, microseconds] => Ok(answers / (microseconds / 1_000_000.0)),
            _ => Err(format!("not every key was made: {told}").into()),
        }
    }
}
