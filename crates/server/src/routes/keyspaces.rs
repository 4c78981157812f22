//! `/api/keyspaces`: families of keys (CONTRACT §4.4).

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod update;

use keywright_api::ErrorCode;
use keywright_core::keyspace::KeyspaceRefusal;

use crate::problem::Problem;
use crate::validate::Validation;

/// What a client hears of a refused edit.
fn refused(refusal: &KeyspaceRefusal) -> Problem {
    match refusal {
        KeyspaceRefusal::BuiltIn => Problem::new(ErrorCode::BuiltInKeyspace, refusal.to_string()),
        KeyspaceRefusal::Catalogue(error) => {
            let mut validation = Validation::default();
            validation.refuse("/permissions", error.to_string());
            validation.done().err().unwrap_or_else(Problem::internal)
        }
    }
}
