//! One file a route: its documentation, its handler and what it can answer.

pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod cluster;
mod docs;
mod health;
pub(crate) mod keyspaces;
mod metrics;
mod usage;
pub(crate) mod users;
pub(crate) mod verify;
mod whoami;

use axum::Router;

use crate::app::{Endpoints, endpoint};
use crate::state::AppState;

/// Every documented route.
pub(crate) fn endpoints() -> Endpoints {
    let mut endpoints = Endpoints::default();
    endpoint!(endpoints, api_keys::create::generate_api_key);
    endpoint!(endpoints, api_keys::list::list_user_api_keys);
    endpoint!(endpoints, api_keys::show::get_api_key);
    endpoint!(endpoints, api_keys::usage::read_key_usage);
    endpoint!(endpoints, api_keys::update::update_api_key, propagates);
    endpoint!(endpoints, api_keys::revoke::revoke_api_key, propagates);
    endpoint!(endpoints, api_keys::suspend::suspend_api_key, propagates);
    endpoint!(
        endpoints,
        api_keys::reactivate::reactivate_api_key,
        propagates
    );
    endpoint!(
        endpoints,
        api_keys::permissions::update_api_key_permissions,
        propagates
    );
    endpoint!(endpoints, verify::one::validate_api_key);
    endpoint!(endpoints, verify::batch::validate_api_keys);
    endpoint!(endpoints, whoami::show::whoami);
    endpoint!(endpoints, whoami::revoke::revoke_presented_key, propagates);
    endpoint!(endpoints, keyspaces::create::create_keyspace, propagates);
    endpoint!(endpoints, keyspaces::list::list_keyspaces);
    endpoint!(endpoints, keyspaces::show::get_keyspace);
    endpoint!(endpoints, keyspaces::update::update_keyspace, propagates);
    endpoint!(endpoints, users::list::list_users);
    endpoint!(endpoints, users::show::get_user);
    endpoint!(endpoints, users::keys::list_keys_of_user);
    endpoint!(endpoints, users::delete::delete_user, propagates);
    endpoint!(endpoints, audit::list_audit_log);
    endpoint!(endpoints, usage::read_usage);
    endpoint!(endpoints, cluster::read_cluster);
    endpoint!(endpoints, health::live);
    endpoint!(endpoints, health::ready);
    endpoints
}

/// The OpenAPI document and the page that shows it: for anybody, and not part of the document themselves.
pub(crate) fn documentation() -> Router<AppState> {
    docs::router()
}

/// `/metrics`: for anybody who reaches the listener, and not part of the document.
pub(crate) fn metrics() -> Router<AppState> {
    metrics::router()
}
