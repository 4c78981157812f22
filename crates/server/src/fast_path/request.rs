//! A request of ours: what of its headers counts, and the same request for the router.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, Uri};
use httparse::Header;
use ipnet::IpNet;

use super::PATH;
use crate::request_id;
use crate::source::{Peer, source_of};

/// A request of ours, as it arrived.
pub(super) struct Request<'r, 'b> {
    pub(super) headers: &'r [Header<'b>],
    pub(super) body: &'b [u8],
}

impl<'b> Request<'_, 'b> {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'b [u8]> {
        self.headers
            .iter()
            .filter(move |header| {
                header.name.len() == name.len() && header.name.eq_ignore_ascii_case(name)
            })
            .map(|header| header.value)
    }

    /// The first value of a header.
    pub(super) fn value(&self, name: &'static str) -> Option<&'b [u8]> {
        self.values(name).next()
    }

    /// The id that the client gave, if it can be taken.
    pub(super) fn request_id(&self) -> Option<&'b str> {
        self.value("x-request-id").and_then(request_id::well_formed)
    }

    /// The text of the one credential, where it has the form of a key and nothing else; the router judges others.
    pub(super) fn credential(&self) -> Option<&'b str> {
        let mut bearers = self.values("authorization");
        let mut keys = self.values("x-api-key");
        let text = match (bearers.next(), keys.next()) {
            (Some(value), None) if bearers.next().is_none() => {
                let (scheme, text) = value.split_at_checked("bearer ".len())?;
                scheme.eq_ignore_ascii_case(b"bearer ").then_some(text)?
            }
            (None, Some(value)) if keys.next().is_none() => value,
            _ => return None,
        };
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if text.is_empty() || !text.iter().all(is_plain) {
            return None;
        }
        str::from_utf8(text).ok()
    }

    /// Where it comes from.
    pub(super) fn source(&self, peer: Peer, trusted: &[IpNet]) -> IpAddr {
        source_of(peer.0.ip(), self.values("x-forwarded-for"), trusted)
    }

    /// The same request as the HTTP library would hand it to the router; `None` where it would not have taken it.
    pub(super) fn for_router(&self, peer: Peer) -> Option<HttpRequest<Body>> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for header in self.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
        }
        let mut request = HttpRequest::new(Body::from(self.body.to_vec()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(PATH);
        *request.headers_mut() = headers;
        request.extensions_mut().insert(peer);
        Some(request)
    }
}
