//! The id of a request: what ties an answer, the log and the audit log together.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderName;
use keywright_core::ambient::{Entropy, EntropyError};
use keywright_core::identifier::time_ordered_id_at;
use keywright_core::key_text;
use keywright_core::timestamp::Timestamp;
use uuid::Uuid;

/// The header that carries a request's id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a client gave, if it can be taken: 1 to 64 characters that need no quoting in a log. A key is shorter than
/// that, so an id that holds one is not taken: somebody pasted it into the wrong header.
pub(crate) fn well_formed(given: &[u8]) -> Option<&str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    if !(1..=64).contains(&given.len()) || !given.iter().all(plain) {
        return None;
    }
    let id = str::from_utf8(given).ok()?;
    (!key_text::is_within(id)).then_some(id)
}

/// Random bytes that are drawn at once: 100 ids.
const BLOCK: usize = 1000;

/// Makes ids for requests that brought none: a `UUIDv7` each, from randomness that a thread draws in blocks. An id
/// is no secret, and a call of the system for each would cost more than the rest of a verification.
pub(crate) struct RequestIds {
    entropy: Arc<dyn Entropy>,
    /// Tells the servers of one process apart: a thread may work for several, and each has its own entropy.
    server: u64,
}

struct Drawn {
    server: u64,
    bytes: [u8; BLOCK],
    used: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const {
        RefCell::new(Drawn { server: 0, bytes: [0; BLOCK], used: BLOCK })
    };
}

impl RequestIds {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        static SERVERS: AtomicU64 = AtomicU64::new(1);
        Self {
            entropy,
            server: SERVERS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A new id, made at `now`.
    ///
    /// # Errors
    /// [`EntropyError`] where the generator gives no bytes.
    pub(crate) fn next(&self, now: Timestamp) -> Result<Uuid, EntropyError> {
        let random = DRAWN.with_borrow_mut(|drawn| drawn.take(self))?;
        Ok(time_ordered_id_at(now, &random))
    }
}

impl Drawn {
    fn take(&mut self, ids: &RequestIds) -> Result<[u8; 10], EntropyError> {
        if self.server != ids.server || self.used + 10 > BLOCK {
            self.used = BLOCK;
            ids.entropy.fill(&mut self.bytes)?;
            self.server = ids.server;
            self.used = 0;
        }
        let mut random = [0; 10];
        random.copy_from_slice(&self.bytes[self.used..self.used + 10]);
        self.used += 10;
        Ok(random)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::AtomicU8;

    use super::*;

    /// Every block it gives is filled with the next number.
    #[derive(Default)]
    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            for (place, byte) in buffer.iter_mut().enumerate() {
                *byte = number ^ u8::try_from(place / 10).unwrap_or(u8::MAX);
            }
            Ok(())
        }
    }

    struct Broken;

    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    const NOW: Timestamp = Timestamp::from_micros(1_795_338_000_000_000);

    #[test]
    fn ids_that_need_no_quoting_are_taken() {
        for good in [
            "a",
            "0192f0c1-6d1e-7c3a-9f00-000000000001",
            "req_1:2.3",
            &"x".repeat(64),
        ] {
            assert_eq!(well_formed(good.as_bytes()), Some(good));
        }
        for bad in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            assert_eq!(well_formed(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_block_of_randomness_makes_a_hundred_ids() {
        let source = Arc::new(Counting::default());
        let ids = RequestIds::new(source.clone());
        let made: HashSet<_> = (0..100).map(|_| ids.next(NOW).unwrap()).collect();
        assert_eq!(made.len(), 100);
        assert!(made.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(source.0.load(Ordering::Relaxed), 1);
        ids.next(NOW).unwrap();
        assert_eq!(source.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn no_server_takes_the_randomness_of_another() {
        let other = RequestIds::new(Arc::new(Counting::default()));
        other.next(NOW).unwrap();
        assert_eq!(
            RequestIds::new(Arc::new(Broken)).next(NOW),
            Err(EntropyError)
        );
    }
}
