//! How PostgreSQL would carry out a statement: <https://www.postgresql.org/docs/current/using-explain.html>.

use keywright_testkit::{TestDatabase, fresh_database};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{Connection, MIGRATIONS};

pub(super) struct Planner {
    connection: Connection,
    _database: TestDatabase,
}

impl Planner {
    /// With the tables, and nothing in them.
    pub(super) async fn new() -> Self {
        let database = fresh_database();
        let mut connection = Connection::connect(database.url()).await.unwrap();
        for &(_, _, sql) in MIGRATIONS {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        // A small table is read whole whatever its indexes are, and a value that is known may be planned away.
        sqlx::raw_sql("SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan")
            .execute(&mut connection)
            .await
            .unwrap();
        Self {
            connection,
            _database: database,
        }
    }

    pub(super) async fn explain(&mut self, statement: &str) -> String {
        let parameters = (1..100).filter(|n| statement.contains(&format!("${n}")));
        let nulls = vec!["NULL"; parameters.count()].join(", ");
        let nulls = if nulls.is_empty() {
            nulls
        } else {
            format!("({nulls})")
        };
        let prepare = format!("DEALLOCATE ALL; PREPARE asked AS {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut self.connection)
            .await
            .unwrap();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE asked{nulls}");
        let rows = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut self.connection)
            .await
            .unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        steps.join("\n")
    }
}

/// With `enable_seqscan = off` a whole table is read only where there is no other way.
pub(super) fn is_served_by_an_index(plan: &str) -> bool {
    !plan.contains("Seq Scan")
}
