//! Users who sign in to the console with an identity provider: OpenID Connect Core 1.0, by authorization code (§3.1)
//! with PKCE (RFC 7636).
//!
//! What a browser needs to come back with is its [`Attempt`], which only that browser keeps. What the provider says of
//! itself is kept by [`discovery`]; everything that it answers is asked for in a bounded time and size ([`Outbound`]).

mod attempt;
mod claims;
mod discovery;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use keywright_core::ambient::{Clock, Entropy, EntropyError};
use keywright_core::identifier::UserId;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IdToken, IdTokenClaims, IdTokenFields, IdTokenVerifier, IssuerUrl, OAuth2TokenResponse,
    RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, TokenResponse, UserInfoClaims, UserInfoError,
};
use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use self::claims::{OtherClaims, is_member};
use self::discovery::{Discovery, Metadata};
use crate::outbound::{Outbound, OutboundError, is_trustworthy, told};
use crate::settings::OidcSettings;
use crate::sparing::Sparing;

pub(crate) use self::attempt::Attempt;

/// Where an identity provider is, exactly as it calls itself: `https`, or `http` on this machine.
#[derive(Debug, Clone)]
pub struct Issuer(IssuerUrl);

/// The text cannot be what an identity provider calls itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the https:// URL of an identity provider, as it calls itself, without a user, a query or a fragment \
     (http:// is taken for this machine only: localhost, 127.0.0.0/8 or [::1])"
)]
pub struct NotAnIssuer;

impl Issuer {
    /// Takes what an identity provider calls itself (OpenID Connect Core 1.0 §2, `iss`).
    ///
    /// # Errors
    /// [`NotAnIssuer`].
    pub fn parse(text: &str) -> Result<Self, NotAnIssuer> {
        let issuer = IssuerUrl::new(text.to_owned()).map_err(|_| NotAnIssuer)?;
        let url = issuer.url();
        if is_trustworthy(url) && url.query().is_none() && url.fragment().is_none() {
            Ok(Self(issuer))
        } else {
            Err(NotAnIssuer)
        }
    }
}

/// For how many at once the provider is asked who they are. Anybody can make up a code, and have it asked.
const AT_ONCE: usize = 16;

/// Where the browser comes back to, on this server.
pub(crate) const CALLBACK: &str = "/sign-in/callback";

type Client = openidconnect::Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;
type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
type ThisIdToken = IdToken<
    OtherClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;
type ExchangeError = RequestTokenError<OutboundError, StandardErrorResponse<CoreErrorResponseType>>;

/// Who somebody is, as their identity provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: UserId,
    /// Whether they belong to the group of operators.
    pub(crate) operator: bool,
}

/// Why nobody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignInError {
    /// The provider cannot be reached, or does not answer as it should. The log has why.
    NoAnswer,
    /// What the browser came back with is not good, for this reason.
    Refused(&'static str),
    /// So many come back at this moment that the provider is not asked for one more.
    Busy,
    /// There are no random bytes.
    NoEntropy(EntropyError),
}

impl From<EntropyError> for SignInError {
    fn from(error: EntropyError) -> Self {
        Self::NoEntropy(error)
    }
}

/// The identity provider of the console.
pub(crate) struct Provider {
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    scopes: Vec<Scope>,
    groups_claim: String,
    admin_group: Option<String>,
    redirect: RedirectUrl,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    discovery: Discovery,
    outbound: OnceLock<Outbound>,
    asking: Semaphore,
    /// What the provider did not answer, in the log.
    logged: Sparing,
}

impl Provider {
    pub(crate) fn new(settings: &OidcSettings, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        let Issuer(issuer) = &settings.issuer;
        let redirect = format!("{}{CALLBACK}", settings.public_url);
        let secret = settings.client_secret.as_ref();
        Self {
            client_id: ClientId::new(settings.client_id.clone()),
            client_secret: secret.map(|it| ClientSecret::new(it.expose_secret().to_owned())),
            scopes: settings.scopes.iter().cloned().map(Scope::new).collect(),
            groups_claim: settings.groups_claim.clone(),
            admin_group: settings.admin_group.clone(),
            // infallible: a path of ours after an origin
            redirect: RedirectUrl::new(redirect).expect("an origin and a path are a URL"),
            timeout,
            discovery: Discovery::new(issuer.clone(), clock.clone()),
            clock,
            outbound: OnceLock::new(),
            asking: Semaphore::new(AT_ONCE),
            logged: Sparing::default(),
        }
    }

