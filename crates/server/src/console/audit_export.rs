//! `/audit/export`: every entry that is asked for, as a file, written while it is read.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::ready;
use futures::stream::{StreamExt as _, TryStreamExt as _, once};
use keywright_core::audit::AuditEntry;
use keywright_store::Page;
use serde_json::Value;

use super::audit::Asked;
use super::visitor::Visitor;
use crate::authority::AuditRead;
use crate::problem::Problem;
use crate::routes::audit::{Extent, NDJSON, lines, whole_log};
use crate::state::AppState;

const COLUMNS: [&str; 13] = [
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "action",
    "key_id",
    "user_id",
    "keyspace",
    "before",
    "after",
    "ip",
    "user_agent",
    "request_id",
];

/// `GET /audit/export`
pub(super) async fn export(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    visitor.operates::<AuditRead>()?;
    let query = asked.filter().query(Extent::Whole)?;
    let (kind, name, body) = match asked.format.as_str() {
        "ndjson" => {
            let pages = whole_log(query, state).await?;
            let lines = Body::from_stream(pages.map_ok(|page| lines(&page)));
            (NDJSON, "keywright-audit.ndjson", lines)
        }
        "csv" => {
            let head = once(ready(Ok(Bytes::from(row(COLUMNS)))));
            let pages = whole_log(query, state).await?;
            let rows = head.chain(pages.map_ok(|page| rows(&page)));
            let kind = "text/csv; charset=utf-8";
            (kind, "keywright-audit.csv", Body::from_stream(rows))
        }
        _ => {
            let detail = "must be ndjson or csv";
            return Err(Problem::invalid_field("?format", detail));
        }
    };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, body).into_response())
}

fn rows(page: &Page<AuditEntry>) -> Bytes {
    let rows: String = page.entries.iter().map(entry).collect();
    Bytes::from(rows)
}

fn entry(entry: &AuditEntry) -> String {
    let by = &entry.by;
    let json = |value: &Value| match value {
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    // In the order of the columns.
    row([
        by.entry_id.to_string(),
        by.at.to_string(),
        by.actor.kind.as_str().to_owned(),
        by.actor.id.clone(),
        entry.action.as_str().to_owned(),
        entry.key_id.map(|id| id.to_string()).unwrap_or_default(),
        entry
            .user_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        entry
            .keyspace
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        json(&entry.before),
        json(&entry.after),
        text(&by.ip),
        text(&by.user_agent),
        text(&by.request_id),
    ])
}

/// A record of RFC 4180: every field in quotation marks, those within it doubled.
fn row(fields: [impl AsRef<str>; COLUMNS.len()]) -> String {
    let fields = fields.map(|field| {
        let field = field.as_ref();
        // What begins so would be carried out by a program for spreadsheets:
        // <https://owasp.org/www-community/attacks/CSV_Injection>.
        let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            "'"
        } else {
            ""
        };
        format!("\"{guard}{}\"", field.replace('"', "\"\""))
    });
    fields.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_never_a_formula() {
        let fields = [
            "",
            "a,b",
            "say \"no\"",
            "a\r\nb",
            "=1+1",
            "+1",
            "-1",
            "@a",
            "\ta",
            "\ra",
            "a=1",
            "é",
            "'",
        ];
        assert_eq!(
            row(fields),
            "\"\",\"a,b\",\"say \"\"no\"\"\",\"a\r\nb\",\"'=1+1\",\"'+1\",\"'-1\",\"'@a\",\"'\ta\",\"'\ra\",\"a=1\",\"é\",\"'\"\r\n"
        );
    }
}
