//! Somebody who owns keys and changes them, each time on another node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Client, NoAnswer};
use crate::clock::now;
use crate::key::{GONE, Key, Part, REVOKED, joined};
use crate::trial::World;

/// How many keys one has.
const KEYS: usize = 4;

/// Of the keyspace that is always there.
const PERMISSIONS: &[&str] = &["EXECUTE_GRAPH", "READ_GRAPH", "EXECUTE_BLOCK", "READ_BLOCK"];

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    /// It holds.
    Held,
    /// It does not: something was in the way.
    Refused,
    /// It may hold, now or later.
    Unknown,
}

pub(crate) struct Changer {
    world: Arc<World>,
    random: fastrand::Rng,
    /// One for each node.
    clients: Vec<Client>,
    number: usize,
    /// The owner of the keys; the count of all names that were ever used.
    users: u64,
    names: u64,
    keyspaces: u64,
    keys: Vec<Arc<Key>>,
    /// The owner's keys that were revoked.
    retired: Vec<Arc<Key>>,
}

impl Changer {
    pub(crate) fn new(
        world: Arc<World>,
        random: fastrand::Rng,
        clients: Vec<Client>,
        number: usize,
    ) -> Self {
        Self {
            world,
            random,
            clients,
            number,
            users: 0,
            names: 0,
            keyspaces: 0,
            keys: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Until the trial is over.
    pub(crate) async fn run(mut self) {
        while !self.world.is_over() {
            while self.keys.len() < KEYS && !self.world.is_over() {
                self.create("default", PERMISSIONS).await;
            }
            self.change_something().await;
            let pause = self.world.pause_between_changes();
            tokio::time::sleep(pause.mul_f64(2.0 * self.random.f64())).await;
        }
    }

    fn user(&self) -> String {
        format!("user-{}-{}", self.number, self.users)
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("name-{}", self.names)
    }

    async fn change_something(&mut self) {
        let Some(place) = self.random.usize(..).checked_rem(self.keys.len()) else {
            return;
        };
        let key = self.keys[place].clone();
        match self.random.u32(0..100) {
            0..45 => self.suspend_or_reactivate(place).await,
            45..65 => {
                let name = self.name();
                let body = json!({ "name": name });
                self.change(&key, Part::Name, &name, "PATCH", "", Some(body))
                    .await;
            }
            65..80 => {
                let chosen: Vec<&str> = key
                    .catalogue
                    .iter()
                    .copied()
                    .filter(|_| self.random.bool())
                    .collect();
                let state = joined(chosen.iter().copied());
                let body = json!({ "permissions": chosen });
                self.change(
                    &key,
                    Part::Permissions,
                    &state,
                    "PUT",
                    "/permissions",
                    Some(body),
                )
                .await;
            }
            80..94 => self.retire(place).await,
            94..97 => self.delete_owner().await,
            _ => self.open_keyspace().await,
        }
    }

    /// Mostly on one node; now and then on two at once, of which one repeats what the other has not answered yet.
    async fn suspend_or_reactivate(&mut self, place: usize) {
        let key = self.keys[place].clone();
        let (state, action) = if self.random.bool() {
            ("SUSPENDED", "/suspend")
        } else {
            ("VALID", "/reactivate")
        };
        let became = if self.clients.len() > 1 && self.random.u8(0..3) == 0 {
            let one = self.random.usize(0..self.clients.len());
            let other = (one + self.random.usize(1..self.clients.len())) % self.clients.len();
            let world = self.world.clone();
            let [one, other] = self
                .clients
                .get_disjoint_mut([one, other])
                .expect("they are two");
            let (one, other) = tokio::join!(
                change(&world, one, &key, Part::Status, state, "POST", action, None),
                async {
                    tokio::task::yield_now().await;
                    change(
                        &world,
                        other,
                        &key,
                        Part::Status,
                        state,
                        "POST",
                        action,
                        None,
                    )
                    .await
                }
            );
            if one == Became::Unknown { one } else { other }
        } else {
            self.change(&key, Part::Status, state, "POST", action, None)
                .await
        };
        if became == Became::Unknown {
            // It may come at any time, and then nothing but the end would be known of it.
            self.retire(place).await;
        }
    }

    async fn change(
        &mut self,
        key: &Arc<Key>,
        part: Part,
        state: &str,
        method: &str,
        action: &str,
        body: Option<Value>,
    ) -> Became {
        let node = self.random.usize(0..self.clients.len());
        let client = &mut self.clients[node];
        change(&self.world, client, key, part, state, method, action, body).await
    }

    /// Revokes a key, by whichever node can, and makes another.
    async fn retire(&mut self, place: usize) {
        let key = self.keys.swap_remove(place);
        while !self.world.is_over()
            && self
                .change(&key, Part::Status, REVOKED, "DELETE", "", None)
                .await
                == Became::Unknown
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.retired.push(key);
    }

    /// The keys go with the owner.
    async fn delete_owner(&mut self) {
        let mut keys = std::mem::take(&mut self.keys);
        keys.append(&mut self.retired);
        let path = format!("/api/users/{}", self.user());
        while !self.world.is_over() {
            let called = now();
            let begun: Vec<_> = keys
                .iter()
                .map(|key| key.begin(Part::Status, GONE, called))
                .collect();
            let answer = self.ask("DELETE", &path, None, None).await;
            let world = self.world.clone();
            match world.became("a user's deletion", &answer, called, &[204, 404]) {
                Became::Held => {
                    for (key, begun) in keys.iter().zip(begun) {
                        key.held(Part::Status, begun);
                        world.heat(key);
                    }
                    break;
                }
                Became::Refused | Became::Unknown => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        self.users += 1;
    }

    /// A keyspace of its own, and a key in it: no node may take its text for made up.
    async fn open_keyspace(&mut self) {
        self.keyspaces += 1;
        let name = format!("ks-{}-{}", self.number, self.keyspaces);
        let body = json!({
            "name": name,
            "prefix": format!("k{}x{}_", self.number, self.keyspaces),
            "permissions": ["ONE"],
        });
        let called = now();
        let made = self.ask("POST", "/api/keyspaces", None, Some(&body)).await;
        if self.world.became("a keyspace", &made, called, &[200]) != Became::Held {
            return;
        }
        self.create(&name, &["ONE"]).await;
        let body = json!({ "permissions": ["ONE", "TWO"] });
        let path = format!("/api/keyspaces/{name}");
        let called = now();
        let added = self.ask("PATCH", &path, None, Some(&body)).await;
        if self
            .world
            .became("an added permission", &added, called, &[200])
            == Became::Held
        {
            self.create(&name, &["ONE", "TWO"]).await;
        }
    }

    async fn create(&mut self, keyspace: &str, permissions: &'static [&'static str]) {
        let body = json!({
            "name": self.name(),
            "permissions": permissions,
            "keyspace": keyspace,
        });
        let user = self.user();
        let called = now();
        let made = self
            .ask("POST", "/api/api-keys", Some(&user), Some(&body))
            .await;
        // Making one changes no earlier answer, and waits for nothing.
        match self.world.became("a creation", &made, called, &[200]) {
            Became::Held => {
                let made = made.ok().map(|(_, answer)| answer.body).unwrap_or_default();
                let text = made["plain_text_key"].as_str().unwrap_or_default();
                if let Some(key) = Key::made(&made["api_key"], text, permissions, called) {
                    let key = Arc::new(key);
                    self.world.add(&key);
                    self.keys.push(key);
                }
            }
            Became::Refused | Became::Unknown => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Asks some node.
    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        user: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(usize, Answer), NoAnswer> {
        let node = self.random.usize(0..self.clients.len());
        ask(&mut self.clients[node], method, path, user, body).await
    }
}

async fn ask(
    client: &mut Client,
    method: &str,
    path: &str,
    user: Option<&str>,
    body: Option<&Value>,
) -> Result<(usize, Answer), NoAnswer> {
    let node = client.node().clone();
    node.changing.fetch_add(1, Ordering::Relaxed);
    let answer = client.ask(method, path, user, body).await;
    node.changing.fetch_sub(1, Ordering::Relaxed);
    Ok((node.number, answer?))
}

#[expect(clippy::too_many_arguments, reason = "a change is all of these")]
async fn change(
    world: &World,
    client: &mut Client,
    key: &Arc<Key>,
    part: Part,
    state: &str,
    method: &str,
    action: &str,
    body: Option<Value>,
) -> Became {
    let path = format!("/api/api-keys/{}{action}", key.id);
    // So that it is being read somewhere when the change comes.
    world.heat(key);
    let called = now();
    let begun = key.begin(part, state, called);
    let answer = ask(client, method, &path, None, body.as_ref()).await;
    let became = world.became(&format!("{part:?} {state}"), &answer, called, &[200]);
    match became {
        Became::Held => {
            key.held(part, begun);
            world.heat(key);
        }
        Became::Refused => key.refused(part, begun),
        Became::Unknown => {}
    }
    became
}

impl World {
    /// What an answer to a change says of it.
    fn became(
        &self,
        what: &str,
        answer: &Result<(usize, Answer), NoAnswer>,
        called: Duration,
        good: &[u16],
    ) -> Became {
        let Ok((node, answer)) = answer else {
            self.note_unknown();
            return Became::Unknown;
        };
        if good.contains(&answer.status) {
            self.note_change(what, *node, called, now());
            return Became::Held;
        }
        match answer.status {
            503 => {
                self.note_unknown();
                Became::Unknown
            }
            409 => Became::Refused,
            _ => {
                self.unexpected(&self.nodes[*node], what, answer);
                Became::Unknown
            }
        }
    }
}
