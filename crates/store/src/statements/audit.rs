//! The audit log: written with every change, read by filter.

use keywright_core::audit::{Action, Actor, ActorKind, Attribution, AuditEntry};
use keywright_core::identifier::{KeyId, KeyspaceName};
use keywright_core::timestamp::Timestamp;
use serde_json::Value;
use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::{Connection, Db, Failure, Row, one_more, page, rows};
use crate::table::{Column, Table};
use crate::{AuditQuery, Page, Position};

/// What is written of an entry.
pub(crate) const TABLE: Table<AuditEntry> = Table {
    name: "audit_log",
    columns: &[
        Column::uuid("id", |entry| Some(entry.by.entry_id)),
        Column::integer("at", |entry| Some(entry.by.at.as_micros())),
        Column::text("actor_kind", |entry| {
            Some(entry.by.actor.kind.as_str().into())
        }),
        Column::text("actor_id", |entry| Some(entry.by.actor.id.as_str().into())),
        Column::text("action", |entry| Some(entry.action.as_str().into())),
        Column::uuid("key_id", |entry| entry.key_id.map(|KeyId(id)| id)),
        Column::text("user_id", |entry| {
            Some(entry.user_id.as_ref()?.as_str().into())
        }),
        Column::text("keyspace", |entry| {
            Some(entry.keyspace.as_ref()?.as_str().into())
        }),
        Column::text("before", |entry| Some(entry.before.to_string().into())),
        Column::text("after", |entry| Some(entry.after.to_string().into())),
        Column::text("ip", |entry| Some(entry.by.ip.as_deref()?.into())),
        Column::text("user_agent", |entry| {
            Some(entry.by.user_agent.as_deref()?.into())
        }),
        Column::text("request_id", |entry| {
            Some(entry.by.request_id.as_deref()?.into())
        }),
    ],
    conflict: "",
};

/// One page of entries, newest first.
pub(super) async fn list(
    connection: &mut Connection,
    asked: &AuditQuery,
) -> Result<Page<AuditEntry>, Failure> {
    let found = select(asked).build().fetch_all(connection).await?;
    Ok(page(
        found.iter().map(entry).collect::<Result<_, _>>()?,
        asked.limit,
    ))
}

/// Put together from what is asked for, and not one statement with `$1 IS NULL OR …`: so an index serves each.
pub(super) fn select(asked: &AuditQuery) -> QueryBuilder<Db> {
    let after = asked.after.unwrap_or(Position {
        at: Timestamp::from_micros(i64::MAX),
        id: Uuid::max(),
    });
    let mut select = QueryBuilder::new(
        "SELECT id, at, actor_kind, actor_id, action, key_id, user_id, keyspace, before, after, ip, user_agent, \
         request_id FROM audit_log WHERE (at, id) < (",
    );
    select
        .push_bind(after.at.as_micros())
        .push(", ")
        .push_bind(after.id)
        .push(")");
    if let Some(KeyId(id)) = asked.key_id {
        select.push(" AND key_id = ").push_bind(id);
    }
    if let Some(id) = &asked.user_id {
        select
            .push(" AND user_id = ")
            .push_bind(id.as_str().to_owned());
    }
    if let Some(kind) = asked.actor_kind {
        // Where an actor is named, the kind narrows nothing further: an index on it must not be taken instead.
        let kind_is = match asked.actor_id {
            Some(_) => " AND actor_kind || '' = ",
            None => " AND actor_kind = ",
        };
        select.push(kind_is).push_bind(kind.as_str());
    }
    if let Some(id) = &asked.actor_id {
        select.push(" AND actor_id = ").push_bind(id.clone());
    }
    if let Some(action) = asked.action {
        select.push(" AND action = ").push_bind(action.as_str());
    }
    if let Some(from) = asked.from {
        select.push(" AND at >= ").push_bind(from.as_micros());
    }
    if let Some(to) = asked.to {
        select.push(" AND at < ").push_bind(to.as_micros());
    }
    select
        .push(" ORDER BY at DESC, id DESC LIMIT ")
        .push_bind(one_more(asked.limit));
    select
}

fn entry(row: &Row) -> Result<AuditEntry, Failure> {
    let keyspace: Option<String> = row.try_get("keyspace")?;
    let user_id: Option<String> = row.try_get("user_id")?;
    Ok(AuditEntry {
        by: attribution(row)?,
        action: Action::parse(row.try_get("action")?)
            .ok_or_else(|| unheard_of("audit_log.action"))?,
        key_id: row.try_get::<Option<Uuid>, _>("key_id")?.map(KeyId),
        user_id: user_id.map(rows::user_id).transpose()?,
        keyspace: keyspace
            .map(KeyspaceName::new)
            .transpose()
            .map_err(Failure::damaged("audit_log.keyspace"))?,
        before: json(row, "before")?,
        after: json(row, "after")?,
    })
}

fn attribution(row: &Row) -> Result<Attribution, Failure> {
    let kind = ActorKind::parse(row.try_get("actor_kind")?)
        .ok_or_else(|| unheard_of("audit_log.actor_kind"))?;
    Ok(Attribution {
        entry_id: row.try_get("id")?,
        at: rows::time(row, "at")?,
        actor: Actor {
            kind,
            id: row.try_get("actor_id")?,
        },
        ip: row.try_get("ip")?,
        user_agent: row.try_get("user_agent")?,
        request_id: row.try_get("request_id")?,
    })
}

fn json(row: &Row, column: &'static str) -> Result<Value, Failure> {
    // serde_json's own message may quote what it found.
    serde_json::from_str(row.try_get(column)?)
        .map_err(|_| Failure::Damaged(format!("audit_log.{column}: no JSON")))
}

fn unheard_of(column: &str) -> Failure {
    Failure::Damaged(format!("{column}: unheard of"))
}
