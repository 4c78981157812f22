//! `scripts/fuzz permission-names`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright_fuzz::permission_names(data));
