//! From a presented text to a decision.

use std::sync::Arc;

use keywright_core::ambient::Clock;
use keywright_core::decision::{Code, Facts, Question, decide};
use keywright_core::digest::Digest;
use keywright_core::key::KeyRecord;
use keywright_core::key_text::WellFormed;
use keywright_store::{Store, StoreError};

use crate::usage::UseLog;

/// A decision, with the key it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What was decided.
    pub code: Code,
    /// The key; `None` exactly with [`Code::NotFound`].
    pub record: Option<KeyRecord>,
}

/// Decides whether keys are good.
#[derive(Clone)]
pub struct Verifier {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    uses: UseLog,
}

impl Verifier {
    /// A verifier over `store`, which notes in `uses` what was good.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, uses: UseLog) -> Self {
        Self { store, clock, uses }
    }

    /// Decides about what was presented as a key (CONTRACT §4.2), and notes its use if it is good.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot tell: no answer is ever guessed.
    pub async fn verify<S: AsRef<str> + Sync>(
        &self,
        text: &str,
        question: &Question<'_, S>,
    ) -> Result<Verified, StoreError> {
        let found = self.find(text).await?;
        let now = self.clock.now();
        let code = found.as_ref().map_or(Code::NotFound, |record| {
            decide(Facts::from(&record.key), &record.keyspace, question, now)
        });
        count(code, found.as_ref());
        let record = found.filter(|_| code != Code::NotFound);
        if let (Code::Valid, Some(record)) = (code, &record) {
            self.uses.note(record.key.id, now);
        }
        Ok(Verified { code, record })
    }

    /// The key whose text this is, whatever its state. Text that is no key's by its form and check costs no query.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot tell.
    pub async fn find(&self, text: &str) -> Result<Option<KeyRecord>, StoreError> {
        if WellFormed::parse(text).is_none() {
            return Ok(None);
        }
        self.store.find_key_by_digest(&Digest::of(text)).await
    }
}

fn count(code: Code, found: Option<&KeyRecord>) {
    // The name of a keyspace goes into a label only where the key is known: what strangers send makes no series.
    let keyspace = found.map_or_else(String::new, |record| record.keyspace.name.to_string());
    metrics::counter!("keywright_decisions_total", "code" => code.as_str(), "keyspace" => keyspace)
        .increment(1);
}
