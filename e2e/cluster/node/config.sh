# Configuration files of the parts that do not take everything as flags.
# Sourced by cluster.sh.

make_config() {
    mkdir -p "$STATE"/{cni/conf,kubelet,containerd}
    cat >"$STATE/containerd.toml" <<TOML
version = 2
root = "$STATE/containerd"
state = "/run/containerd"
[grpc]
  address = "$CRI"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # Without CAP_SYS_RESOURCE (sandboxed build machines) a pod cannot be made less
  # likely to be killed than this containerd: do not let runc fail over it.
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "$CNI_BIN"
  conf_dir = "$STATE/cni/conf"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false # no systemd here
TOML
    # hairpinMode: a pod may be its own Service's endpoint.
    cat >"$STATE/cni/conf/10-bridge.conflist" <<JSON
{
  "cniVersion": "0.4.0",
  "name": "$CLUSTER_NAME",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$STATE/cni/ipam",
        "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
    : >"$STATE/resolv.conf" # nothing of the host's: names outside the cluster do not resolve
    cat >"$STATE/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$CRI
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP        # two nodes on one machine must not share /kubepods
failCgroupV1: false         # refused by default since 1.35
failSwapOn: false
clusterDomain: $DOMAIN
clusterDNS: [$DNS_IP]
resolvConf: $STATE/resolv.conf
# Changed Secrets and ConfigMaps reach pods within a test's patience (default: a minute and more).
syncFrequency: 10s
authentication:
  x509: {clientCAFile: $PKI/ca.crt}
  webhook: {enabled: true}  # metrics-server comes with a service account token
  anonymous: {enabled: false}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
volumePluginDir: /var/lib/kubelet/volume-plugins
maxPods: 110
# Images cannot be pulled again and a busy build disk is not the test's concern.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%, imagefs.inodesFree: 1%}
YAML
    cat >"$STATE/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $STATE/kube-proxy.kubeconfig}
mode: iptables
clusterCIDR: $POD_CIDR      # anything else that asks for a ClusterIP (the host) is masqueraded
hostnameOverride: $NODE
# conntrack limits belong to the machine, not to this network namespace
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
}
