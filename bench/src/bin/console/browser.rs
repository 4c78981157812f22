//! Somebody who is signed in.

use std::net::SocketAddr;

use keywright_bench::Outcome;
use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;

/// One connection, and the cookie of a session.
pub(crate) struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

/// What came.
pub(crate) struct Answer {
    pub(crate) body: String,
    /// Headers and body.
    pub(crate) bytes: usize,
}

impl Browser {
    pub(crate) async fn sign_in(address: SocketAddr, service_key: &str) -> Outcome<Self> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .build()?;
        let base = format!("http://{address}");
        let answer = http
            .post(format!("{base}/sign-in"))
            .header(ORIGIN, &base)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("key={service_key}"))
            .send()
            .await?;
        let cookie = answer
            .headers()
            .get(SET_COOKIE)
            .ok_or("nobody was signed in")?;
        let cookie = cookie
            .to_str()?
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Self { http, base, cookie })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Outcome<Answer> {
        let answer = self
            .http
            .get(format!("{}{path}", self.base))
            .header(COOKIE, &self.cookie)
            .header(ACCEPT, "text/html")
            .send()
            .await?;
        if !answer.status().is_success() {
            return Err(format!("{path}: {}", answer.status()).into());
        }
        let headers = answer.headers().iter();
        // Each with a colon, a blank and a line end.
        let headers: usize = headers
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        let body = answer.text().await?;
        let bytes = headers + body.len();
        Ok(Answer { body, bytes })
    }

    /// The bytes of a page and of all that it loads.
    pub(crate) async fn with_assets(&mut self, path: &str) -> Outcome<usize> {
        let page = self.get(path).await?;
        let mut assets: Vec<&str> = page
            .body
            .split('"')
            .filter(|text| text.starts_with("/assets/"))
            .collect();
        assets.sort_unstable();
        assets.dedup();
        let mut bytes = page.bytes;
        for asset in assets {
            bytes += self.get(asset).await?.bytes;
        }
        Ok(bytes)
    }
}
