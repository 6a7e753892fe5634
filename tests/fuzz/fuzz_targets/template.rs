#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ci_bridge_fuzz::insist("template", input));
