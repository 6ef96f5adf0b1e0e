#!/usr/bin/env bash
# A real one-node Kubernetes cluster from plain binaries, without a container
# engine, systemd or network access:
#
#   cluster.sh up STATE_DIR BIN_DIR         start, wait until all is ready
#   cluster.sh down STATE_DIR               end it and undo every change to the host
#   cluster.sh status STATE_DIR
#   cluster.sh load STATE_DIR TAR...        give OCI image tars to the node
#   cluster.sh stop STATE_DIR PART          end one part (say kube-apiserver) ...
#   cluster.sh start STATE_DIR PART         ... and start it again, for fault tests
#   cluster.sh signal STATE_DIR WHAT SIG    send STOP, CONT, KILL, ... to a PART, or to the
#                                           first process of NAMESPACE/POD/CONTAINER
#   cluster.sh exec STATE_DIR CMD...        run a command inside the node
#   cluster.sh peer STATE_DIR OTHER_DIR     join two clusters: pods of each reach
#                                           the NodePorts of the other
#
# Afterwards: export KUBECONFIG=STATE_DIR/admin.kubeconfig
# Host programs reach pod IPs, ClusterIPs and NodePorts directly; pods reach
# servers on the host at $CLUSTER_NET.1. Logs: STATE_DIR/log/PART.log
#
# `up` clears away what a run that was killed left behind. Set CLUSTER_OWNER to
# the process ID of a test, and the next `up` of the same name also replaces a
# cluster that runs well but whose owner is gone.
set -euo pipefail

# Two clusters side by side need different values of all of these.
: "${CLUSTER_NAME:=e2e}"           # at most 11 characters: part of a link name
: "${CLUSTER_NET:=172.31.250}"     # host is .1, node is .2
: "${POD_CIDR:=10.244.0.0/16}"
: "${SERVICE_CIDR:=10.96.0.0/16}"
# "etcd kube-apiserver" alone is an API server to test an operator against:
# no kubelet, so nothing runs and no controller acts.
: "${PARTS:=etcd kube-apiserver containerd kube-controller-manager kube-scheduler kubelet kube-proxy}"
: "${CNI_BIN:=/usr/lib/cni}"       # Debian's containernetworking-plugins

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DOMAIN=cluster.local

die() { echo "cluster: $*" >&2; exit 1; }
usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2; }
say() { printf '%6.1fs  %s\n' "$(elapsed)" "$*"; }
elapsed() { awk -v a="$T0" -v b="$(now)" 'BEGIN { print b - a }'; }
now() { cut -d' ' -f1 /proc/uptime; }
has() { case " $PARTS " in *" $1 "*) ;; *) return 1 ;; esac; }
kc() { "$BIN/kubectl" --kubeconfig "$STATE/admin.kubeconfig" --cache-dir "$STATE/run/kubectl" "$@"; }

. "$HERE/node/host.sh"
. "$HERE/node/box.sh"
. "$HERE/node/pki.sh"
. "$HERE/node/config.sh"
. "$HERE/node/parts.sh"

# --- commands ----------------------------------------------------------------

