#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rivmesh_dataplane::fuzzing::http1_response(data));
