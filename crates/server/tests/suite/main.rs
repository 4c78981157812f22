//! Keywright over real HTTP, on real stores: every case on SQLite and on PostgreSQL. One binary, to link once.

mod holder;
mod listing;
mod management;
mod routes;
mod support;
mod verification;
