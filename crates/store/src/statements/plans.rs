//! Every list and every look-up is served by an index: asked of the database itself, whose tables are empty here.

use std::collections::BTreeSet;

use keywright_core::audit::{Action, ActorKind};
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::lifecycle::Status;
use keywright_core::timestamp::Timestamp;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::super::planner::{Planner, is_served_by_an_index};
use super::{Db, audit, every_statement, keys, usage};
use crate::{AuditQuery, KeyQuery, KeySearch, NamePosition, Period, Remembered, Step};

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
        let select = audit::select(&query);
        is_in_the_order_of(&mut planner, &select, index).await;
    }
}

/// The database takes the statement, enters this index for it, and sorts nothing.
async fn is_in_the_order_of(
    planner: &mut Planner,
    select: &QueryBuilder<Db>,
    index: &str,
) -> String {
    let statement = sqlx::QueryBuilder::sql(select);
    let plan = planner.explain(statement.as_str()).await;
    let what = format!("{}\nis done by\n{plan}", statement.as_str());
    assert!(is_served_by_an_index(&plan), "{what}");
    assert!(plan.contains(index), "{what}");
    let lower = plan.to_lowercase();
    assert!(
        !lower.contains("sort") && !lower.contains("temp b-tree"),
        "{what}"
    );
    plan
}

#[tokio::test]
async fn each_way_to_narrow_a_list_of_keys_has_an_index_in_its_order() {
    let all = || KeyQuery {
        user_id: None,
        status: None,
        keyspace: None,
        after: None,
        limit: 25,
    };
    let alices = || KeyQuery {
        user_id: Some(UserId::new("alice").unwrap()),
        ..all()
    };
    let (status, keyspace) = (
        Some(Status::Revoked),
        Some(KeyspaceName::new("default").unwrap()),
    );
    let mut planner = Planner::new().await;
    for (query, index) in [
        (alices(), "api_keys_of_user"),
        (
            KeyQuery { status, ..alices() },
            "api_keys_of_user_by_status",
        ),
        (
            KeyQuery {
                keyspace: keyspace.clone(),
                ..alices()
            },
            "api_keys_of_user_by_keyspace",
        ),
        (KeyQuery { status, ..all() }, "api_keys_by_status"),
        (
            KeyQuery {
                keyspace: keyspace.clone(),
                ..all()
            },
            "api_keys_by_keyspace",
        ),
    ] {
        is_in_the_order_of(&mut planner, &keys::select(&query), index).await;
    }
    // Everybody's are in the order of the primary key.
    let statement = keys::select(&all());
    let plan = planner
        .explain(sqlx::QueryBuilder::sql(&statement).as_str())
        .await;
    assert!(is_served_by_an_index(&plan), "{plan}");
}

#[tokio::test]
async fn what_somebody_remembers_of_a_key_is_found_by_an_index() {
    let search = |user: Option<&str>, by| KeySearch {
        by,
        user_id: user.map(|id| UserId::new(id).unwrap()),
        status: None,
        keyspace: None,
        after: None,
        limit: 25,
    };
    let name = || Remembered::NameStart("Back".to_owned());
    let ends = |prefix: Option<&str>, postfix: Option<&str>| Remembered::Ends {
        prefix: prefix.map(str::to_owned),
        postfix: postfix.map(str::to_owned),
    };
    let further = KeySearch {
        after: Some(NamePosition {
            name: "backup".to_owned(),
            id: Uuid::nil(),
        }),
        ..search(Some("alice"), name())
    };
    let (prefix, postfix) = (Some("agpt_abc"), Some("12345678"));
    let mut planner = Planner::new().await;
    for (search, index) in [
        (search(None, name()), "api_keys_by_name"),
        (search(Some("alice"), name()), "api_keys_of_user_by_name"),
        (further, "api_keys_of_user_by_name"),
        (search(None, ends(prefix, None)), "api_keys_by_prefix"),
        (search(None, ends(None, postfix)), "api_keys_by_postfix"),
        (search(None, ends(prefix, postfix)), "api_keys_by_postfix"),
    ] {
        for status in [None, Some(Status::Active)] {
            let search = KeySearch {
                status,
                ..search.clone()
            };
            for select in keys::select_remembered(&search) {
                let plan = is_in_the_order_of(&mut planner, &select, index).await;
                // SQLite says so of a range with both of its ends.
                let is_range = plan.contains("<expr>>?");
                assert!(!is_range || plan.contains("<expr><?"), "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_uses_of_several_keys_are_looked_up() {
    let over = Period::before(Step::Hour, Timestamp::from_micros(0), 24);
    let keys = [KeyId(Uuid::nil()), KeyId(Uuid::max())];
    let mut planner = Planner::new().await;
    let statement = usage::select_by_key(&keys, over);
    let plan = planner
        .explain(sqlx::QueryBuilder::sql(&statement).as_str())
        .await;
    assert!(is_served_by_an_index(&plan), "{plan}");
    // By the key too, and not by the day alone.
    assert!(plan.contains("key_id"), "{plan}");
}
