//! What the proofs stand on: a world of real processes on a real database, and the people who use it.

mod answer;
mod database;
mod node;
mod persona;
mod wholeness;
mod world;

use std::time::Duration;

pub(crate) use answer::Answer;
pub(crate) use database::Database;
pub(crate) use node::{Launch, Node, run};
pub(crate) use persona::{NewKey, Persona};
pub(crate) use wholeness::assert_whole;
pub(crate) use world::{JWT_SECRET, World};

/// Far longer than anything here takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Makes a test of each sentence for each store; each is given a running world of its own.
macro_rules! on_both_stores {
    ($($sentence:ident)+) => {
        mod sqlite {
            $(#[test] fn $sentence() { super::$sentence(&$crate::support::World::on_sqlite()); })+
        }
        mod postgres {
            $(#[test] fn $sentence() { super::$sentence(&$crate::support::World::on_postgres()); })+
        }
    };
}
pub(crate) use on_both_stores;

/// Waits until `look` finds something, and gives it. For what another process or thread does.
///
/// # Panics
/// With `what`, if it is not there after [`LONG`].
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now().saturating_sub(began) < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The wall clock, as time since 1970: what the server compares expiries with.
#[expect(clippy::disallowed_methods, reason = "a real process keeps real time")]
pub(crate) fn now() -> Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is later than 1970")
}
