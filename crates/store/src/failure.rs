//! What goes wrong inside a transaction, and what it means to whoever asked.

use std::fmt::Display;

use sqlx::error::DatabaseError;

use crate::StoreError;

/// What went wrong, while it still matters how the driver said it (a deadlock is tried again).
#[derive(Debug)]
pub(crate) enum Failure {
    /// The driver or the database said so.
    Database(sqlx::Error),
    /// A row holds what no version of this program writes; the text names the column, never its content.
    Damaged(String),
    /// Whoever asked is told this.
    Refused(StoreError),
    /// Who answered follows another server, which may know more (DESIGN §5). The connection is of no use any more.
    #[allow(dead_code, reason = "an embedded database follows nobody")]
    Standby,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Failure {
    /// Makes the [`Failure`] for a column whose content its type refuses.
    pub(crate) fn damaged<E: Display>(column: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Damaged(format!("{column}: {error}"))
    }

    /// What it means; `refused` tells what an answer of this database means.
    pub(crate) fn explain(
        self,
        refused: impl FnOnce(&dyn DatabaseError) -> StoreError,
    ) -> StoreError {
        match self {
            Self::Damaged(text) => StoreError::Damaged(text),
            Self::Refused(error) => error,
            Self::Standby => StoreError::Unavailable("the server is a standby".to_owned()),
            Self::Database(error) => explain(error, refused),
        }
    }
}

/// What an error of the driver means. Its own text is used only where it cannot hold a value from a row.
pub(crate) fn explain(
    error: sqlx::Error,
    refused: impl FnOnce(&dyn DatabaseError) -> StoreError,
) -> StoreError {
    match error {
        sqlx::Error::Database(answer) => refused(&*answer),
        sqlx::Error::PoolTimedOut => {
            StoreError::Unavailable("no connection became free in time".to_owned())
        }
        sqlx::Error::PoolClosed => StoreError::Unavailable("the store is closed".to_owned()),
        error @ (sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::WorkerCrashed) => StoreError::Unavailable(error.to_string()),
        sqlx::Error::ColumnDecode { index, .. } => {
            StoreError::Damaged(format!("column {index} has another type"))
        }
        sqlx::Error::Decode(_) => StoreError::Damaged("a value has another type".to_owned()),
        error @ (sqlx::Error::ColumnNotFound(_) | sqlx::Error::RowNotFound) => {
            StoreError::Internal(error.to_string())
        }
        _ => StoreError::Internal("the driver refused a statement".to_owned()),
    }
}

/// The answer to whoever waited longer than a statement may take.
pub(crate) fn timed_out() -> StoreError {
    StoreError::Unavailable("it did not answer in time".to_owned())
}
