//! Keys to ask about.

use std::sync::Arc;

use keywright_api::{CreatedKey, Verification};
use serde_json::json;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::process::Keywright;
use crate::wrk::PERMISSION;

/// How many are made at the same time; more would not be faster.
const CLIENTS: usize = 64;

/// Keys of one user.
const PER_USER: usize = 10;

/// Makes so many keys of the keyspace `default` over HTTP, and gives their texts. Names and users have the same
/// length for all, so that all answers about them have, too.
pub async fn create(keywright: &Keywright, count: usize) -> Outcome<Vec<String>> {
    let client = reqwest::Client::new();
    let url = Arc::new(url(keywright, "/api/api-keys"));
    let service_key: Arc<str> = keywright.service_key().into();
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS.min(count) {
        let (client, url, service_key) = (client.clone(), url.clone(), service_key.clone());
        clients.spawn(async move {
            let mut texts = Vec::new();
            for number in (first..count).step_by(CLIENTS) {
                let body = json!({
                    "name": format!("key {number:08}"),
                    "permissions": [PERMISSION],
                });
                let answer = client
                    .post(&*url)
                    .bearer_auth(&service_key)
                    .header("Keywright-User", format!("user-{:07}", number / PER_USER))
                    .header("Content-Type", "application/json")
                    .body(body.to_string())
                    .send()
                    .await?;
                let text = answer.error_for_status()?.bytes().await?;
                let created: CreatedKey = serde_json::from_slice(&text)?;
                texts.push(created.plain_text_key);
            }
            Outcome::Ok(texts)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(texts) = clients.join_next().await {
        all.append(&mut texts??);
    }
    Ok(all)
}

/// The answer of `POST /api/verify` about one key.
pub struct Answer {
    /// The body as it came.
    pub body: String,
    /// The body as the type that it is.
    pub verification: Verification,
}

/// Asks about one key, as the load does.
pub async fn verify(keywright: &Keywright, key: &str) -> Outcome<Answer> {
    let answer = reqwest::Client::new()
        .post(url(keywright, "/api/verify"))
        .bearer_auth(keywright.service_key())
        .header("Content-Type", "application/json")
        .body(json!({"key": key, "permissions": [PERMISSION]}).to_string())
        .send()
        .await?;
    let body = answer.error_for_status()?.text().await?;
    let verification = serde_json::from_str(&body)?;
    Ok(Answer { body, verification })
}

fn url(keywright: &Keywright, path: &str) -> String {
    format!("http://{}{path}", keywright.server().address())
}
