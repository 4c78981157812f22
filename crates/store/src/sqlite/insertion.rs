//! Adding rows to tables, many in one statement.

use std::sync::LazyLock;

use keywright_core::audit::AuditEntry;
use keywright_core::key::KeyRecord;

use super::Connection;
use super::statements::{API_KEYS, AUDIT_LOG, OWNERS, Owner};
use crate::failure::Failure;
use crate::table::{Table, Value};

/// How many rows a statement adds: as many as fit of these, largest first, so that the texts are few and each is
/// prepared once.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// The statements that add rows to a table.
struct Insertion<R: 'static> {
    table: Table<R>,
    texts: [String; SIZES.len()],
}

static OWNERS_COUNTED: LazyLock<Insertion<Owner>> = LazyLock::new(|| Insertion::into(OWNERS));
static KEYS: LazyLock<Insertion<KeyRecord>> = LazyLock::new(|| Insertion::into(API_KEYS));
static ENTRIES: LazyLock<Insertion<AuditEntry>> = LazyLock::new(|| Insertion::into(AUDIT_LOG));

/// All statements of this file.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    [&OWNERS_COUNTED.texts, &KEYS.texts, &ENTRIES.texts]
        .into_iter()
        .flatten()
        .map(String::as_str)
}

/// Adds keys with their owners and audit entries.
pub(super) async fn insert_created(
    connection: &mut Connection,
    owners: &[Owner],
    keys: &[&KeyRecord],
    entries: &[AuditEntry],
) -> Result<(), Failure> {
    OWNERS_COUNTED.insert(connection, owners.iter()).await?;
    KEYS.insert(connection, keys.iter().copied()).await?;
    ENTRIES.insert(connection, entries.iter()).await
}

/// Adds an audit entry.
pub(super) async fn insert_entry(
    connection: &mut Connection,
    entry: &AuditEntry,
) -> Result<(), Failure> {
    ENTRIES.insert(connection, [entry].into_iter()).await
}

impl<R> Insertion<R> {
    fn into(table: Table<R>) -> Self {
        // Parameters without numbers: SQLite would search a list of those that have some.
        let row = format!("({})", vec!["?"; table.columns.len()].join(", "));
        let text = |size| {
            let rows = vec![&*row; size].join(", ");
            format!("{} VALUES {rows}{}", table.insert_into(), table.conflict)
        };
        let texts = SIZES.map(text);
        Self { table, texts }
    }

    async fn insert<'a>(
        &'static self,
        connection: &mut Connection,
        rows: impl ExactSizeIterator<Item = &'a R>,
    ) -> Result<(), Failure> {
        let mut rows = rows;
        for (size, text) in SIZES.iter().zip(&self.texts) {
            while rows.len() >= *size {
                let mut query = sqlx::query(text.as_str());
                for row in rows.by_ref().take(*size) {
                    for column in self.table.columns {
                        query = match column.value {
                            Value::Uuid(of) => query.bind(of(row)),
                            Value::Bytes(of) => query.bind(of(row)),
                            Value::Text(of) => query.bind(of(row)),
                            Value::Integer(of) => query.bind(of(row)),
                        };
                    }
                }
                query.execute(&mut *connection).await?;
            }
        }
        Ok(())
    }
}
