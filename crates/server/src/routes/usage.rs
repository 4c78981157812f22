//! `GET /api/usage`, and what of a query every question about use has.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use keywright_api::Usage;
use keywright_core::identifier::{KeyspaceName, UserId};
use keywright_core::timestamp::Timestamp;
use keywright_store::{BadPeriod, Period, Step, UsageOf, UsageQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::authority::{AuditRead, Service};
use crate::extract::Query;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::Validation;
use crate::wire;

/// Whose use, and when.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageFilter {
    /// Only that of this keyspace: its keys, and text that only begins like them. Not with `user_id`. One that does not
    /// exist was never used.
    #[param(pattern = r"^[a-z][a-z0-9-]{0,31}$")]
    keyspace: Option<String>,
    /// Only that of this user's keys. Not with `keyspace`. Somebody who does not exist used nothing.
    #[param(min_length = 1, max_length = 255, pattern = r"^[^\u0000]*$")]
    user_id: Option<String>,
    /// From the bucket on that holds this moment. If absent: 24 hours or 30 days before the end.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Up to this moment, rounded up to the end of its bucket. If absent: now.
    #[param(format = DateTime)]
    to: Option<String>,
    /// How long each bucket is; an hour if absent. Days are those of UTC.
    #[param(pattern = "^(hour|day)$")]
    step: Option<String>,
}

/// Read how often keys were used
///
/// Counts of verifications by what they were answered, in buckets of an hour or a day, at most 1000 of them. What was
/// counted last is there within `--usage-interval`, 10 seconds by default; what is older than the server keeps is not there.
#[utoipa::path(
    get,
    path = "/api/usage",
    tag = "Audit",
    params(UsageFilter),
    responses((status = 200, description = "Every bucket, the empty ones too", body = Usage))
)]
pub(crate) async fn read_usage(
    _: Service<AuditRead>,
    State(state): State<AppState>,
    Query(filter): Query<UsageFilter>,
) -> Result<Json<Usage>, Problem> {
    let query = filter.query(state.clock.now())?;
    let counted = state.store.usage(&query).await?;
    Ok(Json(wire::usage(query.over, &counted)))
}

impl UsageFilter {
    fn query(&self, now: Timestamp) -> Result<UsageQuery, Problem> {
        let mut validation = Validation::default();
        let keyspace = self
            .keyspace
            .as_deref()
            .and_then(|name| validation.take("?keyspace", KeyspaceName::new(name)));
        let user = self
            .user_id
            .as_deref()
            .and_then(|id| validation.take("?user_id", UserId::new(id)));
        if self.keyspace.is_some() && self.user_id.is_some() {
            validation.refuse(
                "?user_id",
                "is not taken together with keyspace: ask for one of them",
            );
        }
        let asked = Span {
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            step: self.step.as_deref(),
        };
        let over = asked.period(&mut validation, now);
        let of = match (keyspace, user) {
            (Some(name), _) => UsageOf::Keyspace(name),
            (None, Some(id)) => UsageOf::User(id),
            (None, None) => UsageOf::Everything,
        };
        validation.done()?;
        Ok(UsageQuery { of, over })
    }
}

/// When, as it is asked for.
pub(crate) struct Span<'a> {
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
    pub(crate) step: Option<&'a str>,
}

impl Span<'_> {
    /// The buckets that are asked for. Where something is refused, some others.
    pub(crate) fn period(&self, validation: &mut Validation, now: Timestamp) -> Period {
        let step = self.step.and_then(|text| {
            let known = Step::ALL.into_iter().find(|step| step.as_str() == text);
            validation.take("?step", known.ok_or("must be hour or day"))
        });
        let step = step.unwrap_or(Step::Hour);
        let from = self
            .from
            .and_then(|text| validation.take("?from", Timestamp::parse(text)));
        let to = self
            .to
            .and_then(|text| validation.take("?to", Timestamp::parse(text)));
        // What is being counted now belongs to it, also in the first moment of an hour.
        let to = to.unwrap_or_else(|| now.saturating_add(Duration::from_micros(1)));
        let usual = Period::before(
            step,
            to,
            match step {
                Step::Hour => 24,
                Step::Day => 30,
            },
        );
        let Some(from) = from else { return usual };
        let asked = Period::new(step, from, to);
        let asked = asked.map_err(|bad| match bad {
            BadPeriod::Empty => format!("must be earlier than the end, which is {to}"),
            BadPeriod::TooLong { buckets } => format!(
                "is {buckets} {}s before the end, and at most {} are answered at once: ask for a part of them{}",
                step.as_str(),
                Period::MAX_BUCKETS,
                match step {
                    Step::Hour => ", or for step=day",
                    Step::Day => "",
                }
            ),
        });
        validation.take("?from", asked).unwrap_or(usual)
    }
}
