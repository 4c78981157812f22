//! The rules of Keywright, as pure code: no input or output, no async, no clock and no generator of its own.
//!
//! | module | what it decides |
//! |---|---|
//! | [`key_text`] | how the text of a key is minted, parsed and checked (CONTRACT §2) |
//! | [`digest`] | what is stored of it |
//! | [`identifier`] | which names and ids are well-formed (CONTRACT §1) |
//! | [`permission`] | catalogues, grants and matching |
//! | [`keyspace`] | named families of keys, the built-in ones among them |
//! | [`lifecycle`] | the only transition function (CONTRACT §3) |
//! | [`key`] | the record of a key |
//! | [`authority`] | who may make and change which key (CONTRACT §4.1) |
//! | [`decision`] | what a verification answers (CONTRACT §4.2) |
//! | [`audit`] | what is recorded of a change (CONTRACT §4.4) |
//! | [`ambient`] | the clock and the generator, as arguments |

pub mod ambient;
pub mod audit;
pub mod authority;
mod base62;
pub mod decision;
pub mod digest;
pub mod identifier;
pub mod key;
pub mod key_text;
pub mod keyspace;
pub mod lifecycle;
pub mod permission;
pub mod text;
pub mod timestamp;
