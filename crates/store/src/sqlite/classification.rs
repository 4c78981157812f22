//! What SQLite's answers mean: <https://www.sqlite.org/rescode.html>.

use sqlx::error::DatabaseError;

use crate::StoreError;
use crate::failure::Failure;

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NO_MEMORY: u32 = 7;
const READ_ONLY: u32 = 8;
const INTERRUPTED: u32 = 9;
const IO_ERROR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

/// Extended codes of [`IO_ERROR`] that reading alone can bring about.
const READ_ERRORS: [u32; 2] = [IO_ERROR | 1 << 8, IO_ERROR | 2 << 8];

pub(super) fn meaning(failure: Failure) -> StoreError {
    failure.explain(refused)
}

/// Whether SQLite answered that it cannot now, another program holding the file's lock above all: no fault of the
/// connection.
pub(super) fn is_elsewhere(failure: &Failure) -> bool {
    match failure {
        Failure::Database(sqlx::Error::Database(answer)) => {
            matches!(refused(&**answer), StoreError::Unavailable(_))
        }
        _ => false,
    }
}

/// SQLite's messages name tables and columns, never values.
fn refused(answer: &dyn DatabaseError) -> StoreError {
    let code: u32 = answer
        .code()
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    classify(code, format!("SQLite {code}: {}", answer.message()))
}

fn classify(code: u32, text: String) -> StoreError {
    // The low byte is the primary code, the rest says more.
    match code & 0xff {
        IO_ERROR if READ_ERRORS.contains(&code) => StoreError::Unavailable(text),
        READ_ONLY | FULL | IO_ERROR => StoreError::NotWritable(text),
        BUSY | LOCKED | NO_MEMORY | INTERRUPTED | CANNOT_OPEN => StoreError::Unavailable(text),
        CORRUPT | NOT_A_DATABASE => StoreError::Damaged(text),
        _ => StoreError::Internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_no_more_is_told_from_one_that_does_not_answer() {
        let kind = |code| classify(code, String::new());
        // FULL, READONLY_DBMOVED, IOERR_WRITE, IOERR_FSYNC
        for code in [13, 1032, 778, 1034] {
            assert_eq!(kind(code), StoreError::NotWritable(String::new()), "{code}");
        }
        // BUSY_SNAPSHOT, IOERR_READ, IOERR_SHORT_READ, CANTOPEN
        for code in [517, 266, 522, 14] {
            assert_eq!(kind(code), StoreError::Unavailable(String::new()), "{code}");
        }
        assert_eq!(kind(11), StoreError::Damaged(String::new()));
        // CONSTRAINT_UNIQUE
        assert_eq!(kind(2067), StoreError::Internal(String::new()));
    }
}
