//! The style sheet and the scripts, in the binary itself.
//!
//! Their paths name their content, so that browsers keep them for good. (`include_bytes!`: for six files a library that
//! embeds folders would be more than it replaces.)

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use keywright_core::digest::Digest;

use crate::state::AppState;

/// A file of the console.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    path: LazyLock<String, fn() -> String>,
}

pub(super) static STYLE: Asset = Asset {
    name: "console.css",
    kind: "text/css; charset=utf-8",
    content: include_str!("../../assets/console.css"),
    path: LazyLock::new(|| STYLE.named_by_content()),
};

pub(super) static SCRIPT: Asset = Asset {
    name: "console.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("../../assets/console.js"),
    path: LazyLock::new(|| SCRIPT.named_by_content()),
};

/// Copied from its package by `scripts/vendor-assets`.
pub(super) static HTMX: Asset = Asset {
    name: "htmx.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("../../assets/vendor/htmx.min.js"),
    path: LazyLock::new(|| HTMX.named_by_content()),
};

/// Copied from its package by `scripts/vendor-assets`; asked for by pages that have a chart.
pub(super) static CHARTS: Asset = Asset {
    name: "uplot.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("../../assets/vendor/uplot.min.js"),
    path: LazyLock::new(|| CHARTS.named_by_content()),
};

/// What goes with it.
pub(super) static CHARTS_STYLE: Asset = Asset {
    name: "uplot.css",
    kind: "text/css; charset=utf-8",
    content: include_str!("../../assets/vendor/uplot.min.css"),
    path: LazyLock::new(|| CHARTS_STYLE.named_by_content()),
};

pub(super) static ICON: Asset = Asset {
    name: "icon.svg",
    kind: "image/svg+xml",
    content: include_str!("../../assets/icon.svg"),
    path: LazyLock::new(|| ICON.named_by_content()),
};

static ALL: [&Asset; 6] = [&STYLE, &SCRIPT, &HTMX, &CHARTS, &CHARTS_STYLE, &ICON];

impl Asset {
    /// Where it is.
    pub(super) fn path(&'static self) -> &'static str {
        self.path.as_str()
    }

    fn named_by_content(&self) -> String {
        let digest = Digest::of(self.content);
        let first: [u8; 8] = digest.as_bytes()[..8].try_into().unwrap_or_default();
        format!("/assets/{:016x}/{}", u64::from_be_bytes(first), self.name)
    }
}

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/assets/{content}/{name}", get(asset))
}

async fn asset(Path((content, name)): Path<(String, String)>) -> Response {
    let asked = format!("/assets/{content}/{name}");
    // One of another version is not there: a page that is older than the process loads anew.
    match ALL.into_iter().find(|asset| asset.path() == asked) {
        Some(asset) => {
            let headers = [
                (CONTENT_TYPE, asset.kind),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
