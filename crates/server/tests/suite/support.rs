//! The world that a test lives in: a real server on a real database, with a clock and a generator that the test
//! holds, and personas who talk to it over HTTP.

mod ambient;
mod browser;
mod client;
mod database;
mod documented;
mod openid;
mod provider;
mod raw;
mod store;
mod token;
mod world;

pub(crate) use browser::{Browser, Shown};
pub(crate) use client::{Answer, Client, CreatedKey, pointers};
pub(crate) use database::Kind;
pub(crate) use documented::operations;
pub(crate) use openid::{CLIENT, CLIENT_SECRET, OpenId, with_provider};
pub(crate) use provider::{Provider, SigningKey};
pub(crate) use raw::Connection;
pub(crate) use store::Fault;
pub(crate) use token::{SECRET, Token};
pub(crate) use world::{ALL_OPERATIONS, World, eventually};

/// Makes a test of each function on each store: `…::sqlite::name` and `…::postgres::name`. A function that is not
/// listed is dead code, which the compiler reports.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name($crate::support::Kind::Sqlite).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::support::Kind::Postgres).await; })+
        }
    };
}
pub(crate) use on_both_stores;
