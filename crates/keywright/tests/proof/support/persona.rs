//! Those who use a server.

use std::sync::LazyLock;

use reqwest::Method;
use reqwest::blocking::Client;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{Answer, LONG, Node};

/// Somebody with a credential, or without one, who speaks to a node.
#[derive(Debug, Clone)]
pub(crate) struct Persona<'a> {
    node: &'a Node,
    headers: Vec<(&'static str, String)>,
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub(crate) struct NewKey {
    pub(crate) id: String,
    pub(crate) text: String,
    /// The key as the answer showed it.
    pub(crate) shown: Value,
}

impl<'a> Persona<'a> {
    pub(super) fn nobody(node: &'a Node) -> Self {
        Self {
            node,
            headers: Vec::new(),
        }
    }

    pub(super) fn bearing(node: &'a Node, token: &str) -> Self {
        Self::nobody(node).with("Authorization", format!("Bearer {token}"))
    }

    /// The same, with one header more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A service key that acts for a user.
    pub(crate) fn acting_for(&self, user: &str) -> Self {
        self.clone().with("Keywright-User", user)
    }

    /// The same, speaking to another node.
    pub(crate) fn at<'b>(&self, node: &'b Node) -> Persona<'b> {
        Persona {
            node,
            headers: self.headers.clone(),
        }
    }

    /// Sends a request; `Err` where no whole answer came.
    pub(crate) fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        static CLIENT: LazyLock<Client> = LazyLock::new(|| {
            Client::builder()
                .no_proxy()
                .timeout(LONG)
                .build()
                .expect("a client of HTTP")
        });
        let url = format!("http://{}{path}", self.node.address());
        let mut request = CLIENT.request(method, url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        Answer::read(request.send()?)
    }

    #[track_caller]
    pub(crate) fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_send(method, path, body)
            .unwrap_or_else(|error| panic!("no answer: {error:?}; {}", self.node.log()))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body))
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body))
    }

    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some(body))
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None)
    }

    /// Makes a key as described.
    #[track_caller]
    pub(crate) fn create(&self, wanted: &Value) -> NewKey {
        let created = self.post("/api/api-keys", wanted).ok();
        NewKey::of(&created)
    }

    /// Makes a key that may read graphs.
    #[track_caller]
    pub(crate) fn key(&self, name: &str) -> NewKey {
        self.create(&json!({"name": name, "permissions": ["READ_GRAPH"]}))
    }

    #[track_caller]
    pub(crate) fn suspend(&self, key: &NewKey) -> Value {
        self.send(Method::POST, &format!("{}/suspend", key.path()), None)
            .ok()
    }

    #[track_caller]
    pub(crate) fn reactivate(&self, key: &NewKey) -> Value {
        self.send(Method::POST, &format!("{}/reactivate", key.path()), None)
            .ok()
    }

    #[track_caller]
    pub(crate) fn revoke(&self, key: &NewKey) -> Value {
        self.delete(&key.path()).ok()
    }

    /// What a service learns of a key.
    #[track_caller]
    pub(crate) fn ask(&self, question: &Value) -> Value {
        self.post("/api/verify", question).ok()
    }

    /// The code of a verification.
    #[track_caller]
    pub(crate) fn verify(&self, key: &NewKey) -> String {
        let answer = self.ask(&json!({"key": key.text}));
        assert_eq!(answer["valid"], answer["code"] == "VALID", "{answer}");
        answer["code"].as_str().expect("a code").to_owned()
    }
}

impl NewKey {
    /// The key in the answer that made it.
    pub(crate) fn of(created: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            id: text(&created["api_key"]["id"]),
            text: text(&created["plain_text_key"]),
            shown: created["api_key"].clone(),
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> String {
        format!("/api/api-keys/{}", self.id)
    }
}