cmd_up() {
    [ "$(id -u)" = 0 ] || die "needs root"
    [ ${#LINK} -le 15 ] || die "CLUSTER_NAME=$CLUSTER_NAME is longer than 11 characters"
    check_programs
    refuse_taken
    # Later commands need no more than the state directory. Written first: `down`
    # must know what to undo, however soon this ends.
    declare -p CLUSTER_NAME CLUSTER_NET POD_CIDR SERVICE_CIDR PARTS CNI_BIN BIN >"$STATE/settings"
    claim_host
    clear_state "$STATE"
    rm -rf "$STATE/log"
    mkdir -p "$STATE"/{log,run}
    ulimit -n 65536 2>/dev/null || true
    make_pki
    make_config
    make_cgroups
    make_box
    say "namespaces, certificates, configuration"

    # The others end when what they need is not there: these three first.
    local name started=
    for name in etcd kube-apiserver containerd; do
        if has "$name"; then start_part "$name"; started+=" $name"; fi
    done
    PARTS_UP=$started
    if has containerd; then
        retry 20 containerd ctr_k8s version
        load_images "$BIN"/images/*.tar >/dev/null
        say "images loaded"
    fi
    retry 60 "API server" kc get --raw /readyz
    say "API server ready"
    for name in $PARTS; do
        case " $started " in *" $name "*) ;; *) start_part "$name" ;; esac
    done
    PARTS_UP=$PARTS
    if has kubelet; then wait_for_node; fi
    # From here on nobody but its owner ends it.
    touch "$RECORD/ready"
}

wait_for_node() {
    retry 60 "node" kc wait --for=condition=Ready "node/$NODE" --timeout=1s
    say "node ready"
    addons
    retry 60 "cluster DNS" kc -n kube-system wait --for=condition=Available deployment/coredns --timeout=1s
    say "DNS ready"
    # Not optional: while an API group has no server, discovery is incomplete and
    # no namespace can be deleted.
    retry 120 "metrics API" kc wait --for=condition=Available apiservice/v1beta1.metrics.k8s.io --timeout=1s
    say "metrics API available"
}

addons() {
    kc -n kube-system create secret tls metrics-server-tls \
        --cert="$PKI/metrics-server.crt" --key="$PKI/metrics-server.key" >/dev/null
    sed -e "s|@DNS_IP@|$DNS_IP|g; s|@DOMAIN@|$DOMAIN|g; s|@CA@|$(base64 -w0 "$PKI/ca.crt")|g" \
        "$HERE"/manifests/*.yaml | kc apply -f - >/dev/null
}

cmd_down() {
    if host_is_ours; then release_host; fi
    clear_state "$STATE"
    rm -f "$STATE/settings"
    echo "down; logs are left in $STATE/log"
}

cmd_status() {
    box_alive || die "not up"
    local name
    for name in $PARTS; do
        if part_alive "$name"; then echo "$name: running"; else echo "$name: STOPPED"; fi
    done
}

# cmd_signal WHAT SIGNAL: the first process of a container is PID 1 of its own
# namespace, where it ignores what it has no handler for; from outside, KILL and
# STOP work on it all the same.
cmd_signal() {
    if [[ $1 == */* ]]; then
        local id
        id=$(container_id "$1")
        ctr_k8s tasks kill --signal "SIG$2" "$id"
    else
        part_alive "$1" || die "$1 is not running"
        in_box kill -s "$2" "$(cat "$STATE/run/$1.pid")"
    fi
}

cmd_peer() {
    local other=$1 name ip
    name=$(. "$other/settings" && echo "$CLUSTER_NAME")
    ip=$(. "$other/settings" && echo "$CLUSTER_NET.2")
    # only --net: the PID that names the other end is one of the host's
    nsenter --target "$(cat "$STATE/box.pid")" --net \
        ip link add "to-$name" type veth peer name "to-$CLUSTER_NAME" netns "$(cat "$other/box.pid")"
    # no addresses needed: each node answers for its own on every link
    in_box bash -euc 'ip link set "$0" up; ip route add "$1" dev "$0"' "to-$name" "$ip"
    nsenter --target "$(cat "$other/box.pid")" --net \
        bash -euc 'ip link set "$0" up; ip route add "$1" dev "$0"' "to-$CLUSTER_NAME" "$NODE_IP"
}

[ $# -ge 2 ] || usage
command=$1
mkdir -p "$2"
STATE=$(realpath "$2")
shift 2
if [ "$command" = up ]; then
    [ $# -eq 1 ] || usage
    BIN=$(realpath "$1")
    if [ ! -f "$STATE/settings" ]; then
        # `down` leaves logs. Anything else is somebody's, and would be cleared away.
        [ -z "$(ls -A --ignore=log "$STATE")" ] || die "$STATE holds other files: name a directory of its own"
    elif [ "$(. "$STATE/settings" && echo "$CLUSTER_NAME")" != "$CLUSTER_NAME" ]; then
        die "$STATE is the state of another cluster; end that first: $0 down $STATE"
    fi
elif [ -f "$STATE/settings" ]; then
    . "$STATE/settings"
elif [ "$command" = down ]; then
    echo "nothing is up in $STATE"
    exit
else
    die "no cluster in $STATE"
fi
PKI=$STATE/pki
CRI=/run/containerd/containerd.sock # in the box's own /run
NODE=$CLUSTER_NAME-node
NODE_IP=$CLUSTER_NET.2
LINK=k8s-$CLUSTER_NAME
CGROUP=k8s-$CLUSTER_NAME
RECORD=$HOST/$CLUSTER_NAME
API_IP=${SERVICE_CIDR%.*}.1  # the first address of the range is always the API's
DNS_IP=${SERVICE_CIDR%.*}.10
T0=$(now)

case $command in
up) cmd_up ;;
down) cmd_down ;;
status) cmd_status ;;
load) load_images "$@" ;;
start) start_part "$1" ;;
stop) stop_part "$1" ;;
signal) [ $# -eq 2 ] || usage; cmd_signal "$1" "$2" ;;
exec) in_box "$@" ;;
peer) cmd_peer "$(realpath "$1")" ;;
*) usage ;;
esac
