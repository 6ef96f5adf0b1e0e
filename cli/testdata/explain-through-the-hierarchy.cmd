explain --manifests manifests/units --hsa-units manifests/units/hsaunits.xml --consumer SE2329990001-APP1 --contract urn:riv:crm:scheduling:MakeBooking:1 --address se2329990001-e110 --at 2026-06-01
