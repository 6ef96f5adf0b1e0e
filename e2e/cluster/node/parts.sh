# The daemons of the node: how each is started, and whether it runs.
# Sourced by cluster.sh.

# Each sets CMD. Comments say why a flag is there; what is not named is default.
part_etcd() {
    CMD=("$BIN/etcd"
        --data-dir "$STATE/etcd"
        --unsafe-no-fsync # a test cluster's data need not outlive a power cut
        # plain HTTP, but only this network namespace's loopback
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
        --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380
        --initial-cluster default=http://127.0.0.1:2380)
}
part_kube-apiserver() {
    CMD=("$BIN/kube-apiserver"
        --etcd-servers http://127.0.0.1:2379
        --advertise-address "$NODE_IP"
        --service-cluster-ip-range "$SERVICE_CIDR"
        --tls-cert-file "$PKI/kube-apiserver.crt" --tls-private-key-file "$PKI/kube-apiserver.key"
        --client-ca-file "$PKI/ca.crt"
        --authorization-mode Node,RBAC
        --enable-admission-plugins NodeRestriction # added to the default plugins
        --allow-privileged
        # service account tokens
        --service-account-issuer "https://kubernetes.default.svc.$DOMAIN"
        --service-account-key-file "$PKI/service-account.pub"
        --service-account-signing-key-file "$PKI/service-account.key"
        # to the kubelet: logs, exec, port-forward
        --kubelet-certificate-authority "$PKI/ca.crt"
        --kubelet-client-certificate "$PKI/kubelet-client.crt" --kubelet-client-key "$PKI/kubelet-client.key"
        --kubelet-preferred-address-types InternalIP
        # aggregation layer: how metrics.k8s.io is told who asks
        --requestheader-client-ca-file "$PKI/front-proxy-ca.crt"
        --requestheader-allowed-names front-proxy-client
        --requestheader-username-headers X-Remote-User
        --requestheader-group-headers X-Remote-Group
        --requestheader-extra-headers-prefix X-Remote-Extra-
        --proxy-client-cert-file "$PKI/front-proxy-client.crt" --proxy-client-key-file "$PKI/front-proxy-client.key")
}
part_kube-controller-manager() {
    CMD=("$BIN/kube-controller-manager"
        --kubeconfig "$STATE/kube-controller-manager.kubeconfig"
        --bind-address 127.0.0.1
        --leader-elect=false # one instance: do not wait for a lease
        # The only node: who takes it for lost when the API server was away takes the endpoints of every Service with it.
        --node-monitor-grace-period=300s
        --use-service-account-credentials
        --service-account-private-key-file "$PKI/service-account.key"
        --root-ca-file "$PKI/ca.crt" # into every namespace's kube-root-ca.crt
        --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key"
        # an autoscaler that acts within a test's patience (defaults: 15s, 5m, 30s, 5m)
        --horizontal-pod-autoscaler-sync-period 5s
        --horizontal-pod-autoscaler-cpu-initialization-period 10s
        --horizontal-pod-autoscaler-initial-readiness-delay 5s
        --horizontal-pod-autoscaler-downscale-stabilization 30s)
}
part_kube-scheduler() {
    CMD=("$BIN/kube-scheduler"
        --kubeconfig "$STATE/kube-scheduler.kubeconfig" --bind-address 127.0.0.1 --leader-elect=false)
}
part_containerd() { CMD=(containerd --config "$STATE/containerd.toml"); }
part_kubelet() {
    CMD=("$BIN/kubelet"
        --config "$STATE/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig"
        --hostname-override "$NODE" --node-ip "$NODE_IP")
}
part_kube-proxy() { CMD=("$BIN/kube-proxy" --config "$STATE/kube-proxy.yaml"); }

# start_part NAME: as a child of the box's PID 1, which reaps it; its PID (within
# the box) in run/NAME.pid.
start_part() {
    local name=$1 CMD
    declare -F "part_$name" >/dev/null || die "no part is called $name; there are: $PARTS"
    ! part_alive "$name" || die "$name runs already"
    "part_$name"
    rm -f "$STATE/run/$name.pid"
    in_box setsid --fork sh -c 'echo $$ >"$0"; exec "$@"' "$STATE/run/$name.pid" "${CMD[@]}" \
        </dev/null >>"$STATE/log/$name.log" 2>&1
    until [ -s "$STATE/run/$name.pid" ]; do sleep 0.05; done
}

# The numbers in run/ are of the box's PID namespace, so this cannot hit others.
part_alive() { [ -s "$STATE/run/$1.pid" ] && in_box kill -0 "$(cat "$STATE/run/$1.pid")" 2>/dev/null; }

stop_part() {
    part_alive "$1" || die "$1 is not running"
    in_box kill "$(cat "$STATE/run/$1.pid")"
    in_box kill -s CONT "$(cat "$STATE/run/$1.pid")" # it may have been stopped by a signal
    until ! part_alive "$1"; do sleep 0.1; done
    rm "$STATE/run/$1.pid"
}

# retry SECONDS WHAT CMD...: until the command succeeds; names the dead part if not.
retry() {
    local end=$((SECONDS + $1)) what=$2 name
    shift 2
    until "$@" >/dev/null 2>&1; do
        for name in $PARTS_UP; do
            part_alive "$name" || { tail -n 5 "$STATE/log/$name.log" >&2; die "$name died"; }
        done
        [ $SECONDS -lt $end ] || die "$what: not within the time"
        sleep 0.3
    done
}

ctr_k8s() { in_box ctr --address "$CRI" --namespace k8s.io "$@"; }
load_images() { for tar in "$@"; do ctr_k8s images import "$(realpath "$tar")"; done; }

# container_id NAMESPACE/POD/CONTAINER: of the running one; those that a restart
# left behind have no task any more.
container_id() {
    local namespace pod container id running
    IFS=/ read -r namespace pod container <<<"$1"
    running=$(ctr_k8s tasks list | awk '$3 == "RUNNING" { print $1 }')
    for id in $(ctr_k8s containers list --quiet \
        "labels.\"io.kubernetes.pod.namespace\"==$namespace,labels.\"io.kubernetes.pod.name\"==$pod,labels.\"io.kubernetes.container.name\"==$container"); do
        if grep -qx "$id" <<<"$running"; then echo "$id"; return; fi
    done
    die "no container runs as $1 (NAMESPACE/POD/CONTAINER)"
}
