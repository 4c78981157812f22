//! A persona who talks to the server over HTTP, and takes no answer that the contract does not allow.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::documented::{assert_documented, assert_propagation_documented};

/// The headers that answers may carry. A new one is added here on purpose, not by accident.
const KNOWN_HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "link",
    "location",
    "retry-after",
    "transfer-encoding",
    "www-authenticate",
    "x-content-type-options",
    "x-request-id",
    "keywright-nodes",
    "keywright-propagation-ms",
];

/// Somebody with a credential, or with none.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    headers: HeaderMap,
}

/// A key that was made, with its text.
pub(crate) struct CreatedKey {
    pub(crate) id: String,
    pub(crate) text: String,
    /// As it was answered.
    pub(crate) key: Value,
}

impl CreatedKey {
    pub(crate) fn path(&self) -> String {
        format!("/api/api-keys/{}", self.id)
    }
}

impl Client {
    pub(crate) fn new(http: reqwest::Client, base: Arc<str>) -> Self {
        Self {
            http,
            base,
            headers: HeaderMap::new(),
        }
    }

    /// The same persona with one more header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header's value");
        client
            .headers
            .append(name.parse::<HeaderName>().unwrap(), value);
        client
    }

    /// The same persona with this bearer token.
    pub(crate) fn bearer(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// A service key that acts for a user.
    pub(crate) fn acting_for(&self, user: &str) -> Self {
        self.with("keywright-user", user)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string().into()))
            .await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body.to_string().into()))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body.to_string().into()))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// A POST without a body.
    pub(crate) async fn act(&self, path: &str) -> Answer {
        self.send(Method::POST, path, None).await
    }

    /// Any request; a body goes as `application/json` unless the persona says otherwise.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            if !self.headers.contains_key("content-type") {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        let response = request.send().await.expect("the server answers");
        let answer = Answer::read(response).await;
        answer.check(&method, path);
        answer
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .headers(self.headers.clone())
            .timeout(Duration::from_secs(30))
    }

    /// Makes a key in `default`.
    pub(crate) async fn create_key(&self, name: &str, permissions: &[&str]) -> CreatedKey {
        self.create(json!({"name": name, "permissions": permissions}))
            .await
    }

    /// Makes a key.
    pub(crate) async fn create(&self, wanted: Value) -> CreatedKey {
        let created = self.post("/api/api-keys", wanted).await.ok();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        CreatedKey {
            id: text(&created["api_key"]["id"]),
            text: text(&created["plain_text_key"]),
            key: created["api_key"].clone(),
        }
    }

    /// Every page of a list, following its links.
    pub(crate) async fn whole_list(&self, path: &str) -> Vec<Value> {
        self.pages(path).await.concat()
    }

    /// The pages of a list, following its links.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let answer = self.get(&path).await;
            next = answer.next_page();
            pages.push(answer.ok().as_array().unwrap().clone());
            assert!(
                pages.len() <= 1000,
                "the links of {path} go round in a ring"
            );
        }
        pages
    }

    /// The answer of a verification.
    pub(crate) async fn verify(&self, question: Value) -> Value {
        self.post("/api/verify", question).await.ok()
    }

    /// The code of a verification that asks for nothing but the key.
    pub(crate) async fn code_of(&self, key: &str) -> String {
        let decision = self.verify(json!({"key": key})).await;
        decision["code"].as_str().unwrap().to_owned()
    }
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.expect("the body is text"),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("a header is ASCII"))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.body))
    }

    /// The answer's document, where it is a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// The problem, where it is one of this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        let found = (self.status, problem["code"].as_str().unwrap_or_default());
        assert_eq!(found, (status, code), "{}", self.body);
        problem
    }

    /// Where the next page is.
    pub(crate) fn next_page(&self) -> Option<String> {
        let link = self.header("link")?;
        let path = link
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
        Some(path.expect("a link to the next page").to_owned())
    }

    /// What holds for every answer (CONTRACT §4.5).
    fn check(&self, method: &Method, path: &str) {
        let what = || format!("{method} {path}: {} {}", self.status, self.body);
        for name in self.headers.keys() {
            assert!(
                KNOWN_HEADERS.contains(&name.as_str()),
                "unknown header {name}: {}",
                what()
            );
        }
        let request_id = self
            .header("x-request-id")
            .unwrap_or_else(|| panic!("{}", what()));
        assert!(!request_id.is_empty(), "{}", what());
        assert_eq!(
            self.header("x-content-type-options"),
            Some("nosniff"),
            "{}",
            what()
        );
        let told =
            ["keywright-nodes", "keywright-propagation-ms"].map(|name| self.header(name).is_some());
        assert_eq!(told[0], told[1], "{}", what());
        assert_propagation_documented(method.as_str(), path, self.status, told[0]);
        if self.status < 400 {
            assert_documented(method.as_str(), path, self.status, None);
            return;
        }
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            what()
        );
        if method == Method::HEAD {
            assert_eq!(self.body, "", "a HEAD has no body");
            return;
        }
        let problem = self.json();
        let fields: Vec<_> = problem.as_object().unwrap().keys().cloned().collect();
        let mut expected = vec!["type", "title", "status", "detail", "code", "request_id"];
        if problem["code"] == "validation_failed" {
            expected.push("errors");
        }
        expected.sort_unstable();
        assert_eq!(fields, expected, "{}", what());
        assert_eq!(problem["type"], "about:blank", "{}", what());
        assert_eq!(problem["status"], self.status, "{}", what());
        assert_eq!(problem["request_id"], request_id, "{}", what());
        assert!(
            !problem["detail"].as_str().unwrap().is_empty(),
            "{}",
            what()
        );
        assert_eq!(
            self.status == 401,
            self.header("www-authenticate")
                .is_some_and(|challenge| !challenge.contains("insufficient_scope")),
            "{}",
            what()
        );
        assert_eq!(
            matches!(self.status, 429 | 503),
            self.header("retry-after").is_some(),
            "{}",
            what()
        );
        assert_eq!(
            self.status == 405,
            self.header("allow").is_some(),
            "{}",
            what()
        );
        let code = problem["code"].as_str().unwrap();
        if self.status != 405
            && !(code == "not_found" && problem["detail"].as_str().unwrap().contains("/docs"))
        {
            assert_documented(method.as_str(), path, self.status, Some(code));
        }
    }
}

/// Where the fields stand that a problem refuses.
#[track_caller]
pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{problem}"))
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}
