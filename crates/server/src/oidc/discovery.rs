//! What an identity provider says of itself (OpenID Connect Discovery 1.0), and its keys: fetched when they are first
//! needed, kept for a while, and shared by everybody who waits for them.

use std::sync::Arc;
use std::time::Duration;

use keywright_core::ambient::Clock;
use openidconnect::IssuerUrl;
use openidconnect::core::CoreProviderMetadata;
use tokio::sync::Mutex;

use super::SignInError;
use crate::outbound::{Outbound, OutboundError, is_trustworthy, told};

/// What the provider says of itself, with its keys.
pub(super) type Metadata = CoreProviderMetadata;

/// How long it is kept.
const KEPT: Duration = Duration::from_mins(10);

/// How long at least between a fetch that failed and the next: a page that is loaded over and over asks no provider that
/// is down each time.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Discovery {
    issuer: IssuerUrl,
    clock: Arc<dyn Clock>,
    /// Held by whoever fetches.
    last: Mutex<Last>,
}

/// What came of the last fetch, and when (an uptime).
enum Last {
    Never,
    Had(Arc<Metadata>, Duration),
    Failed(Duration),
}

impl Discovery {
    pub(super) fn new(issuer: IssuerUrl, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer,
            clock,
            last: Mutex::new(Last::Never),
        }
    }

    pub(super) fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// What the provider says of itself, of the last ten minutes.
    pub(super) async fn metadata(&self, outbound: &Outbound) -> Result<Arc<Metadata>, SignInError> {
        self.unlike(None, outbound).await
    }

    /// What it says of itself after it said `old`.
    pub(super) async fn newer_than(
        &self,
        old: &Arc<Metadata>,
        outbound: &Outbound,
    ) -> Result<Arc<Metadata>, SignInError> {
        self.unlike(Some(old), outbound).await
    }

    async fn unlike(
        &self,
        old: Option<&Arc<Metadata>>,
        outbound: &Outbound,
    ) -> Result<Arc<Metadata>, SignInError> {
        let mut last = self.last.lock().await;
        let since = |then: Duration| self.clock.uptime().saturating_sub(then);
        match &*last {
            Last::Had(metadata, then)
                if since(*then) < KEPT && !old.is_some_and(|old| Arc::ptr_eq(old, metadata)) =>
            {
                return Ok(metadata.clone());
            }
            Last::Failed(then) if since(*then) < PAUSE => return Err(SignInError::NoAnswer),
            _ => {}
        }
        let fetched = self.fetch(outbound).await;
        // The pause begins now: those who waited for this fetch, however long it took, do not begin another.
        let now = self.clock.uptime();
        match fetched {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *last = Last::Had(metadata.clone(), now);
                Ok(metadata)
            }
            Err(error) => {
                *last = Last::Failed(now);
                Err(error)
            }
        }
    }

    async fn fetch(&self, outbound: &Outbound) -> Result<Metadata, SignInError> {
        let issuer = self.issuer.as_str();
        let found = Metadata::discover_async(self.issuer.clone(), outbound).await;
        let metadata = found.map_err(|error| {
            let error = told(&error);
            tracing::warn!(issuer, error, "the identity provider cannot be found");
            SignInError::NoAnswer
        })?;
        // Everything else that it names is asked by this process, which looks then.
        let page = metadata.authorization_endpoint().url();
        if !is_trustworthy(page) {
            let error = OutboundError::NotTrustworthy(page.clone()).to_string();
            tracing::warn!(issuer, error, "the identity provider has no page to go to");
            return Err(SignInError::NoAnswer);
        }
        Ok(metadata)
    }
}
