//! Several nodes on one PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keywright_testkit::TemporaryPostgres;
use tempfile::TempDir;

use crate::Outcome;
use crate::process::{Server, program, scratch};

/// Nodes, the database they share, and what they keep beside it.
pub struct Cluster {
    /// The processes.
    pub nodes: Vec<Server>,
    /// A service key with every permission.
    pub service_key: String,
    /// Where the database is.
    pub url: String,
    folder: TempDir,
    _database: Arc<TemporaryPostgres>,
}

impl Cluster {
    /// Starts so many, each with one worker, on a new database; `options` are further options of `serve`.
    pub fn start(
        database: &Arc<TemporaryPostgres>,
        nodes: usize,
        options: &[&str],
    ) -> Outcome<Self> {
        let folder = scratch()?;
        let url = database.create_database();
        let started: Outcome<Vec<Server>> = (0..nodes)
            .map(|number| start(&url, &folder.path().join(number.to_string()), options))
            .collect();
        let key = fs::read_to_string(folder.path().join("0").join("admin-key"))?;
        Ok(Self {
            nodes: started?,
            service_key: key.trim().to_owned(),
            url,
            folder,
            _database: database.clone(),
        })
    }

    /// A place for files that go with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where this node answers a path.
    pub fn at(&self, node: usize, path: &str) -> String {
        format!("http://{}{path}", self.nodes[node].address())
    }

    /// Waits until every node may decide from memory.
    pub async fn ready(&self) -> Outcome {
        for node in 0..self.nodes.len() {
            while !reqwest::get(self.at(node, "/health/ready"))
                .await?
                .status()
                .is_success()
            {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

fn start(url: &str, data: &PathBuf, options: &[&str]) -> Outcome<Server> {
    fs::create_dir_all(data)?;
    Server::start_announced(
        Command::new(program("keywright")?)
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "1"])
            .arg("--data-dir")
            .arg(data)
            .args(options)
            .env("KEYWRIGHT_DATABASE", url)
            .env("KEYWRIGHT_JWT_SECRET", "0123456789abcdef0123456789abcdef")
            .env("KEYWRIGHT_LOG", "warn"),
    )
}
