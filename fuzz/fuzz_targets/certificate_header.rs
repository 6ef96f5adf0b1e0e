#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rivmesh_rivta::fuzzing::certificate_header(data));
