#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudschool_fuzz_targets::run("describe", data));
