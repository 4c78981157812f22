//! Which server is asked, and with which service key.

use std::path::PathBuf;

use clap::Args;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::Client;
use crate::configuration::{ADMIN_KEY_FILE, DATA_DIR, secret_of_the_environment};
use crate::failure::Failure;
use crate::private_file;

/// Which server is asked, and with which service key.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionOptions {
    /// Where the server is [default: http://127.0.0.1:7878]
    #[arg(long, global = true, env = "KEYWRIGHT_SERVER", value_name = "URL", value_parser = server_url)]
    server: Option<Url>,
    /// File with the service key (or set KEYWRIGHT_SERVICE_KEY) [default: admin-key in the data folder]
    #[arg(long, global = true, value_name = "FILE")]
    service_key_file: Option<PathBuf>,
    /// Folder of a server on this machine, whose first service key is used [default: keywright-data]
    #[arg(long, global = true, env = "KEYWRIGHT_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Print the server's JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl ConnectionOptions {
    /// A client with the service key that is found first: in the file named, in the environment, in the data folder.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        // infallible: the address is a URL, as every test of a client shows
        let default = || Url::parse("http://127.0.0.1:7878").expect("a URL");
        let server = self.server.clone().unwrap_or_else(default);
        Client::new(server, &self.service_key()?)
    }

    fn service_key(&self) -> Result<SecretString, Failure> {
        if let Some(path) = &self.service_key_file {
            let key = private_file::read(path)?;
            let key = key.filter(|key| !key.expose_secret().trim().is_empty());
            return key.ok_or_else(|| {
                Failure::usage(format!("there is no service key in {}", path.display()))
            });
        }
        if let Some(key) = secret_of_the_environment("KEYWRIGHT_SERVICE_KEY")? {
            return Ok(key);
        }
        let data_dir = self
            .data_dir
            .clone()
            .unwrap_or_else(|| PathBuf::from(DATA_DIR));
        let path = data_dir.join(ADMIN_KEY_FILE);
        private_file::read(&path)?.ok_or_else(|| {
            Failure::usage(format!(
                "no service key: name a file with --service-key-file, set KEYWRIGHT_SERVICE_KEY, or name the data \
                 folder of a server on this machine with --data-dir (there is no {})",
                path.display()
            ))
        })
    }
}

fn server_url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
        })
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| {
            "write a URL such as http://127.0.0.1:7878 or https://keys.example.com".to_owned()
        })
}
