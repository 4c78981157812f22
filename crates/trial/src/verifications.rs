//! Somebody who verifies keys on one node, all the time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::clock::now;
use crate::trial::World;

/// A process that is held still answers nobody. What was asked of it shortly before it goes on is what tells whether it
/// knows how much it missed: so who waits gives up now and then, and asks anew.
const PATIENCE: Duration = Duration::from_secs(1);

/// Until the trial is over.
pub(crate) async fn verify(world: Arc<World>, mut client: Client, mut random: fastrand::Rng) {
    let node = client.node().clone();
    while !world.is_over() {
        let Some(key) = node.hottest().or_else(|| world.any_key(&mut random)) else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let question = json!({ "key": key.text });
        let began = now();
        let answer = client
            .ask_within(PATIENCE, "POST", "/api/verify", None, Some(&question))
            .await;
        let ended = now();
        let decided = match answer {
            Ok(answer) if answer.status == 200 => {
                if let Err(stale) = key.judge(node.number, &answer.body, began, ended) {
                    world.found_stale(*stale);
                }
                true
            }
            Ok(answer) => {
                if answer.status != 503 {
                    world.unexpected(&node, "a verification", &answer);
                }
                false
            }
            Err(_) => false,
        };
        node.count(decided);
        if decided {
            tokio::time::sleep(world.pause_between_verifications()).await;
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
