//! The least that axum can do for `POST /api/verify`: the question read into the same type, an answer of the same
//! type and size written out, one worker. `http` measures it.

use std::net::SocketAddr;

use axum::serve::ListenerExt as _;
use axum::{Json, Router, routing};
use clap::Parser;
use keywright_api::{Verification, VerifyKey};
use keywright_bench::Outcome;
use tokio::net::TcpListener;

/// Answers every verification alike.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// The answer, as JSON
    #[arg(long)]
    answer: String,
}

fn main() -> Outcome {
    let options = Options::parse();
    // Written out from where it is for every request; a handler that copied it would do more than nothing.
    let answer: &'static Verification = Box::leak(serde_json::from_str(&options.answer)?);
    let handler = move |Json(question): Json<VerifyKey>| async move {
        std::hint::black_box(&question);
        Json(answer)
    };
    let router = Router::new().route("/api/verify", routing::post(handler));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?.tap_io(|stream| {
            // As Keywright does. Where it fails, nothing but the delay changes.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    })
}
