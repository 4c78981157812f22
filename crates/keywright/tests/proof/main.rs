//! The program proved as a whole: real processes, real HTTP, real databases, and real misfortune.
//!
//! What every route answers in detail is tested in `keywright-server`, and what a database keeps in
//! `keywright-store`; here it is shown to hold together, and to survive.

mod support;

mod crashes;
mod hang_ups;
mod operation;
mod outages;
mod prefixes;
mod secrets;
mod syncs;
mod uses;
mod walks;
