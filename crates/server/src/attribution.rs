//! Who is recorded as having made a change.

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use keywright_core::ambient::EntropyError;
use keywright_core::audit::{Actor, Attribution};
use keywright_core::identifier::time_ordered_id;
use keywright_core::key_text;

use crate::exchange::Exchange;
use crate::problem::Problem;
use crate::state::AppState;

/// The longest name of a program that is recorded, in characters.
const MAX_USER_AGENT: usize = 256;

/// What a request tells about itself, ready to be recorded with an actor.
#[derive(Clone)]
pub(crate) struct Provenance {
    exchange: Exchange,
    user_agent: Option<String>,
}

impl FromRequestParts<AppState> for Provenance {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let user_agent = parts
            .headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok());
        // A key that somebody pasted there is not for others to read.
        let user_agent = user_agent.filter(|text| !key_text::is_within(text));
        let user_agent = user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect());
        let Ok(exchange) = Exchange::from_request_parts(parts, state).await;
        Ok(Self {
            exchange,
            user_agent,
        })
    }
}

impl Provenance {
    /// The address and the program that the request came from.
    pub(crate) fn place(self) -> (String, Option<String>) {
        (self.exchange.source.to_string(), self.user_agent)
    }

    /// The attribution of a change that `actor` makes now.
    ///
    /// # Errors
    /// [`EntropyError`] where no id can be made for the entry.
    pub(crate) fn of(self, actor: Actor, state: &AppState) -> Result<Attribution, EntropyError> {
        Ok(Attribution {
            entry_id: time_ordered_id(&*state.clock, &*state.entropy)?,
            at: state.clock.now(),
            actor,
            ip: Some(self.exchange.source.to_string()),
            user_agent: self.user_agent,
            request_id: Some(self.exchange.request_id.to_string()),
        })
    }
}
