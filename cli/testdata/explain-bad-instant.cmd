explain --manifests manifests/usable --consumer A --contract B --address C --at tomorrow
