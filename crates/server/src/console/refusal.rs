//! What was refused, as a page.

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::page::{Frame, Page, Section, page_with};
use super::theme::Theme;
use super::visitor::Visitor;
use crate::exchange::Exchange;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "console/refusal.html")]
struct Refusal<'a> {
    frame: Frame,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
}

/// Who was found to be signed in while a request was answered, for what stands around a refusal.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<OnceLock<Frame>>);

impl Seen {
    pub(super) fn note(&self, visitor: &Visitor) {
        // Somebody who is found twice is the same.
        let _ = self.0.set(Frame::of(visitor, "", Section::Account));
    }
}

/// Writes every problem of the console's pages as a page, those of the libraries too.
pub(super) async fn as_a_page(mut request: Request, next: Next) -> Response {
    let seen = Seen::default();
    request.extensions_mut().insert(seen.clone());
    let about = About {
        seen,
        ..About::of(&request)
    };
    let mut response = next.run(request).await;
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if !is_error || response.extensions().get::<Page>().is_some() {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.unwrap_or_else(|| Problem::of_status(response.status()));
    let mut page = about.page(&problem);
    // Allow, above all.
    response.headers_mut().remove(CONTENT_LENGTH);
    for (name, value) in response.headers() {
        page.headers_mut().entry(name).or_insert(value.clone());
    }
    page
}

/// Where there is nothing: a page for people, and a problem for programs.
pub(super) async fn nothing_here(request: Request) -> Response {
    let problem = Problem::of_status(StatusCode::NOT_FOUND);
    let accepted = request.headers().get_all(ACCEPT).iter();
    let is_person = accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"));
    if is_person && !request.uri().path().starts_with("/api/") {
        About::of(&request).page(&Problem::not_found("there is no page at this address"))
    } else {
        problem.into_response()
    }
}

/// What a refusal takes from the request.
struct About {
    seen: Seen,
    theme: Theme,
    exchange: Option<Exchange>,
}

impl About {
    fn of(request: &Request) -> Self {
        Self {
            seen: Seen::default(),
            theme: Theme::chosen(request.headers()),
            exchange: request.extensions().get::<Exchange>().cloned(),
        }
    }

    fn page(&self, problem: &Problem) -> Response {
        let status = problem.status();
        let title = status.canonical_reason().unwrap_or("Error");
        let frame = match self.seen.0.get() {
            Some(frame) => frame.clone().nowhere(title),
            None => Frame::public(title, self.theme),
        };
        let template = Refusal {
            frame,
            status: status.as_u16(),
            detail: problem.detail(),
            request_id: self
                .exchange
                .as_ref()
                .map_or("", |exchange| &exchange.request_id),
        };
        refused_page(problem, &template)
    }
}

/// A page that tells of a problem, with what its headers say: how long to wait, say.
pub(super) fn refused_page(problem: &Problem, template: &impl Template) -> Response {
    let status = match problem.status() {
        // A challenge would have the browser ask for a password.
        StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        status => status,
    };
    let mut page = page_with(status, template);
    let headers = problem.headers().iter().cloned();
    let headers = headers.filter(|(name, _)| name != WWW_AUTHENTICATE);
    page.headers_mut().extend(headers);
    page
}
