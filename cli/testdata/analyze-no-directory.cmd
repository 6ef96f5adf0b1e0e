analyze manifests/nowhere
