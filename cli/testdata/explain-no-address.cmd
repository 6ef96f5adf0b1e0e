explain --manifests manifests/usable --consumer SE2329990001-JRN1 --contract urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2
