#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| butterfly_fuzz::recording(data));
