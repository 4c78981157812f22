//! How users sign in to the console.

use keywright_server::{OidcSettings, PublicUrl};

use super::file::ConfigurationFile;
use super::options::OidcOptions;
use super::{secret_of_the_environment, value};
use crate::failure::Failure;

/// The claim of groups where nobody named one.
const GROUPS_CLAIM: &str = "groups";

/// The identity provider of the console, if there is one: `options` over the environment's secret and the file.
///
/// # Errors
/// Where one option lacks another.
pub(super) fn resolve(
    mut options: OidcOptions,
    file: &ConfigurationFile,
    public_url: Option<&PublicUrl>,
) -> Result<Option<OidcSettings>, Failure> {
    options.oidc_client_secret =
        secret_of_the_environment("KEYWRIGHT_OIDC_CLIENT_SECRET")?.map(value::SecretText);
    let options = file.under(options)?;
    let Some(issuer) = options.oidc_issuer else {
        return match options.only_with_issuer() {
            None => Ok(None),
            Some(option) => Err(Failure::usage(format!(
                "{option} does nothing without --oidc-issuer: name the identity provider whose users sign in to \
                     the console, or leave {option} out"
            ))),
        };
    };
    let client_id = options.oidc_client_id.filter(|id| !id.is_empty());
    let client_id = client_id.ok_or_else(|| {
            Failure::usage(
                "--oidc-issuer needs --oidc-client-id: the id of the client that is registered for this server at the \
                 identity provider",
            )
        })?;
    let public_url = public_url.cloned().ok_or_else(|| {
            Failure::usage(
                "--oidc-issuer needs --public-url, such as https://keys.example.com: browsers come back there, and the \
                 identity provider must know the redirect URI, which is the public URL and /sign-in/callback",
            )
        })?;
    Ok(Some(OidcSettings {
        issuer: issuer.0,
        client_id,
        client_secret: options.oidc_client_secret.map(|secret| secret.0),
        scopes: options
                .oidc_scope
                .into_iter()
                .flatten()
                .map(|scope| scope.0)
                // It is asked for in any case.
                .filter(|scope| scope != "openid")
                .collect(),
        groups_claim: options
            .oidc_groups_claim
            .unwrap_or_else(|| GROUPS_CLAIM.to_owned()),
        // That of an empty name is nobody's.
        admin_group: options.admin_group.filter(|group| !group.is_empty()),
        public_url,
    }))
}
