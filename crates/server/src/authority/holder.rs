//! Routes about the key that is presented (CONTRACT §4.3).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use keywright_core::audit::{Actor, ActorKind};
use keywright_core::decision::{Code, Facts, Question, decide};
use keywright_core::key::KeyRecord;

use super::credential::{self, Credential};
use super::{Authority, Needs};
use crate::problem::Problem;
use crate::state::AppState;

/// Whoever holds the text of a key that exists, in whatever state it is.
pub(crate) struct Holder {
    pub(crate) record: KeyRecord,
}

impl Authority for Holder {
    const NEEDS: Needs = Needs::Key;
}

impl Holder {
    /// Who is recorded: the key itself if it is a service key, else its owner.
    pub(crate) fn actor(&self) -> Actor {
        if self.record.keyspace.is_service() {
            Actor {
                kind: ActorKind::ServiceKey,
                id: self.record.key.id.to_string(),
            }
        } else {
            Actor {
                kind: ActorKind::User,
                id: self.record.key.user_id.to_string(),
            }
        }
    }
}

impl FromRequestParts<AppState> for Holder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let found = async {
            let Credential { text, .. } = credential::credential(&parts.headers)?;
            let record = state.verifier.find(text).await?;
            record.ok_or_else(|| credential::not_good(Code::NotFound))
        };
        match found.await {
            Ok(record) => Ok(Self { record }),
            Err(problem) => Err(credential::count_failure(problem, parts, state)),
        }
    }
}

/// Whoever holds the text of a key that is good.
pub(crate) struct GoodHolder(pub(crate) KeyRecord);

impl Authority for GoodHolder {
    const NEEDS: Needs = Needs::Key;
}

impl FromRequestParts<AppState> for GoodHolder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Holder { record } = Holder::from_request_parts(parts, state).await?;
        let itself = Question {
            permissions: &[] as &[&str],
            keyspace: Some(record.keyspace.name.as_str()),
        };
        match decide(
            Facts::from(&record.key),
            &record.keyspace,
            &itself,
            state.clock.now(),
        ) {
            Code::Valid => Ok(Self(record)),
            code => Err(credential::count_failure(
                credential::not_good(code),
                parts,
                state,
            )),
        }
    }
}