    /// Whether there are operators who come this way.
    pub(crate) fn has_operators(&self) -> bool {
        self.admin_group.is_some()
    }

    /// What people call it: its host.
    pub(crate) fn name(&self) -> &str {
        self.issuer().url().host_str().unwrap_or_default()
    }

    /// Whether an answer that says which provider it is of (RFC 9207) is of this one.
    pub(crate) fn is_called(&self, issuer: &str) -> bool {
        self.issuer().as_str() == issuer
    }

    fn issuer(&self) -> &IssuerUrl {
        self.discovery.issuer()
    }

    /// Where a browser goes to sign in, and what it keeps until it comes back.
    pub(crate) async fn begin(&self, entropy: &dyn Entropy) -> Result<(Url, Attempt), SignInError> {
        let attempt = Attempt::new(entropy)?;
        let metadata = self.discovery.metadata(self.outbound()?).await?;
        let client = self.client(&metadata);
        let (state, nonce) = (attempt.state(), attempt.nonce());
        let (url, ..) = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(attempt.challenge())
            .url();
        Ok((url, attempt))
    }

    /// Who came back with this code, in the browser that keeps `attempt`.
    pub(crate) async fn finish(
        &self,
        code: String,
        attempt: &Attempt,
    ) -> Result<Identity, SignInError> {
        let _one_of_few = self.asking.try_acquire().map_err(|_| SignInError::Busy)?;
        let outbound = self.outbound()?;
        let metadata = self.discovery.metadata(outbound).await?;
        let client = self.client(&metadata);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| self.no_answer("names no token endpoint", &error))?
            .set_pkce_verifier(attempt.verifier());
        let tokens = request.request_async(outbound).await;
        let tokens = tokens.map_err(|error| self.not_exchanged(&error))?;
        let token = tokens.id_token().ok_or_else(|| {
            self.not_taken("there is none");
            SignInError::Refused("the identity provider did not say who you are")
        })?;
        let claims = match self.verified(token, &metadata, attempt) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                // The provider may have begun to sign with another key.
                let metadata = self.discovery.newer_than(&metadata, outbound).await?;
                self.verified(token, &metadata, attempt)
            }
            verified => verified,
        };
        let claims = claims.map_err(|error| self.not_believed(&error))?;
        let id = UserId::new(claims.subject().as_str()).map_err(|_| {
            self.not_taken("its sub is no id of a user");
            SignInError::Refused(
                "your id at the identity provider cannot be a user's here: it must have 1 to 255 characters, none of \
                 them a control character, and no white space at either end",
            )
        })?;
        let operator = match &self.admin_group {
            None => false,
            Some(group) => {
                let access = tokens.access_token();
                self.is_operator(group, claims, access, &client, outbound)
                    .await?
            }
        };
        Ok(Identity { id, operator })
    }

    /// The claims of a token that was made now, by this provider, for this server and for this attempt (§3.1.3.7).
    fn verified<'t>(
        &self,
        token: &'t ThisIdToken,
        metadata: &Metadata,
        attempt: &Attempt,
    ) -> Result<&'t Claims, ClaimsVerificationError> {
        let now = self.clock.now().as_micros();
        // What lies beyond the calendar lies beyond every expiry.
        let now = DateTime::from_timestamp_micros(now).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let announced = metadata.id_token_signing_alg_values_supported();
        let allowed = announced.iter().filter(|one| is_by_public_key(one));
        let verifier = IdTokenVerifier::new_public_client(
            self.client_id.clone(),
            self.issuer().clone(),
            metadata.jwks().clone(),
        )
        .set_allowed_algs(allowed.cloned())
        .set_time_fn(move || now);
        let claims = token.claims(&verifier, &attempt.nonce())?;
        // The library leaves this one to whoever uses it.
        match claims.authorized_party() {
            Some(party) if **party != **self.client_id => {
                let why = "it was made for another client (azp)".to_owned();
                Err(ClaimsVerificationError::InvalidAudience(why))
            }
            _ => Ok(claims),
        }
    }

    /// Whether somebody is of the group, by the ID token, or by the userinfo endpoint (§5.3) where that says nothing.
    async fn is_operator(
        &self,
        group: &str,
        claims: &Claims,
        access: &AccessToken,
        client: &Client,
        outbound: &Outbound,
    ) -> Result<bool, SignInError> {
        if let Some(groups) = claims.additional_claims().named(&self.groups_claim) {
            return Ok(is_member(groups, group));
        }
        let subject = claims.subject().clone();
        let Ok(request) = client.user_info(access.clone(), Some(subject)) else {
            return Ok(false);
        };
        let asked = request.request_async(outbound).await;
        let info: UserInfoClaims<OtherClaims, CoreGenderClaim> =
            asked.map_err(|error| match error {
                UserInfoError::ClaimsVerification(why) => self.not_believed(&why),
                _ => self.no_answer("does not say who somebody is", &error),
            })?;
        let groups = info.additional_claims().named(&self.groups_claim);
        Ok(groups.is_some_and(|groups| is_member(groups, group)))
    }

    fn client(&self, metadata: &Metadata) -> Client {
        let client = Client::from_provider_metadata(
            metadata.clone(),
            self.client_id.clone(),
            self.client_secret.clone(),
        );
        let how = metadata.token_endpoint_auth_methods_supported();
        let takes = |one| how.is_none_or(|all| all.contains(&one));
        let how = if takes(CoreClientAuthMethod::ClientSecretBasic) {
            AuthType::BasicAuth
        } else {
            AuthType::RequestBody
        };
        client
            .set_auth_type(how)
            .set_redirect_uri(self.redirect.clone())
    }

    fn outbound(&self) -> Result<&Outbound, SignInError> {
        if let Some(outbound) = self.outbound.get() {
            return Ok(outbound);
        }
        let made = Outbound::new(self.timeout);
        let made = made.map_err(|error| self.no_answer("cannot be asked", &error))?;
        Ok(self.outbound.get_or_init(|| made))
    }

    /// Why a code was not exchanged: of what the provider may say, only this blames the code (RFC 6749 §5.2).
    fn not_exchanged(&self, error: &ExchangeError) -> SignInError {
        let about_code = CoreErrorResponseType::InvalidGrant;
        match error {
            RequestTokenError::ServerResponse(said) if *said.error() == about_code => {
                SignInError::Refused("the identity provider does not know this sign-in any more")
            }
            _ => self.no_answer("exchanges no code", error),
        }
    }

    fn no_answer(&self, what: &str, error: &dyn std::error::Error) -> SignInError {
        if self.logged.is_due(self.clock.uptime()) {
            let (issuer, error) = (self.issuer().as_str(), told(error));
            tracing::warn!(issuer, error, "the identity provider {what}");
        }
        SignInError::NoAnswer
    }

    fn not_believed(&self, error: &ClaimsVerificationError) -> SignInError {
        self.not_taken(&told(error));
        SignInError::Refused("what the identity provider says of you cannot be believed")
    }

    fn not_taken(&self, why: &str) {
        let issuer = self.issuer().as_str();
        tracing::warn!(
            issuer,
            why,
            "what the identity provider says of somebody was not taken"
        );
    }
}

