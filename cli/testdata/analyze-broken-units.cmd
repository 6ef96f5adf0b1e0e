analyze manifests/units --hsa-units manifests/units/broken.xml --at 2026-06-01
