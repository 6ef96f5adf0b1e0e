explain --manifests manifests/usable --consumer SE2329990001-JRN1 --contract urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2 --address SE2329990001-E100 --at 2026-06-01
