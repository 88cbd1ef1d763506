#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pulse_fuzz::frames::frame(bytes);
});
