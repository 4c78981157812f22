//! Somebody at the console: a browser without scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response};

/// Keeps cookies, sends forms, and follows redirects.
#[derive(Clone)]
pub(crate) struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: BTreeMap<String, String>,
    /// Which encodings it takes.
    takes: &'static str,
}

/// What is shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    /// Where, after redirects.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Shown {
    /// The value of the first input of this name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> String {
        let at = format!("name=\"{name}\" value=\"");
        let (_, rest) = self
            .html
            .split_once(&at)
            .unwrap_or_else(|| panic!("no field {name} in {}", self.html));
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// What stands between two texts.
    #[track_caller]
    pub(crate) fn between(&self, before: &str, after: &str) -> &str {
        let found = self.html.split_once(before).map(|(_, rest)| rest);
        let found = found.and_then(|rest| rest.split_once(after));
        found
            .unwrap_or_else(|| panic!("no {before} in {}", self.html))
            .0
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        assert!(self.html.contains(text), "{text} is not in {}", self.html);
    }

    #[track_caller]
    pub(crate) fn does_not_say(&self, text: &str) {
        assert!(!self.html.contains(text), "{text} is in {}", self.html);
    }
}

impl Browser {
    pub(crate) fn new(http: reqwest::Client, base: String) -> Self {
        Self {
            http,
            base,
            cookies: BTreeMap::new(),
            takes: "identity",
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// The same browser with another value for a cookie.
    pub(crate) fn with_cookie(&self, name: &str, value: &str) -> Self {
        let mut browser = self.clone();
        browser.cookies.insert(name.to_owned(), value.to_owned());
        browser
    }

    /// The same browser, which takes another encoding, and does not decode it.
    pub(crate) fn that_takes(&self, encoding: &'static str) -> Self {
        Self {
            takes: encoding,
            ..self.clone()
        }
    }

    pub(crate) async fn open(&mut self, path: &str) -> Shown {
        let request = self.request(Method::GET, path);
        self.follow(request, path).await
    }

    /// Where a page leads without being one, which is not followed.
    pub(crate) async fn led_to(&mut self, path: &str) -> String {
        let response = self.request(Method::GET, path).send().await;
        let response = response.expect("the server answers");
        self.keep_cookies(&response);
        let to = response.headers().get(LOCATION);
        let to = to.unwrap_or_else(|| panic!("{path} leads nowhere: {}", response.status()));
        to.to_str().expect("a URL").to_owned()
    }

    /// Sends a form of a page, from the server's own origin.
    pub(crate) async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let own = self.base.clone();
        self.send_from(&own, path, fields).await
    }

    pub(crate) async fn send_from(
        &mut self,
        origin: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Shown {
        let body = serde_urlencoded::to_string(fields).expect("pairs of texts");
        let request = self
            .request(Method::POST, path)
            .header(ORIGIN, origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.follow(request, path).await
    }

    /// Sends a form of somebody who is signed in: with what such a form holds.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let csrf = self.open("/account").await.field("csrf");
        let own = [("csrf", csrf.as_str())];
        let fields: Vec<_> = own.into_iter().chain(fields.iter().copied()).collect();
        self.send(path, &fields).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.http
            .request(method, format!("{}{path}", self.base))
            .header(COOKIE, cookies.join("; "))
            .header(ACCEPT_ENCODING, self.takes)
            .header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .timeout(Duration::from_secs(30))
    }

    async fn follow(&mut self, request: RequestBuilder, path: &str) -> Shown {
        let mut response = request.send().await.expect("the server answers");
        let mut path = path.to_owned();
        self.keep_cookies(&response);
        for _ in 0..5 {
            let Some(to) = response.headers().get(LOCATION) else {
                break;
            };
            path = to.to_str().expect("a path").to_owned();
            response = self
                .request(Method::GET, &path)
                .send()
                .await
                .expect("the server answers");
            self.keep_cookies(&response);
        }
        Shown {
            status: response.status().as_u16(),
            path,
            headers: response.headers().clone(),
            html: String::from_utf8_lossy(&response.bytes().await.expect("a page")).into_owned(),
        }
    }

    fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("ASCII");
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a pair");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
