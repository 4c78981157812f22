//! What the server asks of an identity provider over HTTP: by TLS or on this machine, led nowhere else, within a time
//! and a size.

use std::error::Error;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{Request, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use openidconnect::AsyncHttpClient;
use reqwest::Url;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// Whether what a URL answers can be believed: over clear text anybody between could answer in its place.
pub(crate) fn is_trustworthy(url: &Url) -> bool {
    let here = url.host_str().is_some_and(is_this_machine);
    let is_bare = url.username().is_empty() && url.password().is_none();
    is_bare && (url.scheme() == "https" || (url.scheme() == "http" && here))
}

/// Whether a host of a URL is this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Why there is no answer, for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("{0} is neither an https:// URL without a user nor on this machine")]
    NotTrustworthy(Url),
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
}

/// Asks identity providers.
pub(crate) struct Outbound(reqwest::Client);

impl Outbound {
    /// Whose requests take `timeout` at most, each.
    ///
    /// # Errors
    /// Where this machine has no certificates to judge others by.
    pub(crate) fn new(timeout: Duration) -> Result<Self, OutboundError> {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(client))
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// [`OutboundError`], also where the answer is no success.
    pub(crate) async fn get(&self, url: &Url) -> Result<Vec<u8>, OutboundError> {
        let request = reqwest::Request::new(reqwest::Method::GET, url.clone());
        let answer = self.execute(request).await?.error_for_status()?;
        whole(answer).await
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, OutboundError> {
        let mut answer = self.execute(request.try_into()?).await?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        *response.body_mut() = whole(answer).await?;
        Ok(response)
    }

    async fn execute(&self, request: reqwest::Request) -> Result<reqwest::Response, OutboundError> {
        if !is_trustworthy(request.url()) {
            return Err(OutboundError::NotTrustworthy(request.url().clone()));
        }
        Ok(self.0.execute(request).await?)
    }
}

async fn whole(mut answer: reqwest::Response) -> Result<Vec<u8>, OutboundError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(OutboundError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl<'c> AsyncHttpClient<'c> for Outbound {
    type Error = OutboundError;
    type Future = BoxFuture<'c, Result<Response<Vec<u8>>, OutboundError>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        self.send(request).boxed()
    }
}

/// An error with what it came from, for the log.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // infallible: a text takes what is written to it
        let _ = write!(told, ": {error}");
        source = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_believed_over_tls_or_from_this_machine() {
        let is_trustworthy = |url| super::is_trustworthy(&Url::parse(url).unwrap());
        for good in [
            "https://id.example/keys",
            "http://localhost:1/k",
            "http://127.0.0.2:9/k",
            "http://[::1]:9/k",
        ] {
            assert!(is_trustworthy(good), "{good}");
        }
        for bad in [
            "http://id.example/keys",
            "http://localhost.example/",
            "ftp://localhost/",
            "https://u:p@id.example/",
            "https://u@id.example/",
            "file:///etc/x",
        ] {
            assert!(!is_trustworthy(bad), "{bad}");
        }
    }
}
