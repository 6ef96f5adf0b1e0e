analyze manifests/units --hsa-units manifests/units/hsaunits.xml --at 2026-06-01
