//! Where calls come in, and what proves who calls: the client certificate of the connection, a certificate that a
//! listed ingress carries in a header, or, inside the platform, a header alone (rules §1).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::values::{self, IdSet, MinVersion};

/// One listening port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Listener {
    /// Its name in logs and metrics. Required.
    pub name: String,
    /// Address and port. Required. Changing it needs a restart.
    pub address: SocketAddr,
    /// Paths that are served, as `/vp`; each also serves everything below it. Default: every path.
    pub path_prefixes: Vec<String>,
    /// Who may call here and what proves it.
    pub kind: ListenerKind,
}

/// What a listener is for; `kind` in the file, with a block of the same name for its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    /// Mutual TLS with the consumers themselves: the recommended set-up, and the default.
    Consumers(ListenerTls),
    /// Mutual TLS with an ingress that carries the consumer's certificate in a header.
    CertificateHeader {
        /// The connection: what the ingress proves.
        tls: ListenerTls,
        /// The header: what the consumer proves.
        carried: CertificateHeader,
    },
    /// For components of the platform itself, plain or with mutual TLS. Whoever reaches it is any consumer.
    Internal {
        /// Without it the port is plain HTTP.
        tls: Option<ListenerTls>,
        /// Who is let in.
        allowed: Internal,
    },
}

/// A server's certificate and the clients that it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Certificate chain, PEM, leaf first. Required.
    pub certificate: PathBuf,
    /// Its private key, PEM, not encrypted. Required.
    pub private_key: PathBuf,
    /// Lowest TLS version. Default: `"1.2"`.
    pub min_version: MinVersion,
    /// Which client certificates are good.
    pub clients: ClientTrustFiles,
}

/// What makes a client certificate good. In the file these fields stand directly in the `tls` or `certificateHeader`
/// block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTrustFiles {
    /// `clientTrust`: certificate authorities, PEM. Required.
    pub trust: PathBuf,
    /// `crls`: revocation lists of those authorities, each file PEM or DER. Default: none.
    pub crls: Vec<PathBuf>,
    /// `revocation`: what is asked of them. Default: `require`.
    pub revocation: RevocationMode,
    /// `staleGrace`: how long past its nextUpdate a list still counts. Default: 48 h.
    pub stale_grace: Duration,
}

/// What is asked of revocation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationMode {
    /// The issuer of the client's certificate must have a list that is not too old, and the certificate must not be on it.
    #[default]
    Require,
    /// A certificate on a list is refused; one whose issuer has no usable list is let in, and counted.
    Available,
    /// Lists are not read.
    Off,
}

/// A certificate that an ingress sends in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateHeader {
    /// `headers`: names of the headers that may hold it. Required.
    pub headers: Vec<String>,
    /// `ingresses`: who may send it, by a name in the ingress' own client certificate. Required.
    pub ingresses: Vec<PeerName>,
    /// `cidrs`: where the ingress must be, in addition. Default: anywhere.
    pub cidrs: Vec<IpNet>,
    /// What makes the carried certificate good.
    pub clients: ClientTrustFiles,
}

/// A name in the certificate of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PeerName {
    /// The subject's serialNumber (2.5.4.5); case does not matter.
    SerialNumber(String),
    /// The subject's common name, exactly.
    CommonName(String),
    /// A DNS name among the subject's alternative names; case does not matter.
    DnsName(String),
}

/// Who is let in on the internal listener.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Internal {
    /// Ids that may be claimed in `x-vp-sender-id`. Default: every id.
    pub senders: IdSet,
    /// Networks that are let in. Required without TLS; default with TLS: anywhere.
    #[serde(deserialize_with = "values::networks")]
    pub cidrs: Vec<IpNet>,
}

impl Internal {
    /// Whether this id may be claimed.
    pub fn allows_sender(&self, id: &str) -> bool {
        self.senders.is_empty() || self.senders.contains(id)
    }
}

