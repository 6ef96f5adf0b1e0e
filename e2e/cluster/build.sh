#!/usr/bin/env bash
# Build the cluster's programs from the Go module proxy:
#
#   build.sh BIN_DIR tools    what is of use without any server: helm, health; and pause,
#                             the first process of the node that holds a server
#   build.sh BIN_DIR api      etcd, kube-apiserver, kubectl
#   build.sh BIN_DIR node     what a node needs besides
#   build.sh BIN_DIR oldest   etcd, kube-apiserver and kubectl of the oldest
#                             Kubernetes that rivmesh supports
#
# go.mod, and oldest/go.mod, pin every version. Ten minutes of CPU time in all
# when Go's caches are empty, a quarter of a minute when only the links are to be
# made. `cargo xtask cluster` and `cargo xtask test` call this.
set -euo pipefail

[ $# -eq 2 ] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
bin=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")"

k8s=k8s.io/kubernetes/cmd
etcd=go.etcd.io/etcd/server/v3
programs=()
case $2 in
tools) programs=(helm.sh/helm/v4/cmd/helm ./cmd/{pause,health}) ;;
api) programs=($etcd $k8s/{kube-apiserver,kubectl}) ;;
node) programs=($k8s/{kube-controller-manager,kube-scheduler,kubelet,kube-proxy}
    sigs.k8s.io/metrics-server/cmd/metrics-server ./cmd/coredns) ;;
oldest)
    programs=($etcd $k8s/{kube-apiserver,kubectl})
    cd oldest
    ;;
*) echo "build: there is no tier $2" >&2; exit 2 ;;
esac

export CGO_ENABLED=0                  # static programs: they run in empty images
export GOFLAGS="-trimpath -mod=readonly -buildvcs=false"

# The servers report what is stamped here. Without it they say
# v0.0.0-master+$Format:%H$, which is no version: kubectl cannot parse it.
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
ldflags="-s -w"
for pkg in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    ldflags+=" -X $pkg.gitVersion=$version -X $pkg.gitMajor=1 -X $pkg.gitMinor=${minor%%.*}"
    ldflags+=" -X $pkg.gitTreeState=clean -X $pkg.gitCommit=unknown"
done

flags=(-gcflags "all=-l -dwarf=false" -ldflags "$ldflags")
export GOGC=400

# One call: packages that several programs share compile once, links overlap.
# No debug information, no inlining, less garbage collection in the compiler:
# together a quarter less CPU time for a cold build, at some cost in the
# servers' speed. Changing gcflags means compiling everything again.
# -v names each package as it is compiled, for whoever waits.
go build -v "${flags[@]}" -o "$bin/" "${programs[@]}"

# etcd's main package lies in a directory called server, v3 being a version.
if [ -e "$bin/server" ]; then mv "$bin/server" "$bin/etcd"; fi

# health judges for the tests, so it is done when its own tests pass.
if [ "$2" = tools ]; then go test "${flags[@]}" ./cmd/health; fi
