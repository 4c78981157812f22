//! Metrics in the Prometheus text format. The names are listed in docs/operations.md.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::state::AppState;

/// Upper bounds of the histograms' buckets, in seconds.
const SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
    5.0,
];

/// How often measurements are put into their buckets. At 100,000 requests a second 800 KB of them wait.
const UPKEEP: Duration = Duration::from_secs(1);

/// The process's metrics as text.
#[derive(Clone)]
pub(crate) struct MetricsText(PrometheusHandle);

impl MetricsText {
    /// The recorder of this process: one, however many servers it runs.
    pub(crate) fn install() -> Self {
        static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = RECORDER.get_or_init(|| {
            PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                // infallible: fails only for an empty list of buckets
                .expect("there are buckets")
                .install_recorder()
                // infallible: nothing else in this program installs one, and this runs once
                .expect("no other recorder is installed")
        });
        Self(handle.clone())
    }

    /// Puts what was measured into its buckets again and again, for ever: until then every single measurement is kept,
    /// and nobody need ever read them.
    pub(crate) async fn keep_small(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }

    pub(crate) fn render(&self, state: &AppState) -> String {
        let connections = state.store.connections();
        metrics::gauge!("keywright_store_connections", "state" => "open")
            .set(f64::from(connections.open));
        metrics::gauge!("keywright_store_connections", "state" => "idle")
            .set(f64::from(connections.idle));
        // What is still in the records of the keys counts as well.
        state.verifier.uses().take(state.clock.now());
        state.verifier.publish();
        self.0.run_upkeep();
        self.0.render()
    }
}
