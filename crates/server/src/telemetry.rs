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

/// Those of decisions from memory, most of which take less than the shortest of the others.
const DECISION_SECONDS: [f64; 12] = [
    1e-7, 2e-7, 3e-7, 5e-7, 7.5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 2.5e-5, 1e-4, 1e-3,
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
                .and_then(|builder| {
                    let name = Matcher::Full("keywright_decision_seconds".to_owned());
                    builder.set_buckets_for_metric(name, &DECISION_SECONDS)
                })
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
        if let Some(membership) = &state.membership {
            membership.publish(state.verifier.lease());
        }
        self.0.run_upkeep();
        self.0.render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_from_memory_have_buckets_of_their_own() {
        let text = MetricsText::install();
        metrics::histogram!("keywright_decision_seconds").record(2.5e-7);
        text.0.run_upkeep();
        let rendered = text.0.render();
        for bucket in [
            r#"keywright_decision_seconds_bucket{le="0.0000002"} 0"#,
            r#"keywright_decision_seconds_bucket{le="0.0000003"} 1"#,
        ] {
            assert!(rendered.contains(bucket), "{rendered}");
        }
    }
}
