analyze manifests/units --at 2026-06-01
