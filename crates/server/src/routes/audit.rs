//! `GET /api/audit`

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{Stream, TryStreamExt as _, try_unfold};
use keywright_api::AuditRecord;
use keywright_core::audit::{Action, ActorKind, AuditEntry};
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::timestamp::Timestamp;
use keywright_store::{AuditQuery, Page, Position, StoreError};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::authority::{AuditRead, Service};
use crate::extract::Query;
use crate::paging;
use crate::problem::Problem;
use crate::state::AppState;
use crate::validate::{MAX_LIMIT, Validation};
use crate::wire;

pub(crate) const NDJSON: &str = "application/x-ndjson";

/// Which entries to list; all that are given must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditFilter {
    /// Only entries about this key.
    #[param(value_type = Option<Uuid>)]
    pub(crate) key_id: Option<String>,
    /// Only entries about this user or a key of theirs.
    #[param(min_length = 1, max_length = 255, pattern = r"^[^\u0000]*$")]
    pub(crate) user_id: Option<String>,
    /// Only entries by this actor: an id, a kind (`service_key`), or both (`service_key:ID`).
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    pub(crate) actor: Option<String>,
    /// Only entries about this action, such as `api_key.revoked`.
    #[param(
        pattern = r"^(api_key\.(created|updated|permissions_replaced|suspended|reactivated|revoked)|keyspace\.(created|updated)|user\.deleted)$"
    )]
    pub(crate) action: Option<String>,
    /// Only entries from this moment on.
    #[param(format = DateTime)]
    pub(crate) from: Option<String>,
    /// Only entries before this moment.
    #[param(format = DateTime)]
    pub(crate) to: Option<String>,
    /// At most so many; 500 if absent. Not with `Accept: application/x-ndjson`, which streams all.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub(crate) limit: Option<String>,
    /// The place to go on from: it stands in the `Link` of the page before.
    pub(crate) cursor: Option<String>,
}

/// Read the audit log
///
/// Newest first. With `Accept: application/x-ndjson` all entries are streamed, one a line.
#[utoipa::path(
    get,
    path = "/api/audit",
    tag = "Audit",
    params(AuditFilter),
    responses((status = 200, description = "One page of entries, or all of them as a stream",
        content(([AuditRecord] = "application/json"), (String = "application/x-ndjson")),
        headers(("Link" = String, description = "`<…>; rel=\"next\"` where there is more"))))
)]
pub(crate) async fn list_audit_log(
    _: Service<AuditRead>,
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(filter): Query<AuditFilter>,
) -> Result<Response, Problem> {
    let streams = wants_stream(&headers);
    if streams {
        let query = filter.query(Extent::Whole)?;
        let pages = whole_log(query, state).await?;
        let lines = Body::from_stream(pages.map_ok(|page| lines(&page)));
        return Ok(([(CONTENT_TYPE, NDJSON)], lines).into_response());
    }
    let query = filter.query(Extent::Page)?;
    let page = state.store.list_audit(&query).await?;
    Ok(paging::answer(
        &page,
        place,
        wire::audit,
        "/api/audit",
        &filter.parameters(),
    ))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        range
            .split(';')
            .next()
            .is_some_and(|media| media.trim().eq_ignore_ascii_case(NDJSON))
    })
}

pub(crate) fn place(entry: &AuditEntry) -> Position {
    Position {
        at: entry.by.at,
        id: entry.by.entry_id,
    }
}

/// Every entry from the query's place on, a page at a time, so that memory stays small. The first page is read before
/// anything is answered; a failure after that ends the stream without its proper end, which a client notices.
pub(crate) async fn whole_log(
    query: AuditQuery,
    state: AppState,
) -> Result<impl Stream<Item = Result<Page<AuditEntry>, StoreError>> + Send + 'static, Problem> {
    let first = state.store.list_audit(&query).await?;
    Ok(try_unfold(
        Some((Some(first), query)),
        move |place_in_log| {
            let state = state.clone();
            async move {
                let Some((read, mut query)) = place_in_log else {
                    return Ok(None);
                };
                let page = match read {
                    Some(page) => page,
                    None => state.store.list_audit(&query).await?,
                };
                query.after = page.entries.last().map(place);
                let next = (page.more && query.after.is_some()).then_some((None, query));
                Ok::<_, StoreError>(Some((page, next)))
            }
        },
    ))
}