impl Listener {
    /// The TLS of the connection, if it has any.
    pub fn tls(&self) -> Option<&ListenerTls> {
        match &self.kind {
            ListenerKind::Consumers(tls) | ListenerKind::CertificateHeader { tls, .. } => Some(tls),
            ListenerKind::Internal { tls, .. } => tls.as_ref(),
        }
    }

    /// The networks that peers must be in; empty means anywhere.
    pub fn cidrs(&self) -> &[IpNet] {
        match &self.kind {
            ListenerKind::Consumers(_) => &[],
            ListenerKind::CertificateHeader { carried, .. } => &carried.cidrs,
            ListenerKind::Internal { allowed, .. } => &allowed.cidrs,
        }
    }

    /// Whether a request for this path (without its query) is served here.
    pub fn serves_path(&self, path: &str) -> bool {
        let climbs = || path.split('/').any(|segment| segment == "..");
        self.path_prefixes.is_empty()
            || !climbs()
                && self.path_prefixes.iter().any(|prefix| {
                    path.strip_prefix(prefix.as_str())
                        .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
                })
    }

    /// The files that it names, in no particular order.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.clone().for_each_path(&mut |file| files.push(std::mem::take(file)));
        files
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let carried = match &self.kind {
            ListenerKind::CertificateHeader { carried, .. } => Some(&carried.clients),
            _ => None,
        };
        let trusts = self.tls().map(|tls| &tls.clients).into_iter().chain(carried);
        trusts
            .filter_map(|trust| match trust.revocation {
                RevocationMode::Require if trust.crls.is_empty() => Some(format!(
                    "listener {}: revocation is required and there are no crls, so every certificate under {} is refused: \
                     list the revocation lists, or write revocation: off",
                    self.name,
                    trust.trust.display()
                )),
                RevocationMode::Available if trust.crls.is_empty() => Some(format!(
                    "listener {}: revocation is asked of available lists and there are no crls, so a revoked certificate under {} \
                     is let in: list the revocation lists, or write revocation: off",
                    self.name,
                    trust.trust.display()
                )),
                RevocationMode::Off => Some(format!(
                    "listener {}: revocation is off, so a revoked certificate under {} is let in",
                    self.name,
                    trust.trust.display()
                )),
                _ => None,
            })
            .collect()
    }

    pub(super) fn for_each_path(&mut self, visit: &mut dyn FnMut(&mut PathBuf)) {
        let (tls, carried) = match &mut self.kind {
            ListenerKind::Consumers(tls) => (Some(tls), None),
            ListenerKind::CertificateHeader { tls, carried } => (Some(tls), Some(&mut carried.clients)),
            ListenerKind::Internal { tls, .. } => (tls.as_mut(), None),
        };
        if let Some(tls) = tls {
            visit(&mut tls.certificate);
            visit(&mut tls.private_key);
            tls.clients.for_each_path(visit);
        }
        if let Some(carried) = carried {
            carried.for_each_path(visit);
        }
    }
}

impl ClientTrustFiles {
    fn for_each_path(&mut self, visit: &mut dyn FnMut(&mut PathBuf)) {
        visit(&mut self.trust);
        self.crls.iter_mut().for_each(visit);
    }
}

/// Forty-eight hours: a weekend without the authority's web server.
const STALE_GRACE: Duration = Duration::from_secs(48 * 3600);

fn stale_grace() -> Duration {
    STALE_GRACE
}

/// The file's own shape of a listener.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Unchecked {
    name: String,
    #[serde(deserialize_with = "values::socket_address")]
    address: SocketAddr,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    path_prefixes: Vec<String>,
    tls: Option<ListenerTls>,
    certificate_header: Option<CertificateHeader>,
    internal: Option<Internal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    #[default]
    Consumers,
    CertificateHeader,
    Internal,
}

impl TryFrom<Unchecked> for Listener {
    type Error = String;

