//! A page on its way to a browser, and what every page has.

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use keywright_core::keyspace::Operation;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

use super::assets;
use super::theme::Theme;
use super::visitor::Visitor;
use crate::problem::Problem;

/// Marks a response as written for a person already: [`crate::exchange`] leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page;

/// Pages load nothing from elsewhere, run no script that stands in them, send forms to their own server only, and stand in
/// no frame.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Where in the console a page belongs: an entry of the navigation each, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Keys,
    Users,
    Keyspaces,
    ServiceKeys,
    Audit,
    Cluster,
    Account,
}

impl Section {
    const ALL: [Self; 8] = [
        Self::Overview,
        Self::Keys,
        Self::Users,
        Self::Keyspaces,
        Self::ServiceKeys,
        Self::Audit,
        Self::Cluster,
        Self::Account,
    ];

    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/overview",
            Self::Keys => "/keys",
            Self::Users => "/users",
            Self::Keyspaces => "/keyspaces",
            Self::ServiceKeys => "/service-keys",
            Self::Audit => "/audit",
            Self::Cluster => "/cluster",
            Self::Account => "/account",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Keys => "Keys",
            Self::Users => "Users",
            Self::Keyspaces => "Keyspaces",
            Self::ServiceKeys => "Service keys",
            Self::Audit => "Audit",
            Self::Cluster => "Cluster",
            Self::Account => "Account",
        }
    }

    /// What an operator must hold to see its pages; those without are everybody's who is signed in.
    const fn needs(self) -> Option<Operation> {
        match self {
            Self::Keys | Self::Account => None,
            Self::Users => Some(Operation::UsersRead),
            Self::Keyspaces => Some(Operation::KeyspacesRead),
            Self::ServiceKeys => Some(Operation::KeysRead),
            Self::Overview | Self::Audit => Some(Operation::AuditRead),
            Self::Cluster => Some(Operation::ClusterRead),
        }
    }
}

/// A link of the navigation.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) title: &'static str,
    pub(super) is_here: bool,
}

/// What stands around the content of every page.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) title: String,
    /// The navigation: what the visitor may see.
    pub(super) entries: Vec<Entry>,
    /// `light` or `dark`; as the browser prefers where it is empty.
    theme: &'static str,
    /// Who is signed in.
    pub(super) visitor: Option<Signed>,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) htmx: &'static str,
    pub(super) icon: &'static str,
}

/// Who is signed in, as a page shows it.
#[derive(Clone)]
pub(super) struct Signed {
    pub(super) name: String,
    pub(super) csrf: String,
    pub(super) is_operator: bool,
}

impl Frame {
    /// Around a page that anybody may see.
    pub(super) fn public(title: impl Into<String>, theme: Theme) -> Self {
        Self {
            title: title.into(),
            entries: Vec::new(),
            theme: theme.as_str(),
            visitor: None,
            style: assets::STYLE.path(),
            script: assets::SCRIPT.path(),
            htmx: assets::HTMX.path(),
            icon: assets::ICON.path(),
        }
    }

    /// Around a page for somebody who is signed in.
    pub(super) fn of(visitor: &Visitor, title: impl Into<String>, section: Section) -> Self {
        let may_see = |one: &Section| one.needs().is_none_or(|needed| visitor.holds(needed));
        let entry = |one: Section| Entry {
            path: one.path(),
            title: one.title(),
            is_here: one == section,
        };
        Self {
            entries: Section::ALL
                .into_iter()
                .filter(may_see)
                .map(entry)
                .collect(),
            visitor: Some(Signed {
                name: visitor.name.clone(),
                csrf: visitor.csrf(),
                is_operator: visitor.is_operator(),
            }),
            ..Self::public(title, visitor.theme)
        }
    }

    /// The same around a page of no section.
    pub(super) fn nowhere(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        for entry in &mut self.entries {
            entry.is_here = false;
        }
        self
    }

    pub(super) fn has_theme(&self) -> bool {
        !self.theme.is_empty()
    }

    pub(super) fn theme(&self) -> &'static str {
        self.theme
    }
}

/// A page from its template.
pub(super) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

pub(super) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let mut response = (status, html).into_response();
            mark(&mut response);
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            Problem::internal().into_response()
        }
    }
}

/// A page that shows a secret. It is not compressed: its size would tell something of that.
pub(super) fn secret_page(template: &impl Template) -> Response {
    let mut response = page(template);
    response.extensions_mut().insert(Secret);
    response
}

#[derive(Clone, Copy)]
struct Secret;

/// Compresses what is worth it. (The token in each form is masked anew for each page, so that sizes tell nothing of it.)
pub(super) fn compression() -> CompressionLayer<impl Predicate> {
    let is_open = |_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions| {
        extensions.get::<Secret>().is_none()
    };
    CompressionLayer::new().compress_when(SizeAbove::default().and(is_open))
}

/// Gives a response the headers of a page.
fn mark(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        // Keys and names of people stand in pages, and one page shows the text of a key.
        (CACHE_CONTROL, "no-store"),
        // Not no-referrer: then forms would be sent from the origin `null`.
        (REFERRER_POLICY, "same-origin"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response.extensions_mut().insert(Page);
}
