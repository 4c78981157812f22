//! The walks of CONTRACT §4, as a user, a service and an administrator take them.

mod administration;
mod cluster;
mod keys;
mod lasting;
