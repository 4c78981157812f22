//! `/api/whoami`: what the holder of a key can do with it (CONTRACT §4.3).

pub(crate) mod revoke;
pub(crate) mod show;
