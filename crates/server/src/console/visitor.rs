//! Who is signed in, as far as their browser shows it, and what they may do.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_api::ErrorCode;
use keywright_core::audit::{Actor, ActorKind};
use keywright_core::authority::Caller;
use keywright_core::digest::Digest;
use keywright_core::identifier::UserId;
use keywright_core::keyspace::Operation;
use keywright_core::lifecycle::Status;
use keywright_core::permission::Grants;
use keywright_store::console::{Session, SignedIn};
use secrecy::{ExposeSecret, SecretString};

use super::overview;
use super::refusal::Seen;
use super::theme::Theme;
use crate::authority::{Needed, Service, UserOrService};
use crate::problem::Problem;
use crate::source::is_secure;
use crate::state::AppState;

/// A session of which nothing is seen for so long has ended.
pub(super) const IDLE: Duration = Duration::from_hours(1);
/// However much is seen of it, it ends then.
pub(crate) const LIFETIME: Duration = Duration::from_hours(12);
/// What is seen of a session is noted when so much has passed since it was noted last.
const NOTED: Duration = Duration::from_mins(1);

/// Somebody who is signed in.
pub(super) struct Visitor {
    pub(super) session: Session,
    /// What their browser keeps.
    token: SecretString,
    /// Random, for this page.
    mask: [u8; 32],
    /// What they are called on pages.
    pub(super) name: String,
    pub(super) theme: Theme,
    rights: Rights,
}

enum Rights {
    /// Own keys, as by a JWT.
    User(UserId),
    /// Everybody's, as by a service key that holds these operations.
    Operator(Grants),
}

impl Visitor {
    pub(super) fn is_operator(&self) -> bool {
        matches!(self.rights, Rights::Operator(_))
    }

    /// The user whose keys they see; `None` for everybody's.
    pub(super) fn own(&self) -> Option<&UserId> {
        match &self.rights {
            Rights::User(id) => Some(id),
            Rights::Operator(_) => None,
        }
    }

    /// Whether they are an operator who holds the operation.
    pub(super) fn holds(&self, operation: Operation) -> bool {
        match &self.rights {
            Rights::User(_) => false,
            Rights::Operator(grants) => grants.contains_all(operation.grant()),
        }
    }

    /// The authority of a route of the API for service keys that hold the operation `O`.
    ///
    /// # Errors
    /// [`Problem::insufficient_scope`] where they lack it; 403 for whoever is no operator.
    pub(super) fn operates<O: Needed>(&self) -> Result<Service<O>, Problem> {
        if !self.is_operator() {
            return Err(Problem::new(
                ErrorCode::InsufficientScope,
                "this page is for operators: ask one of them",
            ));
        }
        if !self.holds(O::OPERATION) {
            return Err(lacks(O::OPERATION));
        }
        Ok(Service::admitted(self.actor()))
    }

    /// Whether they may change the keys that they see.
    pub(super) fn may_change_keys(&self) -> bool {
        !self.is_operator() || self.holds(Operation::KeysWrite)
    }

    /// What every form of theirs must hold. Nobody else can know it, since it is made from what only the browser keeps. It
    /// is masked anew for each page: how well a page can be compressed tells nothing of it (BREACH, 2013).
    pub(super) fn csrf(&self) -> String {
        let masked = masked(self.made_of("form").as_bytes(), &self.mask);
        URL_SAFE_NO_PAD.encode([self.mask, masked].concat())
    }

    pub(super) fn has_sent(&self, csrf: &str) -> bool {
        let sent = URL_SAFE_NO_PAD.decode(csrf).unwrap_or_default();
        let parts = sent.split_first_chunk().and_then(|(mask, masked)| {
            let masked: &[u8; 32] = masked.try_into().ok()?;
            Some((mask, masked))
        });
        parts.is_some_and(|(mask, sent)| {
            Digest::from_bytes(masked(sent, mask)) == self.made_of("form")
        })
    }

    /// `words` with a sign that only a page of this session can have made.
    pub(super) fn signed(&self, words: &str) -> String {
        format!("{words}.{}", self.sign(words))
    }

