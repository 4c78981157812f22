//! Creations through the store, without HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::Database;
use keywright_bench::population::{Population, attribution};
use keywright_core::authority::Caller;
use keywright_store::{KeyCreated, Store};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Contestant;

/// A store in this process, and tasks that make keys in it.
pub(crate) struct InProcess {
    store: Arc<dyn Store>,
    population: Population,
    next: Arc<AtomicU64>,
    clients: usize,
    runtime: Runtime,
    _database: Database,
}

impl InProcess {
    pub(crate) fn open(database: Database, clients: usize) -> Outcome<Self> {
        let runtime = Runtime::new()?;
        let store = runtime.block_on(database.open())?;
        let population = runtime.block_on(Population::of(&*store))?;
        Ok(Self {
            store,
            population,
            next: Arc::default(),
            clients,
            runtime,
            _database: database,
        })
    }

    /// One client: makes keys until the time is over, and tells how many.
    fn client(
        &self,
        watch: Stopwatch,
        time: Duration,
    ) -> impl Future<Output = Outcome<u32>> + Send + use<> {
        let (store, population) = (self.store.clone(), self.population.clone());
        let next = self.next.clone();
        async move {
            let mut made = 0;
            while watch.elapsed() < time {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let created = store
                    .create_key(population.record(n)?, Caller::Operator, attribution(n)?)
                    .await?;
                if created != KeyCreated::Done {
                    return Err("a key was refused".into());
                }
                made += 1;
            }
            Ok(made)
        }
    }
}

impl Contestant for InProcess {
    fn name(&self) -> String {
        "Keywright's store, in process".to_owned()
    }

    fn run(&mut self, time: Duration) -> Outcome<f64> {
        self.runtime.block_on(async {
            let watch = Stopwatch::start();
            let mut clients = JoinSet::new();
            for _ in 0..self.clients {
                clients.spawn(self.client(watch, time));
            }
            let mut made = 0;
            while let Some(client) = clients.join_next().await {
                made += client??;
            }
            Ok(f64::from(made) / watch.elapsed().as_secs_f64())
        })
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.runtime.block_on(self.store.close());
    }
}
