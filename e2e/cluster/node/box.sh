# The whole node lives in its own network, mount and PID namespaces ("the box"),
# whose PID 1 is bin/pause. So iptables rules, bridges, overlay and volume
# mounts, containers and daemons cannot touch the host's, and killing that one
# process ends all of them: there is no clean-up that could be forgotten.
# Sourced by cluster.sh.

# Run a command in the node's namespaces.
in_box() { nsenter --target "$(cat "$STATE/box.pid")" --net --mount --pid -- "$@"; }

box_alive() { host_is_ours && alive "$RECORD/box"; }

make_box() {
    # The outer process writes itself down: no kill of this script comes between.
    # --kill-child: the box ends with it. private: mounts made inside never show outside.
    setsid sh -c 'echo $$ $(cut -d" " -f22 /proc/$$/stat) >"$0"; exec "$@"' "$RECORD/box" \
        unshare --net --mount --pid --fork --kill-child=KILL --mount-proc --propagation private \
        "$BIN/pause" </dev/null >"$STATE/log/box.log" 2>&1 &
    local child=
    for _ in $(seq 50); do
        child=$(pgrep -P "$(cut -d' ' -f1 "$RECORD/box" 2>/dev/null)" 2>/dev/null || true)
        # until exec, the child is still unshare itself, with mounts to be made
        [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = pause ] && break
        sleep 0.1
    done
    [ -n "$child" ] || die "cannot make namespaces, see $STATE/log/box.log"
    echo "$child" >"$STATE/box.pid"

    mkdir -p $MOUNT_POINTS "$STATE"/{log/node,cni/cache,kubelet}
    in_box bash -euc '
        mount --no-mtab --make-rshared /    # what kubelet expects of a host
        mount --no-mtab -t tmpfs tmpfs /run # sockets, /run/netns, xtables.lock
        mkdir -p /run/netns /run/lock
        mount --bind "$0/log/node" /var/log # pods/, containers/
        mount --bind "$0/cni/cache" /var/lib/cni
        mount --bind "$0/kubelet" /var/lib/kubelet
        ip link set lo up
    ' "$STATE"
    make_link "$child"
}

# A cable from the host (.1) to the node (.2).
make_link() {
    ip link add "$LINK" type veth peer name eth0 netns "$1"
    ip addr add "$CLUSTER_NET.1/24" dev "$LINK"
    ip link set "$LINK" up
    # Nothing goes on from here to other networks, even if this host is a router.
    sysctl -qw "net.ipv4.conf.$LINK.forwarding=0"
    in_box bash -euc '
        ip addr add "$0.2/24" dev eth0
        ip link set eth0 up
        ip route add default via "$0.1"
        sysctl -qw net.ipv4.ip_forward=1
        # pod -> ClusterIP -> pod on one bridge: let iptables see the replies
        sysctl -qw net.bridge.bridge-nf-call-iptables=1 || true
    ' "$CLUSTER_NET"
    ip route add "$POD_CIDR" via "$NODE_IP" dev "$LINK"
    ip route add "$SERVICE_CIDR" via "$NODE_IP" dev "$LINK"
}

end_box() {
    alive "$RECORD/box" || return 0
    local outer inner
    outer=$(cut -d' ' -f1 "$RECORD/box")
    inner=$(pgrep -P "$outer" || true)
    # The inner one is PID 1 of its namespace: the kernel ends all others in it.
    kill -KILL $inner || true
    # the outer one has waited for it, and for them
    for _ in $(seq 100); do
        alive "$RECORD/box" || return 0
        sleep 0.1
    done
    die "process $outer does not end"
}
