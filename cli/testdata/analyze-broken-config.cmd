analyze manifests/usable --config manifests/usable/catalogue.yaml
