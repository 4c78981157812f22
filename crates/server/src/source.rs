//! Where a request comes from: the peer, or whom a trusted proxy names; and where its sender found the server.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::state::AppState;

/// The peer of the connection, which the listener puts into every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The source of a request. Only a trusted proxy is believed: of `X-Forwarded-For`, read from its end, the first
/// address that is no trusted proxy's. What stands further to the front was written by whoever sent the request.
///
/// `forwarded` are the values of `X-Forwarded-For`; nothing is read of them where the peer is not trusted.
pub(crate) fn source_of<'a>(
    peer: IpAddr,
    forwarded: impl Iterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    let is_visible = |value: &&[u8]| {
        value
            .iter()
            .all(|&byte| matches!(byte, b'\t' | b' '..=b'~'))
    };
    let named: Vec<&str> = forwarded
        .filter(is_visible)
        .filter_map(|value| str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    for text in named.into_iter().rev() {
        let Some(ip) = parse(text) else {
            return nearest;
        };
        nearest = ip;
        if !is_trusted(ip) {
            return ip;
        }
    }
    nearest
}

/// Whether the client speaks TLS: as the operator said where browsers reach the server, or else as a trusted proxy says.
/// This process never does.
pub(crate) fn is_secure(parts: &Parts, state: &AppState) -> bool {
    match &state.public_url {
        Some(url) => url.is_secure(),
        None => is_said_to_be_secure(parts, &state.trusted_proxies),
    }
}

/// Where the client found the server, as far as is known: an origin, to which a path can be added.
pub(crate) fn own_origin(parts: &Parts, state: &AppState) -> String {
    if let Some(url) = &state.public_url {
        return url.origin().to_owned();
    }
    let secure = if is_secure(parts, state) { "s" } else { "" };
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    format!("http{secure}://{}", host.unwrap_or("localhost"))
}

fn is_said_to_be_secure(parts: &Parts, trusted: &[IpNet]) -> bool {
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let is_trusted = peer.is_some_and(|peer| {
        let peer = peer.to_canonical();
        trusted.iter().any(|network| network.contains(&peer))
    });
    let said = parts.headers.get("x-forwarded-proto");
    is_trusted && said.is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// The values of `X-Forwarded-For`.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all("x-forwarded-for")
        .iter()
        .map(HeaderValue::as_bytes)
}

/// An address as proxies write it: bare, or with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    bare.or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
        .map(|ip: IpAddr| ip.to_canonical())
}

/// What counts as one source: an IPv4 address, or an IPv6 network of 64 bits, which one subscriber has whole.
pub(crate) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn source(peer: &str, values: &[&'static str]) -> IpAddr {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let values = values.iter().map(|value| value.as_bytes());
        source_of(ip(peer), values, &trusted)
    }

    #[test]
    fn a_stranger_names_nobody_but_itself() {
        assert_eq!(source("192.0.2.1", &["198.51.100.7"]), ip("192.0.2.1"));
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_it_saw() {
        assert_eq!(
            source("10.0.0.1", &["203.0.113.9, 198.51.100.7"]),
            ip("198.51.100.7")
        );
        assert_eq!(
            source("10.0.0.1", &["203.0.113.9", "198.51.100.7, 10.0.0.2"]),
            ip("198.51.100.7")
        );
    }

    #[test]
    fn a_proxy_that_names_nobody_is_the_source() {
        assert_eq!(source("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(
            source("10.0.0.1", &["198.51.100.7, unknown"]),
            ip("10.0.0.1")
        );
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        assert_eq!(
            source("10.0.0.1", &["198.51.100.7:4711"]),
            ip("198.51.100.7")
        );
        assert_eq!(
            source("10.0.0.1", &["[2001:db8::1]:4711"]),
            ip("2001:db8::1")
        );
        assert_eq!(source("10.0.0.1", &["[2001:db8::1]"]), ip("2001:db8::1"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_itself() {
        assert_eq!(
            source("::ffff:10.0.0.1", &["::ffff:198.51.100.7"]),
            ip("198.51.100.7")
        );
    }

    #[test]
    fn ipv6_counts_by_its_first_64_bits() {
        assert_eq!(subscriber(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(subscriber(ip("198.51.100.7")), ip("198.51.100.7"));
        assert_eq!(subscriber(ip("::ffff:198.51.100.7")), ip("198.51.100.7"));
    }
}
