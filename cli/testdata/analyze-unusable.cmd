analyze manifests/unusable --at 2026-06-01
