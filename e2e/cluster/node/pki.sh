# Certificates and kubeconfigs, thrown away with the cluster.
# Sourced by cluster.sh.

# ca NAME: a self-signed authority.
ca() {
    openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -subj "/CN=$1" -keyout "$PKI/$1.key" -out "$PKI/$1.crt" \
        -addext basicConstraints=critical,CA:TRUE \
        -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}

# cert CA NAME SUBJECT [SUBJECT_ALT_NAMES]: one for client and server use.
cert() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj "$3" -keyout "$PKI/$2.key" -out "$PKI/$2.csr" 2>/dev/null
    openssl x509 -req -in "$PKI/$2.csr" -days 30 -out "$PKI/$2.crt" \
        -CA "$PKI/$1.crt" -CAkey "$PKI/$1.key" -CAcreateserial -extfile <(
            echo "basicConstraints=critical,CA:FALSE"
            echo "keyUsage=critical,digitalSignature"
            echo "extendedKeyUsage=serverAuth,clientAuth"
            if [ -n "${4:-}" ]; then echo "subjectAltName=$4"; fi
        ) 2>/dev/null
    rm "$PKI/$2.csr"
}

# kubeconfig FILE CERT: everything inside, so that the file can be moved.
kubeconfig() {
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
current-context: $CLUSTER_NAME
contexts: [{name: $CLUSTER_NAME, context: {cluster: $CLUSTER_NAME, user: $2}}]
clusters:
- name: $CLUSTER_NAME
  cluster:
    server: https://$NODE_IP:6443
    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
- name: $2
  user:
    client-certificate-data: $(base64 -w0 "$PKI/$2.crt")
    client-key-data: $(base64 -w0 "$PKI/$2.key")
YAML
    chmod 600 "$1"
}

make_pki() {
    mkdir -p "$PKI"
    ca ca
    ca front-proxy-ca # its own CA: it may speak for any user
    cert ca kube-apiserver /CN=kube-apiserver \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.$DOMAIN,DNS:localhost,IP:127.0.0.1,IP:$NODE_IP,IP:$API_IP"
    cert ca kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    cert ca admin /O=system:masters/CN=admin
    cert ca kube-controller-manager /CN=system:kube-controller-manager
    cert ca kube-scheduler /CN=system:kube-scheduler
    cert ca kube-proxy /CN=system:kube-proxy
    # one certificate for both of the kubelet's roles; the metrics server
    # verifies it against the cluster's CA
    cert ca kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:$NODE_IP"
    cert ca metrics-server /CN=metrics-server DNS:metrics-server.kube-system.svc
    cert front-proxy-ca front-proxy-client /CN=front-proxy-client
    openssl ecparam -genkey -noout -name prime256v1 -out "$PKI/service-account.key"
    openssl ec -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub" 2>/dev/null
    for user in kube-controller-manager kube-scheduler kube-proxy kubelet; do
        kubeconfig "$STATE/$user.kubeconfig" "$user"
    done
    kubeconfig "$STATE/admin.kubeconfig" admin
}
