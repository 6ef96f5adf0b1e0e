//! How producers are called: the certificate we show, the authorities we trust, and what differs for some of them.

use std::num::NonZeroU32;
use std::path::PathBuf;

use ipnet::IpNet;
use rivmesh_table::InternalHosts;
use serde::Deserialize;

use super::values::{MinVersion, networks};

/// Calls to producers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Upstream {
    /// TLS towards every producer that no override names. Required.
    pub tls: UpstreamFiles,
    /// What differs for some producers; the first that matches host and port counts. Default: none.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// Which producers are inside the platform: they get the internal headers and may be called without TLS (rules §1,
    /// §2). Host suffixes, as `.svc.cluster.local`, and networks. Default: none.
    #[serde(default, deserialize_with = "internal_hosts")]
    pub internal: InternalHosts,
    /// `User-Agent` in calls to producers. Default: `rivmesh/` and the version.
    #[serde(default = "default_user_agent", deserialize_with = "user_agent")]
    pub user_agent: String,
    /// Whether producers outside the platform get `x-skltp-correlation-id` too (rules §2). Default: `false`.
    #[serde(default)]
    pub correlation_id_to_external: bool,
    /// Calls under way per endpoint, where its route does not say; beyond it VP009 at once (rules §7). Default: 500.
    #[serde(default = "max_in_flight")]
    pub max_in_flight: NonZeroU32,
}

/// TLS towards producers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UpstreamFiles {
    /// The platform's own certificate chain, PEM, leaf first. Required.
    pub certificate: PathBuf,
    /// Its private key, PEM, not encrypted. Required.
    pub private_key: PathBuf,
    /// Certificate authorities of producers, PEM. Required.
    pub trust: PathBuf,
    /// Whether a producer's certificate must name the host we call. Default: `enforce`.
    #[serde(default)]
    pub verify_hostname: VerifyHostname,
    /// Lowest TLS version. Default: `"1.2"`.
    #[serde(default)]
    pub min_version: MinVersion,
}

/// What happens when a producer's certificate does not name the host that we call (rules §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VerifyHostname {
    /// The call fails with VP009.
    #[default]
    Enforce,
    /// For a migration: the call goes on, and the mismatch is logged and counted. The chain is verified all the same.
    Report,
}

/// Different TLS for some producers. What it does not say is as in `upstream.tls`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Override {
    /// Which hosts. In the file `host` or `suffix`; where both are written, `host` decides alone.
    pub hosts: HostMatch,
    /// Only at this port. Default: every port.
    pub port: Option<u16>,
    /// `certificate` and `privateKey`: another identity to show; both or neither.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Other certificate authorities.
    pub trust: Option<PathBuf>,
    /// `serverName`: the name to ask for and to verify instead of the host. Also for hosts that are IP addresses.
    pub server_name: Option<String>,
    /// Another lowest TLS version.
    pub min_version: Option<MinVersion>,
    /// Another rule for host names.
    pub verify_hostname: Option<VerifyHostname>,
    ignored_suffix: Option<String>,
}

/// Which hosts an override is for. Compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// This host.
    Host(String),
    /// Hosts that end so: `.legacy.example` means every host below it, `legacy.example` that host too.
    Suffix(String),
}

impl HostMatch {
    /// Whether the host is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Host(name) => name.eq_ignore_ascii_case(host),
            Self::Suffix(suffix) => has_suffix(host, suffix),
        }
    }
}

impl Override {
    /// Whether this entry is for that producer.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && self.hosts.matches(host)
    }
}

/// Ends-with at the border of a label, so that `evil-legacy.example` is not below `legacy.example`.
fn has_suffix(host: &str, suffix: &str) -> bool {
    let Some(start) = host.len().checked_sub(suffix.len()) else { return false };
    let Some((front, tail)) = host.split_at_checked(start) else { return false };
    tail.eq_ignore_ascii_case(suffix)
        && if suffix.starts_with('.') { start > 0 } else { start == 0 || front.ends_with('.') }
}

impl Upstream {
    pub(super) fn warnings(&self) -> Vec<String> {
        self.overrides
            .iter()
            .filter_map(|entry| match (&entry.hosts, &entry.ignored_suffix) {
                (HostMatch::Host(host), Some(suffix)) => Some(format!(
                    "upstream.overrides: the entry for host {host} also has suffix {suffix}, which is ignored: \
                     write a second entry for it"
                )),
                _ => None,
            })
            .collect()
    }

    pub(super) fn for_each_path(&mut self, visit: &mut dyn FnMut(&mut PathBuf)) {
        visit(&mut self.tls.certificate);
        visit(&mut self.tls.private_key);
        visit(&mut self.tls.trust);
        for entry in &mut self.overrides {
            if let Some((certificate, private_key)) = &mut entry.identity {
                visit(certificate);
                visit(private_key);
            }
            entry.trust.iter_mut().for_each(&mut *visit);
        }
    }
}

fn default_user_agent() -> String {
    concat!("rivmesh/", env!("CARGO_PKG_VERSION")).to_owned()
}

fn user_agent<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim() != text || text.is_empty() || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(serde::de::Error::custom("userAgent must be visible ASCII text, as rivmesh/1.0"));
    }
    Ok(text)
}

fn max_in_flight() -> NonZeroU32 {
    const { NonZeroU32::new(500).expect("500 is not zero") }
}

/// How [`InternalHosts`] are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InternalFields {
    #[serde(default)]
    host_suffixes: Vec<String>,
    #[serde(default, deserialize_with = "networks")]
    cidrs: Vec<IpNet>,
}

fn internal_hosts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<InternalHosts, D::Error> {
    let InternalFields { host_suffixes, cidrs } = InternalFields::deserialize(deserializer)?;
    Ok(InternalHosts { host_suffixes, cidrs })
}

/// The file's own shape of an override.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Unchecked {
    host: Option<String>,
    suffix: Option<String>,
    port: Option<u16>,
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    trust: Option<PathBuf>,
    server_name: Option<String>,
    min_version: Option<MinVersion>,
    verify_hostname: Option<VerifyHostname>,
}

impl TryFrom<Unchecked> for Override {
    type Error = String;

    fn try_from(file: Unchecked) -> Result<Self, String> {
        let (hosts, ignored_suffix) = match (file.host, file.suffix) {
            (Some(host), suffix) if !host.is_empty() => (HostMatch::Host(host), suffix),
            (None, Some(suffix)) if !suffix.is_empty() => (HostMatch::Suffix(suffix), None),
            _ => return Err("an override needs host or suffix, or nobody knows which producers it is for".to_owned()),
        };
        let identity = match (file.certificate, file.private_key) {
            (Some(certificate), Some(private_key)) => Some((certificate, private_key)),
            (None, None) => None,
            (Some(_), None) => return Err("an override with certificate needs its privateKey too".to_owned()),
            (None, Some(_)) => return Err("an override with privateKey needs its certificate too".to_owned()),
        };
        if let Some(name) = &file.server_name
            && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
        {
            return Err(format!("serverName \"{}\" is neither a host name nor an IP address", name.escape_debug()));
        }
        Ok(Self {
            hosts,
            port: file.port,
            identity,
            trust: file.trust,
            server_name: file.server_name,
            min_version: file.min_version,
            verify_hostname: file.verify_hostname,
            ignored_suffix,
        })
    }
}
