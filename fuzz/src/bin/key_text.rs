//! `scripts/fuzz key-text`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright_fuzz::key_text(data));