    fn try_from(file: Unchecked) -> Result<Self, String> {
        let Unchecked { name, address, kind, path_prefixes, tls, certificate_header, internal } = file;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(format!(
                "\"{}\" is not a name for a listener: write letters, digits, -, _ or ., as consumers",
                name.escape_debug()
            ));
        }
        if let Some(prefix) = path_prefixes.iter().find(|prefix| !prefix.starts_with('/')) {
            return Err(format!("listener {name}: the path prefix \"{}\" must begin with /", prefix.escape_debug()));
        }
        if certificate_header.is_some() && kind != Kind::CertificateHeader {
            return Err(format!("listener {name}: certificateHeader needs kind: certificateHeader"));
        }
        if internal.is_some() && kind != Kind::Internal {
            return Err(format!("listener {name}: internal needs kind: internal"));
        }
        let needs_tls = || format!("listener {name}: tls is missing; only an internal listener may be without it");
        let kind = match kind {
            Kind::Consumers => ListenerKind::Consumers(tls.ok_or_else(needs_tls)?),
            Kind::CertificateHeader => ListenerKind::CertificateHeader {
                tls: tls.ok_or_else(needs_tls)?,
                carried: certificate_header.ok_or_else(|| {
                    format!("listener {name}: certificateHeader is missing; it says which headers and which ingresses")
                })?,
            },
            Kind::Internal => {
                let allowed = internal.unwrap_or_default();
                if tls.is_none() && allowed.cidrs.is_empty() {
                    return Err(format!(
                        "listener {name}: a plain internal listener needs internal.cidrs, the networks it lets in, \
                         because whoever reaches it may call as anybody"
                    ));
                }
                ListenerKind::Internal { tls, allowed }
            }
        };
        Ok(Self { name, address, path_prefixes, kind })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TlsFields {
    certificate: PathBuf,
    private_key: PathBuf,
    #[serde(default)]
    min_version: MinVersion,
    client_trust: PathBuf,
    #[serde(default)]
    crls: Vec<PathBuf>,
    #[serde(default)]
    revocation: RevocationMode,
    #[serde(default = "stale_grace", deserialize_with = "values::duration")]
    stale_grace: Duration,
}

impl<'de> Deserialize<'de> for ListenerTls {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = TlsFields::deserialize(deserializer)?;
        Ok(Self {
            certificate: file.certificate,
            private_key: file.private_key,
            min_version: file.min_version,
            clients: ClientTrustFiles {
                trust: file.client_trust,
                crls: file.crls,
                revocation: file.revocation,
                stale_grace: file.stale_grace,
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CertificateHeaderFields {
    headers: Vec<String>,
    ingresses: Vec<PeerName>,
    #[serde(default, deserialize_with = "values::networks")]
    cidrs: Vec<IpNet>,
    client_trust: PathBuf,
    #[serde(default)]
    crls: Vec<PathBuf>,
    #[serde(default)]
    revocation: RevocationMode,
    #[serde(default = "stale_grace", deserialize_with = "values::duration")]
    stale_grace: Duration,
}

impl<'de> Deserialize<'de> for CertificateHeader {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let file = CertificateHeaderFields::deserialize(deserializer)?;
        if file.headers.is_empty() {
            return Err(D::Error::custom("headers is empty: name the header that the ingress puts the certificate in"));
        }
        if let Some(name) = file.headers.iter().find(|name| !is_header_name(name)) {
            return Err(D::Error::custom(format!("\"{}\" is not the name of a header", name.escape_debug())));
        }
        if file.ingresses.is_empty() {
            return Err(D::Error::custom(
                "ingresses is empty: name who may send the header, as {commonName: ingress.region.example}; \
                 cidrs alone are not enough",
            ));
        }
        Ok(Self {
            headers: file.headers,
            ingresses: file.ingresses,
            cidrs: file.cidrs,
            clients: ClientTrustFiles {
                trust: file.client_trust,
                crls: file.crls,
                revocation: file.revocation,
                stale_grace: file.stale_grace,
            },
        })
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
