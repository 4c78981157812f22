//! How SQLite would carry out a statement: <https://www.sqlite.org/eqp.html>.

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{Connection, MIGRATIONS};

pub(super) struct Planner(Connection);

impl Planner {
    /// With the tables, and nothing in them.
    pub(super) async fn new() -> Self {
        let mut connection = Connection::connect("sqlite::memory:").await.unwrap();
        for &(_, _, sql) in MIGRATIONS {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        // As in a database that has been opened.
        sqlx::raw_sql("CREATE TABLE _sqlx_migrations (version INTEGER)")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    pub(super) async fn explain(&mut self, statement: &str) -> String {
        // What is not bound is NULL, and the plan does not depend on it.
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::raw_sql(explain).fetch_all(&mut self.0).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        steps.join("\n")
    }
}

/// SQLite searches an index, or scans. What a statement is given as JSON it has to read whole.
pub(super) fn is_served_by_an_index(plan: &str) -> bool {
    !plan
        .lines()
        .any(|step| step.starts_with("SCAN") && !step.starts_with("SCAN json_each "))
}
