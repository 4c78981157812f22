//! `/api/users`: who owns keys (CONTRACT §4.4).

pub(crate) mod delete;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod show;
