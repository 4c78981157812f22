//! Extractors that answer in our words: what was wrong, where, and what would be right.

mod json;
mod path;
mod query;

pub(crate) use json::{Json, LargeJson, names_json, parse as parse_json, read_body};
pub(crate) use path::{
    KeyIdPath, NamePath, UserIdPath, no_such_key, no_such_keyspace, no_such_user,
};
pub(crate) use query::Query;
