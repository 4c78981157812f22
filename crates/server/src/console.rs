//! The web console: pages for people, served at `/` by the same process.
//!
//! A page is made from a template of `templates/console`, and every task is a form that works without any script. What a
//! form asks for is done by the same functions as the API's, by the same rules and with the same waiting; the console
//! adds who is signed in ([`visitor`]), that a form comes from its own pages ([`posted`]), and how things are shown.

mod account;
mod assets;
mod audit;
mod audit_export;
mod by_provider;
mod catalogue;
mod census;
mod chart;
mod cluster;
mod flow;
mod form;
mod key;
mod key_forms;
mod keys;
mod keyspace;
mod keyspaces;
mod link;
mod moment;
mod new_key;
mod number;
mod overview;
mod page;
mod posted;
mod refusal;
mod search;
mod selected;
mod service_keys;
mod shown;
mod sign_in;
mod theme;
mod user;
mod users;
mod visitor;

use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Router, middleware};

pub(crate) use self::census::Census;
pub(crate) use self::page::Page;
pub(crate) use self::visitor::LIFETIME;
use crate::oidc::CALLBACK;
use crate::state::AppState;

/// Every page and every form.
pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/keys") }))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-in/provider", get(by_provider::go))
        .route(CALLBACK, get(by_provider::come_back))
        .route("/sign-out", post(account::sign_out))
        .route("/theme", post(theme::choose))
        .route("/account", get(account::show))
        .route(
            "/account/sign-out-everywhere",
            post(account::sign_out_everywhere),
        )
        .route("/account/sessions/{id}/end", post(account::end_session))
        .route("/overview", get(overview::show))
        .route(overview::LIVE, get(overview::live))
        .route("/keys", get(keys::list).post(new_key::create))
        .route("/keys/new", get(new_key::show))
        .route("/keys/search", post(keys::search))
        .route("/keys/selected", post(selected::choose))
        .route("/keys/selected/revoke", post(selected::revoke))
        .route("/keys/{id}", get(key::show).post(key_forms::update))
        .route(
            "/keys/{id}/permissions",
            post(key_forms::replace_permissions),
        )
        .route("/keys/{id}/suspend", post(key_forms::suspend))
        .route("/keys/{id}/reactivate", post(key_forms::reactivate))
        .route("/keys/{id}/revoke", post(key_forms::revoke))
        .route(
            "/service-keys",
            get(service_keys::list).post(new_key::create_service),
        )
        .route("/service-keys/new", get(new_key::show_service))
        .route("/users/search", post(users::search))
        .route("/users", get(users::list))
        .route("/user", get(user::show))
        .route("/user/delete", post(user::delete))
        .route("/keyspaces", get(keyspaces::list).post(keyspaces::create))
        .route("/new-keyspace", get(keyspaces::form))
        .route(
            "/keyspaces/{name}",
            get(keyspace::show).post(keyspace::update),
        )
        .route("/keyspaces/{name}/descriptions", post(keyspace::describe))
        .route("/keyspaces/{name}/permissions", post(keyspace::add))
        .route("/audit/search", post(audit::search))
        .route("/audit", get(audit::list))
        .route("/audit/export", get(audit_export::export))
        .route("/cluster", get(cluster::show))
        .layer(middleware::from_fn(refusal::as_a_page))
        .merge(assets::router())
        .layer(page::compression())
        .fallback(refusal::nothing_here)
}
