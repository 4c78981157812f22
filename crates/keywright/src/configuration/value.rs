//! The values of options. Each says what is wrong with a text and what would be right; none says it of a secret.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::IpNet;
use keywright_server::Settings;
use reqwest::Url;
use secrecy::SecretString;
use serde::de::{Deserialize, Deserializer, Error as _};
use tracing_subscriber::EnvFilter;

/// A text that is never shown: not when it is wrong either.
#[derive(Debug, Clone)]
pub(crate) struct SecretText(pub(crate) SecretString);

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(SecretString::from(text)))
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of any value, because the error for a wrong type would show what was there.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(SecretString::from(text))),
            _ => Err(D::Error::custom("must be a text in quotation marks")),
        }
    }
}

/// Reads values from the file as from the command line.
macro_rules! deserialize_from_text {
    ($($name:ty),+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )+};
}
deserialize_from_text!(
    ListenAddress,
    Network,
    Origin,
    PublicUrl,
    JwksUrl,
    Issuer,
    Scope,
    LogFilter,
    Lease,
    UsageInterval,
    UsageRetention
);

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenAddress(pub(crate) SocketAddr);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numeric = text
            .strip_prefix("localhost:")
            .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        numeric.parse().map(Self).map_err(|_| {
            "write an address and a port, such as 127.0.0.1:7878, [::1]:7878 or 0.0.0.0:7878"
                .to_owned()
        })
    }
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|network| Self(network.trunc()))
            .map_err(|_| {
                "write a network such as 10.0.0.0/8 or an address such as 10.0.0.7".to_owned()
            })
    }
}

/// The origin of a browser page (RFC 6454): scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(pub(crate) String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let written_as = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(|url| url.origin().ascii_serialization());
        match written_as {
            Some(origin) if origin == text => Ok(Self(origin)),
            Some(origin) => Err(format!(
                "browsers send this origin as {origin}: write it so"
            )),
            None => Err("write an origin such as https://console.example.com".to_owned()),
        }
    }
}

/// Where browsers reach the server.
#[derive(Debug, Clone)]
pub(crate) struct PublicUrl(pub(crate) keywright_server::PublicUrl);

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        keywright_server::PublicUrl::parse(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// Where an identity provider publishes its keys.
#[derive(Debug, Clone)]
pub(crate) struct JwksUrl(pub(crate) keywright_server::jwt::JwksUrl);

impl FromStr for JwksUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        keywright_server::jwt::JwksUrl::parse(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// What an OpenID provider calls itself.
#[derive(Debug, Clone)]
pub(crate) struct Issuer(pub(crate) keywright_server::Issuer);

impl FromStr for Issuer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        keywright_server::Issuer::parse(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// What an identity provider is asked to tell of a user (RFC 6749 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope(pub(crate) String);

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_good = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
        if !text.is_empty() && text.bytes().all(is_good) {
            Ok(Self(text.to_owned()))
        } else {
            Err("write one scope, such as profile; further ones after a comma".to_owned())
        }
    }
}

/// Which events are logged, in the syntax of tracing's `EnvFilter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The directives.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EnvFilter::try_new(text)
            .map(|_| Self(text.to_owned()))
            .map_err(|error| {
                format!(
                    "{error}; write a level such as info, or target=level such as keywright=debug"
                )
            })
    }
}

/// How long a node of a cluster may decide from memory after it was last told everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease(pub(crate) Duration);

impl FromStr for Lease {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lease = match text.strip_suffix("ms").map(str::parse) {
            Some(millis) => millis.map(Duration::from_millis).ok(),
            None => crate::command::duration(text).ok(),
        };
        let sensible = Duration::from_millis(500)..=Duration::from_secs(30);
        let lease = lease.filter(|lease| sensible.contains(lease));
        let lease = lease.ok_or("write a length of time from 500ms to 30s, such as 3s")?;
        Ok(Self(lease))
    }
}

/// How often counts of use are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsageInterval(pub(crate) Duration);

impl Default for UsageInterval {
    fn default() -> Self {
        Self(Settings::default().use_flush_interval)
    }
}

impl FromStr for UsageInterval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let interval = crate::command::duration(text).ok();
        let sensible = Duration::from_secs(1)..=Duration::from_hours(1);
        let interval = interval.filter(|interval| sensible.contains(interval));
        let interval = interval.ok_or("write a length of time from 1s to 1h, such as 30s")?;
        Ok(Self(interval))
    }
}

