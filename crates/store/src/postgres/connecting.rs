//! How connections are made, and when one is trusted.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgConnection};

use super::Options;
use super::classification::meaning;
use crate::failure::timed_out;
use crate::{OpenError, StoreError};

const IS_STANDBY: &str = "SELECT pg_is_in_recovery()";

/// How long a connection may have rested before it is asked whether it is still there. A busy one finds out by
/// being used, and one question for each reading would double what a verification waits for.
const RESTED: Duration = Duration::from_secs(1);

/// Where the database is.
pub(super) fn address(url: &str) -> Result<PgConnectOptions, OpenError> {
    let not_understood = |text: &str| OpenError::Url(text.to_owned());
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(not_understood("it does not begin with postgres://"));
    }
    // The driver's own words could quote a part of the URL, which holds a password.
    let address =
        PgConnectOptions::from_str(url).map_err(|_| not_understood("it is not well-formed"))?;
    let address = match address.get_application_name() {
        Some(_) => address,
        None => address.application_name("keywright"),
    };
    Ok(address.disable_statement_logging())
}

/// One connection for what is done at the start. Its statements may take their time: a migration of a large table
/// does, and so does waiting for another node's.
pub(super) async fn connect(
    address: &PgConnectOptions,
    patience: Duration,
) -> Result<PgConnection, OpenError> {
    let connecting = async {
        let mut connection = PgConnection::connect_with(address).await?;
        // A server that froze lets one in and then says nothing more.
        let standby: bool = sqlx::query_scalar(IS_STANDBY)
            .fetch_one(&mut connection)
            .await?;
        Ok((connection, standby))
    };
    let (connection, standby) = tokio::time::timeout(patience, connecting)
        .await
        .map_err(|_| timed_out())?
        .map_err(|error: sqlx::Error| meaning(error.into()))?;
    if standby {
        return Err(OpenError::Store(StoreError::NotWritable(
            "the server is a standby: name the primary".to_owned(),
        )));
    }
    Ok(connection)
}

/// The connections of a running server, none of them made yet.
pub(super) fn pool(address: PgConnectOptions, options: &Options) -> PgPool {
    let address = address.options([(
        "statement_timeout",
        format!("{}ms", options.statement_timeout.as_millis()),
    )]);
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.patience)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for >= RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // After a failover the old name may lead to a standby, whose answers are old (DESIGN §5).
        .after_connect(|connection, _| {
            Box::pin(async move {
                let standby: bool = sqlx::query_scalar(IS_STANDBY).fetch_one(connection).await?;
                if standby { Err(sqlx::Error::Io(io::Error::other("the server is a standby"))) } else { Ok(()) }
            })
        })
        .connect_lazy_with(address)
}
