//! What PostgreSQL's answers mean: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::StoreError;
use crate::failure::Failure;

const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK_DETECTED: &str = "40P01";
const READ_ONLY_TRANSACTION: &str = "25006";
const DISK_FULL: &str = "53100";
const IDLE_IN_TRANSACTION: &str = "25P03";
const LOCK_NOT_AVAILABLE: &str = "55P03";
const NO_SUCH_STATEMENT: &str = "26000";
const STATEMENT_EXISTS: &str = "42P05";
const NO_SUCH_DATABASE: &str = "3D000";
pub(super) const DIVISION_BY_ZERO: &str = "22012";

pub(super) fn meaning(failure: Failure) -> StoreError {
    failure.explain(refused)
}

/// Whether the database says that it rolled the whole transaction back for another's sake, so that it can be begun
/// again without being done twice.
pub(super) fn is_worth_another_try(failure: &Failure) -> bool {
    let Failure::Database(sqlx::Error::Database(answer)) = failure else {
        return false;
    };
    matches!(
        answer.code().as_deref(),
        Some(SERIALIZATION_FAILURE | DEADLOCK_DETECTED)
    )
}

/// Whether the database says that it refused something in the transaction, so that nothing of it is written, and would
/// perhaps take the rest. One that ends the session may have committed before; and one that takes no changes, is short of
/// something or out of time takes none of them.
pub(super) fn is_refused(failure: &Failure) -> bool {
    match failure {
        Failure::Database(sqlx::Error::Database(answer)) => {
            let code = answer.code().unwrap_or_default();
            let severity = answer
                .try_downcast_ref::<PgDatabaseError>()
                .map(PgDatabaseError::severity);
            severity == Some(PgSeverity::Error)
                && code != READ_ONLY_TRANSACTION
                && !code.starts_with("53")
                && !code.starts_with("57")
        }
        Failure::Damaged(_) => true,
        _ => false,
    }
}

/// Whether a lock was waited for in vain.
pub(super) fn is_locked(failure: &Failure) -> bool {
    has_code(failure, LOCK_NOT_AVAILABLE)
}

/// Whether the connection lacks a statement that is [prepared](super::prepared) on it.
pub(super) fn is_unprepared(failure: &Failure) -> bool {
    has_code(failure, NO_SUCH_STATEMENT)
}

pub(super) fn is_prepared_already(failure: &Failure) -> bool {
    has_code(failure, STATEMENT_EXISTS)
}

fn has_code(failure: &Failure, code: &str) -> bool {
    matches!(failure, Failure::Database(sqlx::Error::Database(answer))
        if answer.code().as_deref() == Some(code))
}

/// Says only what cannot hold a value from a row: never the DETAIL, which quotes them.
fn refused(answer: &dyn DatabaseError) -> StoreError {
    let code = answer.code().unwrap_or_default();
    let severity = answer
        .try_downcast_ref::<PgDatabaseError>()
        .map(|answer| format!("{:?} ", answer.severity()));
    let constraint = answer
        .constraint()
        .map(|name| format!(" (constraint {name})"));
    let text = format!(
        "PostgreSQL {}{code}: {}{}",
        severity.unwrap_or_default(),
        answer.message(),
        constraint.unwrap_or_default()
    );
    classify(&code, text)
}

fn classify(code: &str, text: String) -> StoreError {
    match (code, code.get(..2).unwrap_or_default()) {
        (READ_ONLY_TRANSACTION | DISK_FULL, _) => StoreError::NotWritable(text),
        (SERIALIZATION_FAILURE | DEADLOCK_DETECTED | IDLE_IN_TRANSACTION | LOCK_NOT_AVAILABLE | NO_SUCH_DATABASE, _)
        // Connection exceptions, refused authorization, too few resources, intervention of an operator, trouble of
        // the system.
        | (_, "08" | "28" | "53" | "57" | "58") => StoreError::Unavailable(text),
        // Its own words for a damaged page or index.
        (_, "XX") => StoreError::Damaged(text),
        _ => StoreError::Internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_takes_no_changes_is_told_from_one_that_does_not_answer() {
        let kind = |code| classify(code, String::new());
        for code in ["25006", "53100"] {
            assert_eq!(kind(code), StoreError::NotWritable(String::new()), "{code}");
        }
        // Too many connections, shut down (three ways), a statement's timeout, a lock's timeout, a wrong password.
        for code in [
            "53300", "57P01", "57P02", "57P03", "57014", "55P03", "28P01", "40P01",
        ] {
            assert_eq!(kind(code), StoreError::Unavailable(String::new()), "{code}");
        }
        // Unique violation, no such table.
        for code in ["23505", "42P01", ""] {
            assert_eq!(kind(code), StoreError::Internal(String::new()), "{code}");
        }
    }
}
