//! Statements that go with others in one message, where there are no places for values. They are prepared when a
//! connection first lacks them, so that they are planned once and not for every change: that was a fifth of what a change
//! took.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use super::classification::is_prepared_already;
use super::statements::AUDIT_LOG;
use super::statements::edit_key;
use super::statements::keys::{FIND_BY_HASH, FIND_BY_ID};
use super::statements::keyspaces::FIND_HELD;
use super::{Connection, insertion, literal, word};
use crate::cluster::{LogMark, PROTOCOL};
use crate::failure::Failure;

/// A statement under a name.
pub(super) struct Prepared {
    name: &'static str,
    text: LazyLock<String>,
}

pub(super) static LOCK_BY_ID: Prepared =
    Prepared::named("lock_by_id", || edit_key::LOCK_BY_ID.to_owned());
pub(super) static LOCK_BY_HASH: Prepared =
    Prepared::named("lock_by_hash", || edit_key::LOCK_BY_HASH.to_owned());
/// Of a key, its keyspace.
pub(super) static HOLD_BY_ID: Prepared = Prepared::named("hold_by_id", || holding("id"));
pub(super) static HOLD_BY_HASH: Prepared = Prepared::named("hold_by_hash", || holding("hash"));
pub(super) static READ_BY_ID: Prepared = Prepared::named("read_by_id", || FIND_BY_ID.to_owned());
pub(super) static READ_BY_HASH: Prepared =
    Prepared::named("read_by_hash", || FIND_BY_HASH.to_owned());
/// Returns the row that it met.
pub(super) static UPDATE: Prepared = Prepared::named("update_key", || {
    format!("{} RETURNING id", edit_key::UPDATE)
});
/// Adds an entry to the audit log.
pub(super) static RECORD: Prepared =
    Prepared::named("record", || insertion::of_one_row(&AUDIT_LOG));
/// Counts so many changes. By another protocol nothing may be committed: it divides by zero, which ends the transaction.
pub(super) static COUNT_UP: Prepared = Prepared::named("count_up", || {
    format!(
        "UPDATE cluster SET last_seq = last_seq + CAST($1 AS BIGINT) / CAST(protocol = {PROTOCOL} AS INTEGER) WHERE id = 1"
    )
});
/// Adds a change to the log, and tells of it: that which is so many before the last of those that were counted, with the
/// columns of the log. Begun when they were counted, it sees what stands before it in the log.
pub(super) static APPEND: Prepared = Prepared::named("append", || appending(true));
static APPEND_SILENTLY: LazyLock<String> = LazyLock::new(|| appending(false));

fn appending(tells: bool) -> String {
    let told = if tells {
        format!("pg_notify('{}', {})", word::CHANNEL, word::OF_ROW)
    } else {
        "''".to_owned()
    };
    format!(
        "WITH added AS (SELECT c.last_seq - CAST($1 AS BIGINT) AS seq, COALESCE(l.nonce, {beginning}) AS previous, \
             CAST($2 AS BYTEA) AS nonce, CAST($3 AS TEXT) AS kind, CAST($4 AS BYTEA) AS key_hash, \
             CAST($5 AS TEXT) AS user_id, CAST($6 AS TEXT) AS keyspace, c.lease_ms, c.margin_ms \
             FROM cluster c LEFT JOIN change_log l ON l.seq = c.last_seq - CAST($1 AS BIGINT) - 1 WHERE c.id = 1), \
         appended AS (INSERT INTO change_log (seq, nonce, kind, key_hash, user_id, keyspace, at, protocol) \
             SELECT seq, nonce, kind, key_hash, user_id, keyspace, CAST($7 AS BIGINT), {PROTOCOL} FROM added) \
         SELECT seq AS last_seq, lease_ms, margin_ms, CAST({told} AS TEXT) AS told FROM added",
        beginning = literal::bytes(&LogMark::BEGINNING.nonce),
    )
}

static ALL: [&Prepared; 10] = [
    &LOCK_BY_ID,
    &LOCK_BY_HASH,
    &HOLD_BY_ID,
    &HOLD_BY_HASH,
    &READ_BY_ID,
    &READ_BY_HASH,
    &UPDATE,
    &RECORD,
    &COUNT_UP,
    &APPEND,
];

/// All statements of this file.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|prepared| prepared.text.as_str())
}

/// Prepares them on a connection that lacks some, outside of any transaction; so that changes are told of, or are not.
pub(super) async fn prepare_all(connection: &mut Connection, tells: bool) -> Result<(), Failure> {
    for Prepared { name, text } in ALL {
        let text = if *name == APPEND.name && !tells {
            &APPEND_SILENTLY
        } else {
            text
        };
        let prepare = AssertSqlSafe(format!("PREPARE keywright_{name} AS {}", **text));
        let prepared = sqlx::raw_sql(prepare).execute(&mut *connection).await;
        match prepared.map_err(Failure::from) {
            Err(failure) if !is_prepared_already(&failure) => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}

impl Prepared {
    const fn named(name: &'static str, text: fn() -> String) -> Self {
        Self {
            name,
            text: LazyLock::new(text),
        }
    }

    /// The statement, with these in its places.
    pub(super) fn with(&self, literals: &[String]) -> String {
        format!("EXECUTE keywright_{}({})", self.name, literals.join(", "))
    }
}

/// Reads and holds the keyspace of the key that has this in its column.
fn holding(column: &str) -> String {
    let keyspace = format!("(SELECT keyspace FROM api_keys WHERE {column} = $1)");
    literal::filled(FIND_HELD, &[keyspace])
}
