//! What the pure steps of a verification and of a creation cost: `cargo bench -p keywright-core`.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use keywright_core::ambient::{Entropy, EntropyError};
use keywright_core::decision::{Facts, Question, decide};
use keywright_core::digest::Digest;
use keywright_core::key_text::{KeyText, TagKey, TagKeys, WellFormed};
use keywright_core::keyspace::Keyspace;
use keywright_core::lifecycle::Status;
use keywright_core::permission::Grants;
use keywright_core::timestamp::Timestamp;

/// A cheap generator, so that minting is measured and not the system call.
struct Cheap(AtomicU64);

impl Entropy for Cheap {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&(z ^ (z >> 27)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

fn steps(criterion: &mut Criterion) {
    let entropy = Cheap(AtomicU64::new(1));
    let [keyspace, _] = Keyspace::built_in(Timestamp::from_micros(0));
    let tag_keys = TagKeys::new(TagKey::generate(&entropy).expect("this generator always gives"));
    let mint = || {
        KeyText::mint(&keyspace.prefix, tag_keys.newest(), &entropy)
            .expect("this generator always gives")
    };
    let text = mint();
    let well_formed = WellFormed::parse(text.expose()).expect("a minted key is well-formed");
    let facts = Facts {
        status: Status::Active,
        expires_at: None,
        grants: Grants(0b1111),
    };
    let question = Question {
        permissions: &["READ_GRAPH"],
        keyspace: None,
    };

    criterion.bench_function("mint", |bencher| bencher.iter(mint));
    criterion.bench_function("parse_and_check", |bencher| {
        bencher.iter(|| WellFormed::parse(black_box(text.expose())).is_some());
    });
    criterion.bench_function("tag", |bencher| {
        bencher.iter(|| tag_keys.made(black_box(&well_formed)));
    });
    criterion.bench_function("digest", |bencher| {
        bencher.iter(|| Digest::of(black_box(text.expose())));
    });
    criterion.bench_function("decide", |bencher| {
        bencher.iter(|| {
            decide(
                black_box(facts),
                &keyspace,
                &question,
                Timestamp::from_micros(1),
            )
        });
    });
}

criterion_group!(benches, steps);
criterion_main!(benches);
