//! Adding rows to tables, many in one statement: an array for each column.

use std::sync::LazyLock;

use keywright_core::audit::AuditEntry;
use keywright_core::key::KeyRecord;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::statements::{API_KEYS, AUDIT_LOG, OWNERS, Owner};
use super::{Connection, Db, literal, prepared};
use crate::failure::Failure;
use crate::table::{Column, Table, Value};

/// One round trip for all three tables. Locks the owners in the order in which they are given. The keys' references are
/// checked after all of it.
static CREATE: LazyLock<String> = LazyLock::new(|| {
    let mut parameters = 0..;
    let counted = insertion(&OWNERS, &mut parameters);
    let made = insertion(&API_KEYS, &mut parameters);
    let told = insertion(&AUDIT_LOG, &mut parameters);
    format!("WITH counted AS ({counted}), made AS ({made}) {told}")
});

/// All statements of this file, and those that are prepared.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    [CREATE.as_str()].into_iter().chain(prepared::all())
}

/// Adds keys with their owners, who are in the order of ids as everybody locks them, and their audit entries.
pub(super) async fn insert_created(
    connection: &mut Connection,
    owners: &[Owner],
    keys: &[&KeyRecord],
    entries: &[AuditEntry],
) -> Result<(), Failure> {
    let query = sqlx::query(CREATE.as_str());
    let query = bind(query, &OWNERS, &owners.iter().collect::<Vec<_>>());
    let query = bind(query, &API_KEYS, keys);
    let query = bind(query, &AUDIT_LOG, &entries.iter().collect::<Vec<_>>());
    query.execute(connection).await?;
    Ok(())
}

/// The statement that adds one row.
pub(super) fn of_one_row<R>(table: &Table<R>) -> String {
    let places: Vec<_> = (1..=table.columns.len())
        .map(|place| format!("${place}"))
        .collect();
    let (insert_into, places) = (table.insert_into(), places.join(", "));
    format!("{insert_into} VALUES ({places}){}", table.conflict)
}

/// What it is given for this row.
pub(super) fn row<R>(table: &Table<R>, row: &R) -> Vec<String> {
    let literal = |column: &Column<R>| match column.value {
        Value::Uuid(of) => literal::optional(of(row), |uuid| format!("'{uuid}'")),
        Value::Bytes(of) => literal::optional(of(row), literal::bytes),
        Value::Text(of) => literal::optional(of(row), |text| literal::text(&text)),
        Value::Integer(of) => literal::optional(of(row), |number| number.to_string()),
    };
    table.columns.iter().map(literal).collect()
}

/// The statement that adds rows, whose parameters follow on those before it.
fn insertion<R>(table: &Table<R>, parameters: &mut impl Iterator<Item = usize>) -> String {
    let array = |(column, number): (&Column<R>, usize)| {
        let kind = match column.value {
            Value::Uuid(_) => "UUID",
            Value::Bytes(_) => "BYTEA",
            Value::Text(_) => "TEXT",
            Value::Integer(_) => "BIGINT",
        };
        format!("CAST(${} AS {kind}[])", number + 1)
    };
    let arrays: Vec<_> = table.columns.iter().zip(parameters).map(array).collect();
    let (insert_into, arrays, conflict) = (table.insert_into(), arrays.join(", "), table.conflict);
    format!("{insert_into} SELECT * FROM unnest({arrays}){conflict}")
}

/// Binds the array of each column.
fn bind<'q, R>(
    mut query: Query<'q, Db, PgArguments>,
    table: &Table<R>,
    rows: &[&R],
) -> Query<'q, Db, PgArguments> {
    for column in table.columns {
        query = match column.value {
            Value::Uuid(of) => query.bind(values(rows, of)),
            Value::Bytes(of) => query.bind(values(rows, of)),
            Value::Text(of) => query.bind(values(rows, of)),
            Value::Integer(of) => query.bind(values(rows, of)),
        };
    }
    query
}

fn values<'a, R, T>(rows: &[&'a R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| of(row)).collect()
}
