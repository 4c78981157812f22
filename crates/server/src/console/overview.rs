//! `/overview`: what is going on, for operators.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use keywright_core::decision::Code;
use keywright_core::identifier::KeyId;
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use keywright_engine::usage::Minute;
use keywright_store::UsageOf;
use uuid::Uuid;

use super::census;
use super::chart::{Chart, Over, Width, chart};
use super::moment::Moment;
use super::page::{Frame, Section, page};
use super::visitor::Visitor;
use crate::authority::AuditRead;
use crate::problem::Problem;
use crate::state::AppState;

/// Where the part is that changes.
pub(super) const LIVE: &str = "/overview/live";

/// How many of the busiest keys are shown.
const BUSIEST: usize = 10;

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Overview {
    frame: Frame,
    live: Live,
    /// How many keys there are in each state; nothing until they were counted.
    counted: Option<(Vec<(&'static str, u64)>, Moment)>,
    /// All nodes, hour by hour.
    chart: Chart,
}

/// What changes all the time: of this node alone.
#[derive(Template)]
#[template(path = "console/live.html")]
struct Live {
    /// Which node this is; empty where there are no others.
    node: String,
    chart: Chart,
    /// In the last full minute.
    verified: u64,
    /// In the last hour.
    unknown: u64,
    failures: u64,
    busiest: Vec<Busy>,
}

/// What stands in its place once the session has ended.
#[derive(Template)]
#[template(path = "console/live_ended.html")]
struct Ended;

/// A key that is asked about often.
struct Busy {
    id: Uuid,
    name: String,
    masked: String,
    user: String,
    count: u64,
}

/// `GET /overview`
pub(super) async fn show(
    visitor: Visitor,
    State(state): State<AppState>,
) -> Result<Response, Problem> {
    visitor.operates::<AuditRead>()?;
    let now = state.clock.now();
    let counted = census::count(&state).await.map(|counted| {
        let of = |status| counted.keys.get(&status).copied().unwrap_or_default();
        let keys = vec![
            ("Active keys", of(Status::Active)),
            ("Suspended", of(Status::Suspended)),
            ("Revoked", of(Status::Revoked)),
        ];
        (keys, Moment::new(counted.at, now))
    });
    Ok(page(&Overview {
        frame: Frame::of(&visitor, "Overview", Section::Overview),
        live: Live::now(now, &state).await?,
        counted,
        chart: chart("Verifications", UsageOf::Everything, Over::Day, now, &state).await?,
    }))
}

/// `GET /overview/live`: the part that changes, which a script puts into the page again and again.
pub(super) async fn live(
    visitor: Result<Visitor, Response>,
    State(state): State<AppState>,
) -> Result<Response, Problem> {
    let visitor = match visitor {
        Ok(visitor) => visitor,
        // A part of a page leads nowhere.
        Err(response) if response.status().is_redirection() => return Ok(page(&Ended)),
        Err(response) => return Ok(response),
    };
    visitor.operates::<AuditRead>()?;
    let now = state.clock.now();
    Ok(page(&Live::now(now, &state).await?))
}

impl Live {
    async fn now(now: Timestamp, state: &AppState) -> Result<Self, Problem> {
        let uses = state.verifier.uses();
        // What is still in the records of the keys counts as well.
        uses.take(now);
        let minutes = uses.minutes(now);
        let place = |code| Code::ALL.iter().position(|known| *known == code);
        let counts = |minute: &Minute| Code::ALL.into_iter().zip(minute.counts).collect();
        let by_minute: Vec<_> = minutes.iter().map(|one| (one.start, counts(one))).collect();
        let rows = by_minute
            .iter()
            .map(|(start, counts)| (*start, Some(counts)));
        let title = "Verifications by this node, last hour";
        let last = minutes
            .len()
            .checked_sub(2)
            .map(|last| minutes[last].counts);
        let unknown =
            place(Code::NotFound).map(|place| minutes.iter().map(|one| one.counts[place]).sum());
        let mut busiest = Vec::new();
        for (id, count) in uses.busiest(now, BUSIEST) {
            busiest.extend(busy(id, count, state).await?);
        }
        Ok(Self {
            node: match &state.membership {
                Some(_) => state.card.name.clone(),
                None => String::new(),
            },
            chart: Chart::new(title, Width::Minute, rows),
            verified: last.map_or(0, |counts| counts.iter().sum()),
            unknown: unknown.unwrap_or_default(),
            failures: state.failures.last_hour(state.clock.uptime()),
            busiest,
        })
    }
}

/// The key, unless it went meanwhile.
async fn busy(id: KeyId, count: u64, state: &AppState) -> Result<Option<Busy>, Problem> {
    let found = state.store.find_key(id).await?;
    Ok(found.map(|record| Busy {
        id: id.0,
        name: record.key.name.to_string(),
        masked: format!("{}…{}", record.key.prefix, record.key.postfix),
        user: record.key.user_id.to_string(),
        count,
    }))
}
