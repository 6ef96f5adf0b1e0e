//! End-to-end tests, conformance and benches against the real binaries.
