#!/bin/sh
# Makes a throw-away PKI for benchmarks: root -> issuing CA -> leaf certificates.
#   gen-certs.sh OUTDIR [rsa|ec] [DAYS]
# rsa: CA keys RSA-4096, leaf keys RSA-2048 (the shape of SITHS function certificates)
# ec:  CA keys P-384, leaf keys P-256
# Leaves: proxy (server side of the proxy), backend (server side of the producer), both for
# localhost/127.0.0.1, and consumer, vpclient (client certificates; subject serialNumber = HSA-id).
# For each: NAME.key, NAME.crt (leaf only), NAME.chain.pem (leaf + issuing CA),
# NAME.both.pem (chain + key, haproxy's form). ca.pem holds root and issuing CA.
# issuing.crl and root.crl are their empty revocation lists. The file `done` is written last.
set -eu
out=${1:?usage: gen-certs.sh OUTDIR [rsa|ec] [DAYS]}
alg=${2:-rsa}
days=${3:-365}
umask 077
mkdir -p "$out"
cd "$out"
rm -f done
key() { # key FILE ca|leaf
  case "$alg:$2" in
    rsa:ca) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out "$1" ;;
    rsa:leaf) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1" ;;
    ec:ca) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$1" ;;
    ec:leaf) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" ;;
    *) echo "unknown algorithm $alg" >&2; exit 2 ;;
  esac
}
sign() { # sign NAME SUBJECT EXTENSIONS CA
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  printf '%s\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$4.crt" -CAkey "$4.key" -CAcreateserial -sha256 \
    -days "$days" -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm -f "$1.csr" "$1.ext"
}
key root.key ca
openssl req -x509 -new -key root.key -sha256 -days "$days" -subj "/C=SE/O=Bench/CN=Bench Root CA" \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out root.crt
key issuing.key ca
sign issuing "/C=SE/O=Bench/CN=Bench Function CA" \
  "basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid" root
cat issuing.crt root.crt >ca.pem
crl() { # crl NAME
  : >"$1.index"
  echo 01 >"$1.crlnumber"
  printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s.index\ncrlnumber=%s.crlnumber\ndefault_md=sha256\ndefault_crl_days=%s\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n' \
    "$1" "$1" "$days" >"$1.cnf"
  openssl ca -config "$1.cnf" -gencrl -cert "$1.crt" -keyfile "$1.key" -out "$1.crl" 2>/dev/null
  rm -f "$1.index" "$1.crlnumber" "$1.crlnumber.old" "$1.cnf"
}
crl root
crl issuing
leaf() { # leaf NAME SUBJECT server|client
  key "$1.key" leaf
  san="subjectAltName=DNS:localhost,IP:127.0.0.1"
  eku="serverAuth,clientAuth"
  [ "$3" = client ] && { san="subjectAltName=DNS:$1.bench.test"; eku="clientAuth"; }
  sign "$1" "$2" "basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=$eku
authorityKeyIdentifier=keyid
$san" issuing
  cat "$1.crt" issuing.crt >"$1.chain.pem"
  cat "$1.chain.pem" "$1.key" >"$1.both.pem"
}
leaf proxy "/C=SE/O=Bench/CN=localhost/serialNumber=SE0000000000-VP01" server
leaf backend "/C=SE/O=Bench/CN=localhost/serialNumber=SE0000000002-PROD" server
leaf consumer "/C=SE/O=Bench Consumer/CN=consumer.bench.test/serialNumber=SE0000000001-1234" client
leaf vpclient "/C=SE/O=Bench/CN=vp.bench.test/serialNumber=SE0000000000-VP01" client
cat root.crl issuing.crl >all.crl
openssl verify -crl_check_all -CRLfile all.crl -CAfile ca.pem proxy.crt backend.crt consumer.crt vpclient.crt
rm -f all.crl
echo "$alg" >done
