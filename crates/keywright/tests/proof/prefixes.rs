//! Keys whose visible beginnings are the same. (In the origin the older of two stops working.)

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use serde_json::json;

use crate::support::{NewKey, World, on_both_stores};

on_both_stores! {
    keys_that_share_a_prefix_are_all_good
}

/// Pairs of keys with the same prefix.
#[derive(Default)]
struct Minted {
    keys: Vec<NewKey>,
    by_prefix: HashMap<String, usize>,
    pairs: usize,
}

impl Minted {
    fn add(&mut self, key: NewKey) {
        let alike = self.by_prefix.entry(key.text[..8].to_owned()).or_default();
        self.pairs += *alike;
        *alike += 1;
        self.keys.push(key);
    }
}

fn keys_that_share_a_prefix_are_all_good(world: &World) {
    let ada = world.user("ada");
    let minted = Mutex::new(Minted::default());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while minted.lock().expect("no panic").pairs < 10 {
                    let key = ada.key("one of many");
                    minted.lock().expect("no panic").add(key);
                }
            });
        }
    });

    let minted = minted.into_inner().expect("no panic");
    // 62³ prefixes: ten pairs come with about 2,200 keys, and 20,000 without them would be no chance.
    assert!(minted.keys.len() < 20_000, "{} keys", minted.keys.len());
    for keys in minted.keys.chunks(1000) {
        let requests: Vec<_> = keys.iter().map(|key| json!({"key": key.text})).collect();
        let answer = world
            .admin()
            .post("/api/verify/batch", &json!({"requests": requests}))
            .ok();
        let found: Vec<_> = answer["results"]
            .as_array()
            .expect("results")
            .iter()
            .map(|result| (result["code"].as_str(), result["key_id"].as_str()))
            .collect();
        let expected: Vec<_> = keys
            .iter()
            .map(|key| (Some("VALID"), Some(key.id.as_str())))
            .collect();
        assert_eq!(found, expected);
    }
}