    /// What [`Self::signed`] made for this session; nothing of what somebody else made up.
    pub(super) fn read_signed<'w>(&self, signed: &'w str) -> &'w str {
        match signed.split_once('.') {
            Some((words, sign)) if Digest::of(sign) == Digest::of(&self.sign(words)) => words,
            _ => "",
        }
    }

    fn sign(&self, words: &str) -> String {
        let digest = self.made_of(&format!("done {words}"));
        URL_SAFE_NO_PAD.encode(&digest.as_bytes()[..12])
    }

    fn made_of(&self, purpose: &str) -> Digest {
        let token = self.token.expose_secret();
        Digest::of(&format!("{purpose} of {token}"))
    }

    /// The authority of a route of the API that needs the operation `O`, for themselves or for `acting_for`.
    ///
    /// # Errors
    /// [`Problem::insufficient_scope`] where they lack it.
    pub(super) fn may<O: Needed>(
        &self,
        acting_for: Option<UserId>,
    ) -> Result<UserOrService<O>, Problem> {
        let caller = match &self.rights {
            Rights::User(id) => Caller::User(id.clone()),
            Rights::Operator(grants) => {
                if !self.holds(O::OPERATION) {
                    return Err(lacks(O::OPERATION));
                }
                Caller::ServiceKey {
                    grants: *grants,
                    acting_for,
                }
            }
        };
        Ok(UserOrService::admitted(caller, self.actor()))
    }

    /// As the audit log calls them: the service key, or the user, who did it in the console.
    fn actor(&self) -> Actor {
        Actor {
            kind: ActorKind::Console,
            id: match &self.session.who {
                SignedIn::ServiceKey(id) => id.to_string(),
                SignedIn::User { id, .. } => id.to_string(),
            },
        }
    }

    async fn from_cookie(parts: &Parts, state: &AppState) -> Result<Option<Self>, Problem> {
        let Some(token) = cookie(&parts.headers, session_cookie(is_secure(parts, state))) else {
            return Ok(None);
        };
        let (token, now) = (SecretString::from(token), state.clock.now());
        let console = state.store.clone().console();
        let digest = Digest::of(token.expose_secret());
        let seen_after = now.saturating_sub(IDLE);
        let Some(session) = console.find_session(&digest, now, seen_after).await? else {
            return Ok(None);
        };
        let Some((rights, name)) = rights(&session.who, state).await? else {
            return Ok(None);
        };
        // What a page asks for by itself is not seen by anybody.
        let is_seen = parts.uri.path() != overview::LIVE;
        if is_seen && session.seen_at <= now.saturating_sub(NOTED) {
            // That a page cannot be noted is no reason not to show it.
            if let Err(error) = console.note_session(session.id, now).await {
                tracing::debug!(%error, "what is seen of a session could not be noted");
            }
        }
        let mut mask = [0; 32];
        state.entropy.fill(&mut mask)?;
        Ok(Some(Self {
            session,
            token,
            mask,
            name,
            theme: Theme::chosen(&parts.headers),
            rights,
        }))
    }
}

fn masked(bytes: &[u8; 32], mask: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| bytes[at] ^ mask[at])
}

/// What somebody may do now, and what they are called; `None` where they may not be signed in any more.
async fn rights(who: &SignedIn, state: &AppState) -> Result<Option<(Rights, String)>, Problem> {
    match who {
        SignedIn::User { id, operator } => {
            // The sessions of a provider that was taken away go with it, and so do the rights of its group.
            let Some(provider) = &state.provider else {
                return Ok(None);
            };
            let rights = if *operator && provider.has_operators() {
                Rights::Operator(everything())
            } else {
                Rights::User(id.clone())
            };
            Ok(Some((rights, id.to_string())))
        }
        SignedIn::ServiceKey(id) => {
            // A session is worth what its key is worth at this moment.
            let Some(record) = state.store.find_key(*id).await? else {
                return Ok(None);
            };
            let key = &record.key;
            let is_good = key.lifecycle.status() == Status::Active
                && key.expires_at.is_none_or(|end| state.clock.now() < end);
            Ok(is_good.then(|| (Rights::Operator(key.grants), key.name.to_string())))
        }
    }
}

/// Every operation.
fn everything() -> Grants {
    let all = Operation::ALL.into_iter();
    Grants(all.fold(0, |grants, operation| grants | operation.grant().0))
}

fn lacks(operation: Operation) -> Problem {
    Problem::insufficient_scope(&[operation.name()])
}

/// The name of the cookie. Over TLS one that no other host, and no page over plain HTTP, can set.
pub(super) const fn session_cookie(secure: bool) -> &'static str {
    if secure {
        "__Host-keywright_session"
    } else {
        "keywright_session"
    }
}

/// The value of a cookie (RFC 6265 §5.4).
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        match Self::from_cookie(parts, state).await {
            Ok(Some(visitor)) => {
                if let Some(seen) = parts.extensions.get::<Seen>() {
                    seen.note(&visitor);
                }
                Ok(visitor)
            }
            Ok(None) => Err(to_sign_in(parts)),
            Err(problem) => Err(problem.into_response()),
        }
    }
}

/// Where somebody goes who is not signed in, and is to come back from.
fn to_sign_in(parts: &Parts) -> Response {
    let path = parts.uri.path_and_query().map(ToString::to_string);
    let next = path.filter(|path| parts.method == Method::GET && path != "/keys");
    let to = next.map_or_else(
        || "/sign-in".to_owned(),
        |next| {
            // infallible: a pair of texts is written as a query
            let query = serde_urlencoded::to_string([("next", next)])
                .expect("a pair of texts is written as a query");
            format!("/sign-in?{query}")
        },
    );
    Redirect::to(&to).into_response()
}
