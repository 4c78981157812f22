//! Which server is asked, and with which service key.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::Client;
use crate::configuration::{
    ADMIN_KEY_FILE, DATA_DIR, LISTEN, is_loopback, secret_of_the_environment,
};
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
    /// Send the service key in clear text, over a network that nobody else can read
    #[arg(
        long,
        global = true,
        env = "KEYWRIGHT_INSECURE_HTTP",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    insecure_http: Option<bool>,
    /// Print the server's JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl ConnectionOptions {
    /// A client with the service key that is found first: in the file named, in the environment, in the data folder.
    ///
    /// # Errors
    /// Where there is none, or where it would cross a network in clear text.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        // infallible: an address and a port after http:// are a URL, as a test shows
        let default = || Url::parse(&format!("http://{LISTEN}")).expect("a URL");
        let server = self.server.clone().unwrap_or_else(default);
        let clear_text_is_meant = self.insecure_http == Some(true);
        if server.scheme() == "http" && !is_loopback(&server) && !clear_text_is_meant {
            return Err(Failure::usage(format!(
                "the service key would cross the network to {server} in clear text. Write https://; or, on a network \
                 that nobody else can read, say --insecure-http"
            )));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(server: Option<&str>, insecure_http: Option<bool>) -> Result<Client, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        private_file::write_new(&file, "a key").unwrap();
        let options = ConnectionOptions {
            server: server.map(|url| server_url(url).unwrap()),
            service_key_file: Some(file),
            data_dir: None,
            insecure_http,
            json: false,
        };
        options.client()
    }

    #[test]
    fn clear_text_goes_to_this_machine_alone_unless_it_is_meant() {
        for this_machine in [
            "http://127.0.0.1:7878",
            "http://127.0.0.2",
            "http://127.1.2.3",
            "http://[::1]:7878",
            "http://localhost",
            "http://LOCALHOST:1",
        ] {
            assert!(
                client_of(Some(this_machine), None).is_ok(),
                "{this_machine}"
            );
        }
        assert!(client_of(None, None).is_ok());
        for another in [
            "http://keys.example.com",
            "http://10.0.0.1:7878",
            "http://128.0.0.1",
            "http://0.0.0.0:7878",
            "http://[::2]",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
        ] {
            for not_meant in [None, Some(false)] {
                let Err(Failure::Usage(refusal)) = client_of(Some(another), not_meant) else {
                    panic!("{another} was taken")
                };
                for word in [another, "clear text", "https://", "--insecure-http"] {
                    assert!(refusal.contains(word), "{refusal}");
                }
            }
            assert!(client_of(Some(another), Some(true)).is_ok(), "{another}");
            let with_tls = another.replace("http:", "https:");
            assert!(client_of(Some(&with_tls), None).is_ok(), "{with_tls}");
        }
    }
}
