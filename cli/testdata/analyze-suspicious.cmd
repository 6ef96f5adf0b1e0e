analyze manifests/suspicious --config platform.yaml --at 2026-06-01
