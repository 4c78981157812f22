//! The configuration file: TOML, with the options of `serve` by their names.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use toml::{Table, Value};

use super::options::{Layer, ServeOptions};
use crate::failure::Failure;

/// What a configuration file says; nothing where there is none.
pub(crate) struct ConfigurationFile {
    path: PathBuf,
    table: Table,
}

impl ConfigurationFile {
    /// Reads the file, if one is named.
    ///
    /// # Errors
    /// Where it cannot be read, is no TOML, or holds an option that does not exist.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self {
                path: PathBuf::new(),
                table: Table::new(),
            });
        };
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            // Not the error's own text: it quotes the line, which may hold a secret.
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].matches('\n').count())
                + 1;
            Failure::usage(format!(
                "{}, line {line}: {}",
                path.display(),
                error.message()
            ))
        })?;
        let known = known_keys();
        match table.keys().find(|key| !known.contains(key)) {
            None => Ok(Self {
                path: path.to_owned(),
                table,
            }),
            Some(unknown) => Err(Failure::usage(format!(
                "{}: there is no option {unknown:?}; there are {}",
                path.display(),
                known.join(", ")
            ))),
        }
    }

    /// What the file says of a group of options.
    ///
    /// # Errors
    /// Where a value is of the wrong type or means nothing.
    pub(crate) fn group<T: Layer>(&self) -> Result<T, Failure> {
        serde_path_to_error::deserialize(Value::Table(self.table.clone())).map_err(|error| {
            let key = error.path().to_string();
            let inner = error.into_inner();
            Failure::usage(format!(
                "{}: {key}: {}",
                self.path.display(),
                inner.message()
            ))
        })
    }

    /// `options`, and what the file says where they say nothing.
    ///
    /// # Errors
    /// As [`Self::group`].
    pub(crate) fn under<T: Layer>(&self, options: T) -> Result<T, Failure> {
        Ok(options.or(self.group()?))
    }
}

/// The names of all options: those of the flags of `serve`, and the secrets, which are no flags.
fn known_keys() -> Vec<String> {
    let command = ServeOptions::augment_args(clap::Command::new("serve"));
    let mut keys: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .filter(|name| name != "config")
        .chain(["jwt-secret", "oidc-client-secret"].map(str::to_owned))
        .collect();
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use super::super::options::{
        JwtOptions, NetworkOptions, OidcOptions, ProcessOptions, StorageOptions,
    };
    use super::*;

    fn parse(text: &str) -> Result<ConfigurationFile, Failure> {
        ConfigurationFile::parse(Path::new("k.toml"), text)
    }

    fn refusal<T: Layer>(text: &str) -> String {
        match parse(text).and_then(|file| file.group::<T>()) {
            Err(Failure::Usage(text)) => text,
            _ => panic!("{text} was taken"),
        }
    }

    #[test]
    fn every_option_can_be_a_line_of_the_file() {
        let file = parse(
            r#"
            admin-group = "operators"
            admin-key-file = "a"
            behind-proxy = ["10.0.0.0/8"]
            cache-keys = 4
            cors-origin = ["https://a.example"]
            data-dir = "d"
            database = "sqlite:x"
            database-connections = 3
            insecure-http = true
            jwt-audience = "a"
            jwt-issuer = "i"
            jwt-jwks-url = "https://a.example/jwks"
            jwt-secret = "s"
            jwt-secret-file = "f"
            listen = "127.0.0.1:0"
            log = "warn"
            log-format = "json"
            metrics-listen = "127.0.0.1:0"
            lease = "1s"
            no-notify = true
            oidc-client-id = "c"
            oidc-client-secret = "s"
            oidc-groups-claim = "roles"
            oidc-issuer = "https://id.example"
            oidc-scope = ["profile"]
            public-url = "https://keys.example"
            usage-interval = "30s"
            usage-retention = "30d"
            workers = 2
            "#,
        )
        .unwrap();
        assert_eq!(file.table.len(), known_keys().len());
        let storage: StorageOptions = file.group().unwrap();
        assert!(
            storage.data_dir.is_some()
                && storage.database.is_some()
                && storage.database_connections.is_some()
        );
        let jwt: JwtOptions = file.group().unwrap();
        assert!(
            jwt.jwt_secret.is_some() && jwt.jwt_secret_file.is_some() && jwt.jwt_jwks_url.is_some()
        );
        assert!(jwt.jwt_audience.is_some() && jwt.jwt_issuer.is_some());
        let oidc: OidcOptions = file.group().unwrap();
        assert!(oidc.oidc_issuer.is_some() && oidc.oidc_client_id.is_some());
        assert!(oidc.oidc_client_secret.is_some() && oidc.oidc_scope.is_some());
        assert!(oidc.oidc_groups_claim.is_some() && oidc.admin_group.is_some());
        let network: NetworkOptions = file.group().unwrap();
        assert!(
            network.listen.is_some()
                && network.metrics_listen.is_some()
                && network.insecure_http.is_some()
        );
        assert!(network.behind_proxy.is_some() && network.cors_origin.is_some());
        assert!(network.public_url.is_some());
        let process: ProcessOptions = file.group().unwrap();
        assert!(process.admin_key_file.is_some() && process.workers.is_some());
        assert!(process.cache_keys.is_some());
        assert!(process.lease.is_some() && process.no_notify.is_some());
        assert!(process.log.is_some() && process.log_format.is_some());
        assert!(process.usage_retention.is_some() && process.usage_interval.is_some());
    }

    #[test]
    fn a_misspelt_option_is_refused_and_the_options_are_named() {
        let refusal = refusal::<NetworkOptions>("lisen = '127.0.0.1:1'");
        assert!(
            refusal.starts_with(
                r#"k.toml: there is no option "lisen"; there are admin-group, admin-key-file, behind-proxy, "#
            ),
            "{refusal}"
        );
    }

    #[test]
    fn a_wrong_value_is_told_with_its_option() {
        assert_eq!(
            refusal::<NetworkOptions>("listen = 'here'"),
            "k.toml: listen: write an address and a port, such as 127.0.0.1:7878, [::1]:7878 or 0.0.0.0:7878"
        );
        assert!(
            refusal::<StorageOptions>("database-connections = 0")
                .starts_with("k.toml: database-connections: ")
        );
    }

    #[test]
    fn no_error_quotes_a_secret() {
        for text in [
            "jwt-secret = 123456789",
            "jwt-secret = hunter2hunter2",
            "jwt-secret = 'hunter2hunter2",
            "jwt-secret = ['hunter2hunter2']",
        ] {
            let refusal = refusal::<JwtOptions>(text);
            assert!(
                !refusal.contains("hunter2") && !refusal.contains("12345"),
                "{refusal}"
            );
        }
        let wrong = refusal::<OidcOptions>("oidc-client-secret = ['hunter2hunter2']");
        assert!(!wrong.contains("hunter2"), "{wrong}");
        let refusal = refusal::<StorageOptions>("database = { url = 'postgres://u:hunter2@h/d' }");
        assert_eq!(
            refusal,
            "k.toml: database: must be a text in quotation marks"
        );
    }
}
