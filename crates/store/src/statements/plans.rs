//! Every list and every look-up is served by an index: asked of the database itself, whose tables are empty here.

use std::collections::BTreeSet;

use keywright_core::audit::{Action, ActorKind};
use keywright_core::identifier::{KeyId, UserId};
use keywright_core::timestamp::Timestamp;
use uuid::Uuid;

use super::super::planner::{Planner, is_served_by_an_index};
use super::{audit, every_statement};
use crate::AuditQuery;

/// What asks for rows of the tables that grow without bound.
fn asks_for_many(statement: &str) -> bool {
    !statement.starts_with("INSERT")
        && [
            "api_keys",
            "audit_log",
            "users",
            "key_uses",
            "user_uses",
            "keyspace_uses",
        ]
        .iter()
        .any(|table| statement.contains(&format!(" {table} ")))
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let mut planner = Planner::new().await;
    let mut asked = BTreeSet::new();
    for statement in every_statement().filter(|statement| asks_for_many(statement)) {
        let plan = planner.explain(statement).await;
        assert!(
            is_served_by_an_index(&plan),
            "{statement}\nis done by\n{plan}"
        );
        asked.insert(statement);
    }
    assert!(asked.len() > 10, "only {} were asked for", asked.len());
}

#[tokio::test]
async fn each_filter_of_the_audit_log_has_an_index_in_the_order_of_the_list() {
    let all = || AuditQuery {
        limit: 500,
        ..AuditQuery::default()
    };
    let by_alice = AuditQuery {
        actor_id: Some("alice".to_owned()),
        ..all()
    };
    let asked = [
        (all(), "audit_log_newest"),
        (
            AuditQuery {
                from: Some(Timestamp::from_micros(1)),
                ..all()
            },
            "audit_log_newest",
        ),
        (
            AuditQuery {
                to: Some(Timestamp::from_micros(1)),
                ..all()
            },
            "audit_log_newest",
        ),
        (
            AuditQuery {
                key_id: Some(KeyId(Uuid::nil())),
                ..all()
            },
            "audit_log_of_key",
        ),
        (
            AuditQuery {
                user_id: Some(UserId::new("alice").unwrap()),
                ..all()
            },
            "audit_log_of_user",
        ),
        (
            AuditQuery {
                actor_kind: Some(ActorKind::User),
                ..all()
            },
            "audit_log_by_kind",
        ),
        (by_alice.clone(), "audit_log_by_actor"),
        (
            AuditQuery {
                actor_kind: Some(ActorKind::User),
                ..by_alice
            },
            "audit_log_by_actor",
        ),
        (
            AuditQuery {
                action: Some(Action::KeyCreated),
                ..all()
            },
            "audit_log_by_action",
        ),
    ];
    let mut planner = Planner::new().await;
    for (query, index) in asked {
        let plan = planner
            .explain(sqlx::QueryBuilder::sql(&audit::select(&query)).as_str())
            .await;
        assert!(is_served_by_an_index(&plan), "{query:?} is done by\n{plan}");
        assert!(plan.contains(index), "{query:?} is done by\n{plan}");
        let plan = plan.to_lowercase();
        assert!(
            !plan.contains("sort") && !plan.contains("temp b-tree"),
            "{query:?} is done by\n{plan}"
        );
    }
}
