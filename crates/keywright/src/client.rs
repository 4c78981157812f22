//! The HTTP client of the command line: one service key, one server, and errors told as that server tells them.

mod connection;
mod pages;

pub(crate) use self::connection::ConnectionOptions;
pub(crate) use self::pages::understood;

use std::time::Duration;

use keywright_api::Problem;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LINK};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::configuration::is_loopback;
use crate::failure::Failure;

const USER: HeaderName = HeaderName::from_static("keywright-user");

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take: longer than a server lets a request take itself.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A server to ask, and the service key to ask it with.
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
    authorization: HeaderValue,
}

/// A question to the server.
pub(crate) struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Zeroizing<Vec<u8>>>,
}

/// What the server answered, as it wrote it. May hold the text of a key.
pub(crate) struct Answer {
    text: Zeroizing<String>,
    /// The query by which the next page of a list is asked for.
    next_query: Option<String>,
}

impl Client {
    fn new(server: Url, key: &SecretString) -> Result<Self, Failure> {
        let bearer = Zeroizing::new(format!("Bearer {}", key.expose_secret()));
        let mut authorization = HeaderValue::from_str(&bearer).map_err(|_| {
            Failure::usage("the service key holds characters that no key has: give its whole text")
        })?;
        authorization.set_sensitive(true);

        // No redirects: the key goes to the server that was named, and to no other.
        let mut http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&server) {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|error| Failure::refused(format!("no HTTP client can be made: {error}")))?;
        Ok(Self {
            http,
            server,
            authorization,
        })
    }

    /// A question about the path of these segments, each of which may hold any text.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> Result<Request, Failure> {
        let mut url = self.server.clone();
        for segment in path {
            // RFC 3986 §6.2.2.3: a client takes these away, percent-encoded or not, and another path is left.
            if matches!(*segment, "" | "." | "..") {
                return Err(Failure::usage(format!(
                    "{segment:?} cannot be part of a path: no such thing can be asked for"
                )));
            }
            // infallible: the server's URL is an http one, which has a path
            url.path_segments_mut()
                .expect("an http URL has a path")
                .pop_if_empty()
                .push(segment);
        }
        Ok(Request {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
        })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`Failure::Refused`] with what the server says, or with what to do where it cannot be reached.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let url = request.url.clone();
        let response = self
            .builder(request)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let next_query = next_query(&url, response.headers());
        let text = Zeroizing::new(
            response
                .text()
                .await
                .map_err(|error| self.unreachable(&error))?,
        );
        if status.is_success() {
            return Ok(Answer { text, next_query });
        }
        Err(match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => refused(&problem),
            Err(_) => Failure::refused(format!(
                "{} answered {status}, and not as a Keywright server does: check --server",
                self.server
            )),
        })
    }

    fn builder(&self, request: Request) -> RequestBuilder {
        let mut builder = self
            .http
            .request(request.method, request.url)
            .headers(request.headers)
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = request.body {
            builder = builder
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.to_vec());
        }
        builder
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        // The outermost error only says that a request failed; the innermost says why.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure::refused(format!(
            "{} cannot be reached: {cause}. Start the server with `keywright serve`, or name it with --server or \
             KEYWRIGHT_SERVER",
            self.server
        ))
    }
}

impl Request {
    /// Acts for a user.
    ///
    /// # Errors
    /// Where no header can hold the id.
    pub(crate) fn acting_for(mut self, user: Option<&str>) -> Result<Self, Failure> {
        if let Some(user) = user {
            let value = HeaderValue::from_bytes(user.as_bytes()).map_err(|_| {
                Failure::usage("--user: an id with control characters cannot be sent in a header")
            })?;
            self.headers.insert(USER, value);
        }
        Ok(self)
    }

    /// Adds a parameter to the query, if it is given.
    pub(crate) fn parameter(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// The same question about another page.
    fn for_next_page(&self) -> Self {
        Self {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: None,
        }
    }

    fn with_query(mut self, query: &str) -> Self {
        self.url.set_query(Some(query));
        self
    }

    /// Sends a body with it.
    pub(crate) fn body(mut self, body: &impl Serialize) -> Self {
        // infallible: the wire types have text names and finite numbers
        self.body = Some(Zeroizing::new(
            serde_json::to_vec(body).expect("wire types are JSON"),
        ));
        self
    }
}

impl Answer {
    /// The answer as the server wrote it.
    pub(crate) fn as_text(&self) -> &str {
        &self.text
    }

    /// The answer, understood.
    ///
    /// # Errors
    /// Where it is not what this version expects.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        // Without the error's own text, which may quote a secret.
        serde_json::from_str(&self.text).map_err(|_| not_understood())
    }
}

fn not_understood() -> Failure {
    Failure::refused(
        "the server's answer is not understood: it may be of another version; --json prints it as it is",
    )
}

/// What the server says of a request that it refused.
fn refused(problem: &Problem) -> Failure {
    use crate::output::printable;

    let mut text = printable(&problem.detail);
    for error in &problem.errors {
        text.push_str("\n  ");
        text.push_str(&printable(&format!("{} {}", error.pointer, error.detail)));
    }
    let code = problem.code.as_str();
    Failure::refused(format!(
        "{text}\n  code {code}, request {}",
        printable(&problem.request_id)
    ))
}

/// The query of the next page of a list (RFC 8288), if there is one. Only the query: where to ask is for the one who
/// runs the command to say, not for an answer.
fn next_query(url: &Url, headers: &HeaderMap) -> Option<String> {
    let links = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok());
    links.into_iter().find_map(|link| {
        let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
        let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
        if !parameters.split(';').any(is_next) {
            return None;
        }
        url.join(target).ok()?.query().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(server: &str) -> Client {
        Client::new(Url::parse(server).unwrap(), &"kw_x".into()).unwrap()
    }

    fn next(link: &'static str) -> Option<String> {
        let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_static(link))]);
        next_query(
            &Url::parse("http://a.example/api/users?limit=1").unwrap(),
            &headers,
        )
    }

    #[test]
    fn a_segment_may_hold_any_text() {
        let url = |id| {
            client("http://a.example")
                .request(Method::GET, &["api", "users", id])
                .map(|request| request.url)
        };
        assert_eq!(
            url("a/b?c#d ä").unwrap().as_str(),
            "http://a.example/api/users/a%2Fb%3Fc%23d%20%C3%A4"
        );
        assert!(url("..").is_err() && url(".").is_err() && url("").is_err());
    }

    #[test]
    fn a_server_may_have_a_path() {
        let request = client("https://a.example/keys/")
            .request(Method::GET, &["api"])
            .unwrap();
        assert_eq!(request.url.as_str(), "https://a.example/keys/api");
    }

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(
            next("</api/users?limit=1&cursor=x>; rel=\"next\"").as_deref(),
            Some("limit=1&cursor=x")
        );
        assert_eq!(next("</api/users?cursor=x>; rel=\"prev\""), None);
        assert_eq!(next("</api/users>; rel=\"next\""), None);
    }
}
