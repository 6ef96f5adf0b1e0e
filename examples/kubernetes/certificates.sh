#!/bin/sh
# Makes the throw-away certificates of the tutorial in a directory, with openssl:
#
#   examples/kubernetes/certificates.sh DIRECTORY
#
# An authority (ca.crt) with an empty revocation list (ca.crl), and certificates in the shape that SITHS function certificates
# have: the HSA-id stands in the subject's serialNumber. Good for a month and for trying things out, never for patients.
set -eu

[ $# -eq 1 ] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
[ ! -e ca.key ] || { echo "$1 holds certificates already; remove it to make new ones" >&2; exit 1; }
umask 077

cat >openssl.cnf <<END
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[function]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = \$ENV::NAMES
[ca]
default_ca = lists
[lists]
database = index.txt
default_md = sha256
default_crl_days = 30
crl_extensions = list
[list]
authorityKeyIdentifier = keyid
END
: >index.txt
export NAMES=DNS:none

new_key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1.key"; }

# issue FILE HSA-ID NAME...: a certificate for these host names, good as server and as client.
issue() {
    file=$1 subject="/C=SE/O=rivmesh tutorial/CN=$1/serialNumber=$2"
    shift 2
    NAMES=$(printf ',DNS:%s' "$@")
    NAMES=${NAMES#,}
    new_key "$file"
    openssl req -new -config openssl.cnf -key "$file.key" -subj "$subject" -out "$file.csr"
    openssl x509 -req -in "$file.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -sha256 \
        -extfile openssl.cnf -extensions function -out "$file.crt" 2>/dev/null
    rm "$file.csr"
}

new_key ca
openssl req -x509 -new -config openssl.cnf -key ca.key -days 30 -sha256 -extensions authority \
    -subj "/C=SE/O=rivmesh tutorial/CN=tutorial CA" -out ca.crt
openssl ca -gencrl -config openssl.cnf -keyfile ca.key -cert ca.crt -out ca.crl 2>/dev/null

# The platform: consumers reach it by the name of its Service, and through kubectl port-forward.
issue platform SE2329990001-RTP1 rivmesh-dataplane.rivmesh.svc localhost
issue greeter SE2329990001-S0G1 greeter.rivmesh.svc
issue journal SE2329990001-JRN1 journal.example
issue newcomer SE5599990003-NEW1 newcomer.example

rm -f openssl.cnf index.txt* ca.srl
ls
