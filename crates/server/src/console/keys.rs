//! `GET /keys`: the keys of whoever is signed in, or everybody's for an operator.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::key::KeyRecord;
use keywright_core::keyspace::{Keyspace, SERVICE};
use keywright_core::lifecycle::Status;
use keywright_store::{KeyQuery, KeySearch, NamePosition, Position, Remembered};
use serde::Deserialize;

use super::link::link;
use super::page::{Frame, Section, page};
use super::posted::{Fields, Posted};
use super::search::{Sought, masked, masked_id};
use super::shown::{Shown, shown_with_uses};
use super::visitor::Visitor;
use crate::authority::KeysRead;
use crate::paging::Cursor as _;
use crate::problem::Problem;
use crate::routes::api_keys::visible;
use crate::state::AppState;
use crate::validate::Validation;

/// How many keys a page has.
const PAGE: u32 = 25;

/// How many keys are shown at most whose text begins or ends alike.
const ALIKE: u32 = 50;

/// Which keys.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Filter {
    /// What was typed to find one.
    q: String,
    status: String,
    keyspace: String,
    user: String,
    cursor: String,
    /// What a page before this one did.
    done: String,
}

#[derive(Template)]
#[template(path = "console/keys.html")]
struct List {
    frame: Frame,
    filter: Filter,
    /// The address of this list.
    here: String,
    keyspaces: Vec<String>,
    keys: Vec<Shown>,
    next: Option<String>,
    done: String,
    /// Whether the visitor may change keys.
    may_change: bool,
}

impl List {
    /// Whether it is asked for some of the keys only.
    fn is_filtered(&self) -> bool {
        self.here != "/keys"
    }
}

/// What a list found.
struct Found {
    records: Vec<KeyRecord>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

pub(super) async fn list(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    visitor.may::<KeysRead>(None)?;
    // Whoever wrote a key into an address finds it there no further.
    let filter = Filter {
        q: masked(&filter.q),
        user: masked_id(&filter.user),
        ..filter
    };
    let keyspaces = state.store.list_keyspaces().await?;
    let found = filter.find(&visitor, &keyspaces, &state).await?;
    let names = keyspaces.iter().map(|keyspace| keyspace.name.to_string());
    let next = found.next.map(|cursor| filter.address(&cursor));
    Ok(page(&List {
        frame: Frame::of(&visitor, "Keys", Section::Keys),
        keyspaces: names.filter(|name| name != SERVICE).collect(),
        keys: shown_with_uses(&found.records, &state).await?,
        next,
        here: filter.address(&filter.cursor),
        done: told(if filter.done == "none" {
            "none"
        } else {
            visitor.read_signed(&filter.done)
        }),
        may_change: visitor.may_change_keys(),
        filter,
    }))
}

/// `POST /keys/search`: leads to the list of what was typed. A form and not an address, since somebody may paste a key.
pub(super) async fn search(Posted { fields, .. }: Posted) -> Response {
    Redirect::to(&Filter::of(&fields).address("")).into_response()
}

/// What was done to the keys that were selected, in words: `suspended-3`.
fn told(done: &str) -> String {
    if done == "none" {
        return "No key was selected: select some first.".to_owned();
    }
    let (what, count) = done.split_once('-').unwrap_or_default();
    let (Some(what), Ok(count)) = (
        ["suspended", "revoked"]
            .into_iter()
            .find(|known| *known == what),
        count.parse::<u16>(),
    ) else {
        return String::new();
    };
    let keys = if count == 1 { "key is" } else { "keys are" };
    format!("{count} {keys} {what}: refused from now on, everywhere.")
}

impl Filter {
    fn of(fields: &Fields) -> Self {
        let one = |name| masked_id(fields.one(name));
        Self {
            q: masked(fields.one("q")),
            status: one("status"),
            keyspace: one("keyspace"),
            user: one("user"),
            ..Self::default()
        }
    }

    async fn find(
        &self,
        visitor: &Visitor,
        keyspaces: &[Keyspace],
        state: &AppState,
    ) -> Result<Found, Problem> {
        let narrowed = self.narrowed(visitor)?;
        match Sought::of(&self.q) {
            Sought::All => narrowed.newest(self.cursor()?, state).await,
            Sought::Id(id) => {
                let caller = visitor.may::<KeysRead>(None)?.caller;
                let record = match visible(&caller, KeyId(id), state).await {
                    Ok(record) => Some(record).filter(|record| narrowed.wants(record)),
                    Err(problem) if problem.status().is_client_error() => None,
                    Err(problem) => return Err(problem),
                };
                Ok(Found {
                    records: record.into_iter().collect(),
                    next: None,
                })
            }
            sought @ Sought::Ends { .. } => Ok(Found {
                records: narrowed.alike(&sought, keyspaces, state).await?,
                next: None,
            }),
            Sought::Name(start) => {
                let after: Option<NamePosition> = self.cursor()?;
                let first = after.is_none();
                let mut found = narrowed.named(start.clone(), after, state).await?;
                if first {
                    let sought = Sought::Name(start);
                    let mut records = narrowed.alike(&sought, keyspaces, state).await?;
                    let known: Vec<_> = records.iter().map(|record| record.key.id).collect();
                    found
                        .records
                        .retain(|record| !known.contains(&record.key.id));
                    records.append(&mut found.records);
                    found.records = records;
                }
                Ok(found)
            }
        }
    }

