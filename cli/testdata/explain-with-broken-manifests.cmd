explain --manifests manifests/unusable --consumer SE2329990001-APP1 --contract urn:riv:crm:scheduling:MakeBookingResponder:1 --address SE2329990001-E500 --at 2026-06-01
