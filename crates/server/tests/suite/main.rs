//! Keywright over real HTTP, on real stores: every case on SQLite and on PostgreSQL. One binary, to link once.

mod audit;
mod cluster;
mod connections;
mod console;
mod console_lists;
mod console_operators;
mod console_users;
mod errors;
mod failures;
mod fast_path;
mod holder;
mod keyspaces;
mod listing;
mod management;
mod operation;
mod privilege;
mod provider_keys;
mod routes;
mod service;
mod sign_in_by_provider;
mod support;
mod tokens;
mod usage;
mod users;
mod verification;
