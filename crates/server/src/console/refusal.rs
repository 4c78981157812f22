//! What was refused, as a page.

use askama::Template;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::page::{Frame, page_with};
use super::theme::Theme;
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

/// Writes every problem of the console's pages as a page.
pub(super) async fn as_a_page(request: Request, next: Next) -> Response {
    let theme = Theme::chosen(request.headers());
    let exchange = request.extensions().get::<Exchange>().cloned();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let status = problem.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let template = Refusal {
        frame: Frame::public(title, theme),
        status: status.as_u16(),
        detail: problem.detail(),
        request_id: exchange
            .as_ref()
            .map_or("", |exchange| &exchange.request_id),
    };
    page_with(status, &template)
}
