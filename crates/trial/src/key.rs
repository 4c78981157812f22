//! A key that is changed and asked about, and what may be answered about it.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::clock::now;
use crate::history::{Begun, Finality, History};
use crate::node::lock;

/// What a change changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Status,
    Name,
    Permissions,
}

pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) text: String,
    /// What it may be granted.
    pub(crate) catalogue: &'static [&'static str],
    histories: Mutex<[History; 3]>,
}

/// Nothing comes after it but the owner's deletion.
pub(crate) const REVOKED: &str = "REVOKED";
/// Its owner was deleted: nothing comes after it.
pub(crate) const GONE: &str = "NOT_FOUND";

/// An answer that shows what had been replaced before it was asked for.
#[derive(Debug, Clone)]
pub struct Stale {
    /// The node that answered.
    pub node: usize,
    /// Of which key, by its id.
    pub key: String,
    /// What it showed of it.
    pub shown: String,
    /// When it was asked for.
    pub began: Duration,
    /// When it was there.
    pub ended: Duration,
    /// What had been done to the key last.
    pub history: String,
}

impl fmt::Display for Stale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "node {} said {} of key {} from {:.4?} to {:.4?}; done to it: {}",
            self.node, self.shown, self.key, self.began, self.ended, self.history
        )
    }
}

impl Key {
    /// One that was made, and answered about, in this time.
    pub(crate) fn made(
        shown: &Value,
        text: &str,
        catalogue: &'static [&'static str],
        called: Duration,
    ) -> Option<Self> {
        let key = Self {
            id: shown["id"].as_str()?.to_owned(),
            text: text.to_owned(),
            catalogue,
            histories: Mutex::default(),
        };
        for (part, state) in [
            (Part::Status, "VALID".to_owned()),
            (Part::Name, shown["name"].as_str()?.to_owned()),
            (Part::Permissions, permissions(shown)),
        ] {
            let begun = key.begin(part, &state, called);
            key.held(part, begun);
        }
        Some(key)
    }

    /// A change is asked for now, or was at `called`.
    pub(crate) fn begin(&self, part: Part, state: &str, called: Duration) -> Begun {
        let finality = match (part, state) {
            (Part::Status, GONE) => Finality::End,
            (Part::Status, REVOKED) => Finality::Final,
            _ => Finality::None,
        };
        lock(&self.histories)[part as usize].begin(state, finality, called)
    }

    /// It holds, as was just answered.
    pub(crate) fn held(&self, part: Part, begun: Begun) {
        lock(&self.histories)[part as usize].held(begun, now());
    }

    /// It was refused.
    pub(crate) fn refused(&self, part: Part, begun: Begun) {
        lock(&self.histories)[part as usize].refused(begun);
    }

    /// Whether a verification may have been decided like this.
    pub(crate) fn judge(
        &self,
        node: usize,
        answer: &Value,
        began: Duration,
        ended: Duration,
    ) -> Result<(), Box<Stale>> {
        let code = answer["code"].as_str().unwrap_or("no code").to_owned();
        let mut shown = vec![(Part::Status, code.clone())];
        if code != GONE {
            let name = answer["name"].as_str().unwrap_or("no name").to_owned();
            shown.push((Part::Name, name));
            shown.push((Part::Permissions, permissions(answer)));
        }
        let histories = lock(&self.histories);
        for (part, state) in shown {
            let history = &histories[part as usize];
            if !history.allows(&state, began, ended) {
                return Err(Box::new(Stale {
                    node,
                    key: self.id.clone(),
                    shown: format!("{part:?} {state}"),
                    began,
                    ended,
                    history: history.tail(),
                }));
            }
        }
        Ok(())
    }
}

/// In an order of their own: the server answers in the catalogue's.
fn permissions(shown: &Value) -> String {
    let names = shown["permissions"].as_array().into_iter().flatten();
    joined(names.filter_map(Value::as_str))
}

/// A set of names as one state.
pub(crate) fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.join("+")
}