/// How long counts of use are kept; `None` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsageRetention(pub(crate) Option<Duration>);

const DAY: Duration = Duration::from_hours(24);

impl Default for UsageRetention {
    fn default() -> Self {
        Self(Settings::default().usage_retention)
    }
}

impl fmt::Display for UsageRetention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(kept) => write!(f, "{}d", kept.as_secs() / DAY.as_secs()),
            None => f.write_str("forever"),
        }
    }
}

impl FromStr for UsageRetention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Self(None));
        }
        let kept = crate::command::duration(text).ok();
        let kept = kept.filter(|kept| kept.as_nanos() % DAY.as_nanos() == 0);
        let kept = kept.ok_or("write a number of days, at least 1d, such as 90d; or forever")?;
        Ok(Self(Some(kept)))
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs: one object a line
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: FromStr<Err = String> + std::fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err()
    }

    #[test]
    fn localhost_is_the_loopback_address() {
        assert_eq!(
            "localhost:80".parse(),
            Ok(ListenAddress(([127, 0, 0, 1], 80).into()))
        );
        assert!(refusal::<ListenAddress>("example.com:80").contains("such as 127.0.0.1:7878"));
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert_eq!("10.0.0.7".parse::<Network>(), "10.0.0.7/32".parse());
        assert_eq!("10.1.2.3/8".parse::<Network>(), "10.0.0.0/8".parse());
        assert!(refusal::<Network>("proxy").contains("10.0.0.0/8"));
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        assert!("https://a.example".parse::<Origin>().is_ok());
        assert!("http://localhost:3000".parse::<Origin>().is_ok());
        assert!(
            refusal::<Origin>("https://a.example/").ends_with("https://a.example: write it so")
        );
        assert!(refusal::<Origin>("*").contains("write an origin"));
        assert!(refusal::<Origin>("file:///x").contains("write an origin"));
    }

    #[test]
    fn a_scope_is_one_word() {
        let read = |text: &str| text.parse::<Scope>().map(|scope| scope.0);
        assert_eq!(read(" profile "), Ok("profile".to_owned()));
        assert_eq!(read("api://x/.default").as_deref(), Ok("api://x/.default"));
        for wrong in ["", " ", "a b", "a\"b", "a\\b", "ä"] {
            assert!(refusal::<Scope>(wrong).contains("such as profile"));
        }
    }

    #[test]
    fn counts_of_use_are_kept_for_whole_days_or_for_ever() {
        let read = |text: &str| text.parse::<UsageRetention>().map(|kept| kept.to_string());
        for (text, expected) in [("1d", "1d"), ("2w", "14d"), ("forever", "forever")] {
            assert_eq!(read(text), Ok(expected.to_owned()));
        }
        assert_eq!(UsageRetention::default().to_string(), "400d");
        for wrong in ["", "0", "0d", "90", "12h", "36h", "-1d", "never"] {
            assert!(refusal::<UsageRetention>(wrong).contains("such as 90d; or forever"));
        }
    }

    #[test]
    fn uses_are_written_every_second_to_every_hour() {
        let read = |text: &str| text.parse::<Lease>();
        assert_eq!(read("500ms"), Ok(Lease(Duration::from_millis(500))));
        assert_eq!(read("30s"), Ok(Lease(Duration::from_secs(30))));
        for wrong in ["499ms", "31s", "1m", "3", "ms", "-1s"] {
            assert!(refusal::<Lease>(wrong).contains("from 500ms to 30s"));
        }
        let read = |text: &str| text.parse::<UsageInterval>();
        assert_eq!(read("1s"), Ok(UsageInterval(Duration::from_secs(1))));
        assert_eq!(read("1h"), Ok(UsageInterval(Duration::from_hours(1))));
        assert_eq!(UsageInterval::default(), read("10s").unwrap());
        for wrong in ["", "0s", "10", "999ms", "3601s", "never"] {
            assert!(refusal::<UsageInterval>(wrong).contains("from 1s to 1h"));
        }
    }

    #[test]
    fn a_filter_that_means_nothing_is_refused() {
        assert!("keywright=trace,warn".parse::<LogFilter>().is_ok());
        assert!(refusal::<LogFilter>("keywright=loudly").contains("such as info"));
    }
}
