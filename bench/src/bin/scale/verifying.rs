//! The verifier in this process, as the server has it.

use std::sync::Arc;
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::SystemClock;
use keywright_bench::database::Database;
use keywright_bench::population::Population;
use keywright_core::ambient::Clock as _;
use keywright_core::decision::{Code, Question};
use keywright_engine::{Lease, Verifier, VerifierOptions};
use keywright_store::Store;
use tokio::task::JoinSet;

/// What every service asks.
const QUESTION: Question<'static, &str> = Question {
    permissions: &["READ_GRAPH"],
    keyspace: None,
};

/// A store, its keys, and a verifier that remembers nothing yet.
#[derive(Clone)]
pub(crate) struct Verifying {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) population: Population,
    verifier: Verifier,
    _taking_uses: Arc<JoinSet<()>>,
}

impl Verifying {
    pub(crate) async fn on(database: &Database, cache_keys: u64) -> Outcome<Self> {
        let store = database.open().await?;
        let options = VerifierOptions {
            cache_keys: usize::try_from(cache_keys)?,
            ..VerifierOptions::default()
        };
        // Nobody else changes the database meanwhile.
        let lease = Lease::endless();
        let verifier = Verifier::new(store.clone(), Arc::new(SystemClock), lease, options);
        // What is counted must be taken, or the queue is full soon; it is not written, as a server does every few
        // seconds.
        let uses = verifier.uses().clone();
        let mut taking_uses = JoinSet::new();
        taking_uses.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                uses.take(SystemClock.now());
            }
        });
        Ok(Self {
            population: Population::of(&*store).await?,
            verifier,
            store,
            _taking_uses: Arc::new(taking_uses),
        })
    }

    /// Verifies a text, which must be good.
    pub(crate) async fn verify(&self, text: &str) -> Outcome {
        match self
            .verifier
            .verify(text, &QUESTION, |decision| decision.code)
            .await?
        {
            Code::Valid => Ok(()),
            code => Err(format!("a good key was {}", code.as_str()).into()),
        }
    }

    /// Verifies a text from memory alone; tells whether it was good.
    pub(crate) fn is_good_from_memory(&self, text: &str) -> bool {
        let code = self
            .verifier
            .decide_from_memory(text, &QUESTION, |decision| decision.code);
        code == Some(Code::Valid)
    }
}
