//! What a server answered.

use reqwest::blocking::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Reads an answer to its end.
    pub(super) fn read(response: Response) -> Result<Self, reqwest::Error> {
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text()?,
        })
    }

    /// The document of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// Checks that it is a problem with this status and code; gives what it says.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(
            problem["request_id"].as_str(),
            self.header("x-request-id"),
            "{problem}"
        );
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(!detail.is_empty());
        detail.to_owned()
    }

    /// Checks that it is the clear refusal of a server that cannot know now.
    #[track_caller]
    pub(crate) fn unavailable(&self) -> String {
        let detail = self.problem(503, "unavailable");
        let wait = self
            .header("retry-after")
            .and_then(|text| text.parse::<u32>().ok());
        assert!(
            wait.is_some_and(|seconds| seconds > 0),
            "{:?}",
            self.headers
        );
        detail
    }

    /// A header that is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in an answer {}: {}", self.status, self.body))
    }
}
