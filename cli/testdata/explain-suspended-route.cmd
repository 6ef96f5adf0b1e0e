explain --manifests manifests/suspicious --config platform.yaml --consumer SE2329990001-APP1 --contract urn:riv:crm:scheduling:MakeBooking:1 --address SE2329990001-E300 --at 2026-06-01