/// The entries of a page, one a line.
pub(crate) fn lines(page: &Page<AuditEntry>) -> Bytes {
    let mut lines = Vec::new();
    for entry in &page.entries {
        // infallible: text and numbers are written as JSON
        serde_json::to_writer(&mut lines, &wire::audit(entry))
            .expect("an entry is written as JSON");
        lines.push(b'\n');
    }
    lines.into()
}

/// How much of the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One page, as long as asked for.
    Page,
    /// All that there is.
    Whole,
}

impl AuditFilter {
    /// What is asked of the store.
    ///
    /// # Errors
    /// Every filter that cannot be, by its name after a question mark.
    pub(crate) fn query(&self, extent: Extent) -> Result<AuditQuery, Problem> {
        let streams = extent == Extent::Whole;
        let mut validation = Validation::default();
        let key_id = self.key_id.as_deref().and_then(|text| {
            let id = Uuid::try_parse(text).map(KeyId);
            validation.take("?key_id", id.map_err(|_| "must be a key's id, a UUID"))
        });
        let user_id = self
            .user_id
            .as_deref()
            .and_then(|text| validation.take("?user_id", UserId::new(text)));
        if self
            .actor
            .as_deref()
            .is_some_and(|text| text.is_empty() || text.contains('\0'))
        {
            validation.refuse(
                "?actor",
                "must be an id, a kind or KIND:ID, without the character NUL",
            );
        }
        let (actor_kind, actor_id) = self.actor.as_deref().map_or((None, None), actor);
        let action = self.action.as_deref().and_then(|text| {
            let known = || Action::ALL.map(Action::as_str).join(", ");
            validation.take(
                "?action",
                Action::parse(text).ok_or_else(|| format!("must be one of {}", known())),
            )
        });
        let from = self
            .from
            .as_deref()
            .and_then(|text| validation.take("?from", Timestamp::parse(text)));
        let to = self
            .to
            .as_deref()
            .and_then(|text| validation.take("?to", Timestamp::parse(text)));
        let limit = validation.limit(self.limit.as_deref());
        if streams && self.limit.is_some() {
            validation.refuse(
                "?limit",
                format!("is not taken with Accept: {NDJSON}, which streams all"),
            );
        }
        let after = validation.cursor(self.cursor.as_deref());
        validation.done()?;
        let limit = if streams { MAX_LIMIT } else { limit };
        Ok(AuditQuery {
            key_id,
            user_id,
            actor_kind,
            actor_id,
            action,
            from,
            to,
            after,
            limit,
        })
    }

    fn parameters(&self) -> [(&str, Option<&str>); 7] {
        [
            ("key_id", self.key_id.as_deref()),
            ("user_id", self.user_id.as_deref()),
            ("actor", self.actor.as_deref()),
            ("action", self.action.as_deref()),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("limit", self.limit.as_deref()),
        ]
    }
}

/// An actor as the filter writes it: a kind, `kind:id`, or an id.
fn actor(text: &str) -> (Option<ActorKind>, Option<String>) {
    if let Some(kind) = ActorKind::parse(text) {
        return (Some(kind), None);
    }
    match text
        .split_once(':')
        .and_then(|(kind, id)| Some((ActorKind::parse(kind)?, id)))
    {
        Some((kind, id)) => (Some(kind), Some(id.to_owned())),
        None => (None, Some(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_named_by_kind_by_id_or_by_both() {
        assert_eq!(actor("user"), (Some(ActorKind::User), None));
        assert_eq!(
            actor("user:a:b"),
            (Some(ActorKind::User), Some("a:b".to_owned()))
        );
        assert_eq!(actor("auth0|x:y"), (None, Some("auth0|x:y".to_owned())));
    }
}
