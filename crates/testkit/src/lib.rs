//! What the tests of several crates need and no program may: a PostgreSQL of
//! their own. (Which crate may use which is tested here too, in `tests/`.)
//!
//! Most tests want an empty database and do not care whose cluster it is in:
//! [`fresh_database`]. A test that stops, kills or restarts the database starts
//! its own cluster: [`TemporaryPostgres`].

mod guardian;
mod installation;
mod shared;
mod temporary_postgres;

pub use shared::{TestDatabase, VARIABLE, fresh_database};
pub use temporary_postgres::{Options, TemporaryPostgres};
