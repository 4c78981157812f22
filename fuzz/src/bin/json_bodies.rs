//! `scripts/fuzz json-bodies`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright_fuzz::json_bodies(data));
