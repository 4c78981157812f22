//! Somebody who is signed in.

use std::net::SocketAddr;

use keywright_bench::Outcome;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;

/// One connection, and the cookie of a session.
pub(crate) struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: String,
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

    /// How many bytes a page is, headers and body, as browsers take it: compressed.
    pub(crate) async fn get(&self, path: &str) -> Outcome<usize> {
        let (headers, body) = self.ask(path, "gzip").await?;
        Ok(headers + body.len())
    }

    /// What stands in a page.
    pub(crate) async fn read(&self, path: &str) -> Outcome<String> {
        let (_, body) = self.ask(path, "identity").await?;
        Ok(String::from_utf8(body)?)
    }

    /// Asks the API for something to look at.
    pub(crate) async fn make(
        &self,
        service_key: &str,
        path: &str,
        user: Option<&str>,
        wanted: &serde_json::Value,
    ) -> Outcome {
        let mut request = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth(service_key)
            .header(CONTENT_TYPE, "application/json")
            .body(wanted.to_string());
        if let Some(user) = user {
            request = request.header("Keywright-User", user);
        }
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn ask(&self, path: &str, encoding: &str) -> Outcome<(usize, Vec<u8>)> {
        let answer = self
            .http
            .get(format!("{}{path}", self.base))
            .header(COOKIE, &self.cookie)
            .header(ACCEPT, "text/html")
            .header(ACCEPT_ENCODING, encoding)
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
        Ok((headers, answer.bytes().await?.to_vec()))
    }

    /// The bytes of a page and of all that it loads.
    pub(crate) async fn with_assets(&self, path: &str) -> Outcome<usize> {
        let page = self.read(path).await?;
        let mut assets: Vec<&str> = page
            .split('"')
            .filter(|text| text.starts_with("/assets/"))
            .collect();
        assets.sort_unstable();
        assets.dedup();
        let mut bytes = self.get(path).await?;
        for asset in assets {
            bytes += self.get(asset).await?;
        }
        Ok(bytes)
    }
}
