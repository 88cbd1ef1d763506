#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| negotiation_fuzz::manifest(bytes));
