//! How long things take is measured.

use super::*;

/// Notes the operations that are measured.
#[derive(Clone, Default)]
struct Operations(Arc<Mutex<Vec<String>>>);

impl metrics::Recorder for Operations {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::noop()
    }
    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }
    fn register_histogram(
        &self,
        key: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        let operation = key.labels().find(|label| label.key() == "operation");
        self.0
            .lock()
            .unwrap()
            .push(operation.unwrap().value().to_owned());
        metrics::Histogram::noop()
    }
}

#[tokio::test]
async fn what_is_asked_of_the_store_is_measured_once_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let operations = Operations::default();
    let recording = metrics::set_default_local_recorder(&operations);
    let alice = UserId::new("alice").unwrap();
    for _ in 0..2 {
        store
            .ensure_user(&alice, Timestamp::from_micros(1))
            .await
            .unwrap();
    }
    store.find_user(&alice).await.unwrap();
    drop(recording);
    assert_eq!(
        *operations.0.lock().unwrap(),
        ["ensure_user", "ensure_user", "find_user"]
    );
}
