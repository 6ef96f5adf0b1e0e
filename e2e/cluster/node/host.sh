# What a cluster changes on the host, written down so that it can be undone by
# somebody else than who did it: /run/rivmesh-cluster/NAME says which state
# directory, box and owner a cluster of that name has. It survives a killed run
# and a deleted state directory, and is gone after a reboot, as the changes are.
# Sourced by cluster.sh.

HOST=/run/rivmesh-cluster

# kubelet sets these for the whole machine; the last cluster's end puts them back.
SYSCTLS="vm.overcommit_memory kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes"

# Paths that CNI and Kubernetes hard-code; the box puts private directories there.
MOUNT_POINTS="/var/lib/cni /var/lib/kubelet"

check_programs() {
    local tool need="iptables nsenter unshare openssl pgrep ip sysctl setsid"
    if has containerd; then
        need+=" containerd ctr runc"
        [ -x "$CNI_BIN/bridge" ] || die "no CNI plugins in $CNI_BIN"
    fi
    for tool in $need; do
        command -v "$tool" >/dev/null || die "missing program: $tool"
    done
}

# process PID: "PID START_TIME", which no process that gets the number later has.
# Nothing when there is no such process, or only what is left of it.
process() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # after the name, which may hold anything: state is the 1st field, start the 20th
    awk -v pid="$1" '$1 != "Z" { print pid, $20 }' <<<"${stat##*) }"
}

# alive FILE: is the process that was written into it the one that has its number now?
alive() {
    local pid written
    written=$(cat "$1" 2>/dev/null) || return 1
    pid=${written%% *}
    [ -n "$pid" ] && [ "$(process "$pid")" = "$written" ]
}

# A running cluster is in the way, a killed one is not.
refuse_taken() {
    local state range
    state=$(cat "$RECORD/state" 2>/dev/null || true)
    if alive "$RECORD/starter"; then
        die "a cluster $CLUSTER_NAME is just being started in $state"
    fi
    if alive "$RECORD/box" && [ -e "$RECORD/ready" ] && [ -d "$state" ] && ! orphaned; then
        die "a cluster $CLUSTER_NAME is up in $state; end it with: $0 down $state"
    fi
    # Routes to one network by two links would send half of the answers elsewhere.
    for range in "$CLUSTER_NET.0/24" "$POD_CIDR" "$SERVICE_CIDR"; do
        if ip route show "$range" | grep -qv "dev $LINK"; then
            die "this host has a route to $range already: choose another CLUSTER_NET, POD_CIDR and SERVICE_CIDR"
        fi
    done
}

# Its owner is known, and gone.
orphaned() { [ -e "$RECORD/owner" ] && ! alive "$RECORD/owner"; }

# Take the name, and clear away what a killed run of that name left.
claim_host() {
    if [ -d "$RECORD" ]; then
        local state
        state=$(cat "$RECORD/state" 2>/dev/null || true)
        say "clearing away what a run in $state left"
        release_host
        if [ "$state" != "$STATE" ] && [ -f "$state/settings" ]; then
            clear_state "$state"
            rm "$state/settings"
        fi
    fi
    mkdir -p "$HOST"
    mkdir "$RECORD" || die "a cluster $CLUSTER_NAME is just being started"
    process $$ >"$RECORD/starter"
    echo "$STATE" >"$RECORD/state"
    if [ -n "${CLUSTER_OWNER:-}" ]; then process "$CLUSTER_OWNER" >"$RECORD/owner"; fi
    # not again beside a running cluster, whose values these would be
    if [ ! -e "$HOST/sysctls" ]; then
        for s in $SYSCTLS; do echo "$s=$(sysctl -n "$s")"; done >"$HOST/sysctls"
    fi
}

host_is_ours() { [ "$(cat "$RECORD/state" 2>/dev/null)" = "$STATE" ]; }

# Undo everything; each step is content when there is nothing to undo.
release_host() {
    end_box
    ip link del "$LINK" 2>/dev/null || true # the routes go with it
    remove_cgroups
    forget_record
}

# The last one puts the machine's settings back and removes the mount points: to
# remove a directory takes away what is mounted there in the boxes of others.
forget_record() {
    rm -r "$RECORD"
    # other clusters' records are directories beside it
    if [ -z "$(find "$HOST" -mindepth 1 -maxdepth 1 -type d)" ]; then
        rmdir --ignore-fail-on-non-empty $MOUNT_POINTS 2>/dev/null || true
        if [ -f "$HOST/sysctls" ]; then sysctl -q -p "$HOST/sysctls"; fi
        rm -r "$HOST"
    fi
}

# What a fresh start must not find, all but the logs. Never called while the box
# lives, so its mounts are gone; --one-file-system all the same.
clear_state() {
    (cd "$1" && rm -rf --one-file-system etcd kubelet containerd cni pki run \
        ./*.kubeconfig ./*.yaml ./*.toml resolv.conf box.pid)
}

# kubelet wants its cgroupRoot to exist: one directory in v2, one for every
# controller in v1.
make_cgroups() {
    local tree
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mkdir -p "/sys/fs/cgroup/$CGROUP"
        return
    fi
    for tree in /sys/fs/cgroup/*/; do
        if [ -e "$tree/tasks" ]; then mkdir -p "$tree/$CGROUP"; fi
    done
}

# A process that has just ended can hold its group for a moment.
remove_cgroups() {
    local tree end=$((SECONDS + 10))
    for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do # v2, v1
        until [ ! -d "$tree/$CGROUP" ] || find "$tree/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null; do
            [ $SECONDS -lt $end ] || die "cannot remove $tree/$CGROUP"
            sleep 0.1
        done
    done
}
