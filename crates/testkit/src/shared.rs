//! One cluster for many tests, each with a database of its own.

use std::env;
use std::fmt;
use std::sync::OnceLock;

use crate::TemporaryPostgres;
use crate::temporary_postgres::{create_database, execute_in_background};

/// The environment variable that names a running cluster by a URL of its
/// administrator. `with-postgres` sets it for the command that it runs.
pub const VARIABLE: &str = "KEYWRIGHT_TEST_POSTGRES";

/// An empty PostgreSQL database for one test, in the cluster that [`VARIABLE`]
/// names, or else in one that this process starts at the first call and that
/// goes when the process goes. So a plain `cargo test` works too.
///
/// # Panics
/// If there is no cluster and none can be started, with what to do.
pub fn fresh_database() -> TestDatabase {
    let admin_url = shared_admin_url();
    let (name, url) = create_database(&admin_url);
    TestDatabase {
        name,
        url,
        admin_url,
    }
}

fn shared_admin_url() -> String {
    static CLUSTER: OnceLock<TemporaryPostgres> = OnceLock::new();

    match env::var(VARIABLE) {
        Ok(url) => url,
        Err(_) => CLUSTER.get_or_init(TemporaryPostgres::start).admin_url(),
    }
}

/// A database that is dropped soon after this value, sessions and all: thousands of
/// tests in one cluster would otherwise fill the disk.
pub struct TestDatabase {
    name: String,
    url: String,
    admin_url: String,
}

impl TestDatabase {
    /// Where the database is, as `postgres://…`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Without the URL, which holds a password.
impl fmt::Debug for TestDatabase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestDatabase")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // What cannot be dropped dies with the cluster; a test that passed must not fail
        // for it. Nor wait: the server waits for every session to have heard of it, and
        // one that this very thread was beginning hears nothing while the thread stands
        // here, until its time for authentication is over after a minute.
        execute_in_background(
            &self.admin_url,
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
    }
}