/// Whether a signature of this algorithm is checked with a published key. A secret that two share would let each of them
/// speak for the other.
fn is_by_public_key(algorithm: &CoreJwsSigningAlgorithm) -> bool {
    use CoreJwsSigningAlgorithm as Is;
    matches!(
        algorithm,
        Is::RsaSsaPkcs1V15Sha256
            | Is::RsaSsaPkcs1V15Sha384
            | Is::RsaSsaPkcs1V15Sha512
            | Is::RsaSsaPssSha256
            | Is::RsaSsaPssSha384
            | Is::RsaSsaPssSha512
            | Is::EcdsaP256Sha256
            | Is::EcdsaP384Sha384
            | Is::EdDsa
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_reached_over_tls_or_on_this_machine() {
        for good in [
            "https://id.example",
            "https://id.example/realms/a",
            "http://127.0.0.1:9",
            "http://localhost:9/",
        ] {
            assert!(Issuer::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "http://id.example",
            "https://u:p@id.example",
            "https://id.example/?a",
            "https://id.example/#a",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_signed_with_a_shared_secret_or_not_at_all_is_not_taken() {
        use CoreJwsSigningAlgorithm as Is;
        for bad in [Is::HmacSha256, Is::HmacSha384, Is::HmacSha512, Is::None] {
            assert!(!is_by_public_key(&bad), "{bad:?}");
        }
        assert!(is_by_public_key(&Is::RsaSsaPkcs1V15Sha256) && is_by_public_key(&Is::EdDsa));
    }
}