    fn cursor<C: crate::paging::Cursor>(&self) -> Result<Option<C>, Problem> {
        let mut validation = Validation::default();
        let cursor = (!self.cursor.is_empty()).then_some(self.cursor.as_str());
        let cursor = validation.cursor(cursor);
        validation.done()?;
        Ok(cursor)
    }

    fn narrowed(&self, visitor: &Visitor) -> Result<Narrowed, Problem> {
        let mut validation = Validation::default();
        let given = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
        let status = given(&self.status).and_then(|text| {
            let status = Status::parse(&text).ok_or("must be ACTIVE, SUSPENDED or REVOKED");
            validation.take("?status", status)
        });
        let keyspace = given(&self.keyspace)
            .and_then(|name| validation.take("?keyspace", KeyspaceName::new(name)));
        let named = given(&self.user).and_then(|id| validation.take("?user", UserId::new(id)));
        validation.done()?;
        Ok(Narrowed {
            // A user sees own keys, whatever is asked for.
            user_id: visitor.own().cloned().or(named),
            status,
            keyspace,
        })
    }

    /// The address of these keys, after a place.
    fn address(&self, cursor: &str) -> String {
        let given = [
            ("q", self.q.as_str()),
            ("status", &self.status),
            ("keyspace", &self.keyspace),
            ("user", &self.user),
            ("cursor", cursor),
        ];
        link("/keys", &given)
    }
}

/// What lists and searches are narrowed by.
struct Narrowed {
    user_id: Option<UserId>,
    status: Option<Status>,
    keyspace: Option<KeyspaceName>,
}

impl Narrowed {
    /// Whether the key is one of these. (Those of everybody are users'.)
    fn wants(&self, record: &KeyRecord) -> bool {
        let key = &record.key;
        let is_theirs = match &self.user_id {
            Some(id) => *id == key.user_id,
            None => !key.user_id.is_reserved(),
        };
        let status = key.lifecycle.status();
        is_theirs
            && self.status.is_none_or(|wanted| wanted == status)
            && self
                .keyspace
                .as_ref()
                .is_none_or(|wanted| *wanted == key.keyspace)
    }

    async fn newest(&self, after: Option<Position>, state: &AppState) -> Result<Found, Problem> {
        let query = KeyQuery {
            user_id: self.user_id.clone(),
            status: self.status,
            keyspace: self.keyspace.clone(),
            after,
            limit: PAGE,
        };
        let found = state.store.list_keys(&query).await?;
        let next = found.entries.last().filter(|_| found.more).map(|last| {
            let (at, id) = (last.key.created_at, last.key.id.0);
            Position { at, id }.encode()
        });
        Ok(Found {
            records: found.entries,
            next,
        })
    }

    async fn named(
        &self,
        start: String,
        after: Option<NamePosition>,
        state: &AppState,
    ) -> Result<Found, Problem> {
        let search = self.search(Remembered::NameStart(start), after, PAGE);
        let found = state.store.search_keys(&search).await?;
        Ok(Found {
            records: found.entries,
            next: found.next.map(|next| next.encode()),
        })
    }

    /// The newest keys whose text begins or ends so. How all keys of a keyspace begin tells nothing of one.
    async fn alike(
        &self,
        sought: &Sought,
        keyspaces: &[Keyspace],
        state: &AppState,
    ) -> Result<Vec<KeyRecord>, Problem> {
        let is_common = |by: &Remembered| {
            matches!(by, Remembered::Ends { prefix: Some(prefix), postfix: None }
                if keyspaces.iter().any(|keyspace| keyspace.prefix.as_str().starts_with(prefix.as_str())))
        };
        let mut records: Vec<KeyRecord> = Vec::new();
        for by in sought.by_ends().into_iter().filter(|by| !is_common(by)) {
            let search = self.search(by, None, ALIKE);
            for record in state.store.search_keys(&search).await?.entries {
                if records.iter().all(|known| known.key.id != record.key.id) {
                    records.push(record);
                }
            }
        }
        Ok(records)
    }

    fn search(&self, by: Remembered, after: Option<NamePosition>, limit: u32) -> KeySearch {
        KeySearch {
            by,
            user_id: self.user_id.clone(),
            status: self.status,
            keyspace: self.keyspace.clone(),
            after,
            limit,
        }
    }
}
