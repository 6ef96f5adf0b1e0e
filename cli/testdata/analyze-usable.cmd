analyze manifests/usable --at 2026-06-01
