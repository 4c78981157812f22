//! Forms: what stands in them, and that they come from a page of this server.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::response::{IntoResponse, Response};
use keywright_api::ErrorCode;

use super::visitor::Visitor;
use crate::extract::read_body;
use crate::problem::Problem;
use crate::state::AppState;

/// The largest form of anybody, in bytes.
const LIMIT: usize = 64 * 1024;
/// And of whoever is signed in: 64 permissions can be described by 500 characters each, and browsers write some characters
/// with nine.
const LIMIT_OF_VISITORS: usize = 512 * 1024;

/// The fields of a form, in their order.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first of this name; empty where there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Whether there is one of this name, if only an empty one.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The first of this name, if anything stands in it.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.one(name)).filter(|value| !value.is_empty())
    }

    /// All of this name.
    pub(super) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        let Self(fields) = self;
        let of_name = fields.iter().filter(move |(found, _)| found == name);
        of_name.map(|(_, value)| value.as_str())
    }
}

/// A form of a page of this server, of whoever it may be.
pub(super) struct OwnForm(pub(super) Fields);

impl FromRequest<AppState> for OwnForm {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        is_own(request.headers(), state)?;
        read(request, LIMIT, state).await.map(Self)
    }
}

/// A form of somebody who is signed in, from a page that was made for them.
pub(super) struct Posted {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

impl FromRequest<AppState> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        is_own(&parts.headers, state).map_err(IntoResponse::into_response)?;
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let read = read(request, LIMIT_OF_VISITORS, state).await;
        let fields = read.map_err(IntoResponse::into_response)?;
        if !visitor.has_sent(fields.one("csrf")) {
            return Err(forged().into_response());
        }
        Ok(Self { visitor, fields })
    }
}

fn forged() -> Problem {
    Problem::new(
        ErrorCode::MalformedRequest,
        "this form does not come from a page of this session: go back, load the page again, and send it from there",
    )
}

/// Refuses what a page of another origin sent. Browsers tell the origin of every form.
fn is_own(headers: &HeaderMap, state: &AppState) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    // A proxy may have changed the host; who set the server up has said what browsers see.
    if let Some(url) = &state.public_url {
        if origin.as_bytes() == url.origin().as_bytes() {
            return Ok(());
        }
        let detail = format!("forms are taken from the console at {url} only: open it there");
        return Err(Problem::new(ErrorCode::MalformedRequest, detail));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
    match (origin, host) {
        (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(forged()),
    }
}

async fn read(request: Request<Body>, limit: usize, state: &AppState) -> Result<Fields, Problem> {
    let kind = request.headers().get(CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(Problem::new(
            ErrorCode::UnsupportedMediaType,
            "a form is sent as application/x-www-form-urlencoded",
        ));
    }
    let body = read_body(request, limit, state).await?;
    let fields = serde_urlencoded::from_bytes(&body).map_err(|_| {
        Problem::new(
            ErrorCode::MalformedRequest,
            "this is not a form as browsers send it",
        )
    })?;
    Ok(Fields(fields))
}
