//! Which producers count as internal: the only ones that may be called by plain `http://`, and the only ones that get
//! the platform's own headers (rules §1, §2).

use std::net::IpAddr;

use ipnet::IpNet;
use rivmesh_crds::EndpointUrl;
use serde::{Deserialize, Serialize};

use crate::fold;

/// Host suffixes and networks of internal producers; `upstream.internal` in the platform's configuration. Empty means
/// that every producer is external.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct InternalHosts {
    /// `.svc.cluster.local` or `svc.cluster.local`: that host and every host below it.
    pub host_suffixes: Vec<String>,
    /// Networks of hosts that are given by address, as `10.0.0.0/8`.
    pub cidrs: Vec<IpNet>,
}

impl InternalHosts {
    /// Whether a host (a name, an IPv4 address, or an IPv6 address without brackets) is internal. A name is never
    /// resolved: only its own text counts.
    pub fn contains(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => self.cidrs.iter().any(|network| network.contains(&address)),
            Err(_) => self.host_suffixes.iter().any(|suffix| is_below(host, suffix)),
        }
    }

    /// Whether an endpoint URL leads to an internal host. What is no endpoint URL does not.
    pub fn contains_url(&self, url: &str) -> bool {
        EndpointUrl::parse(url).is_ok_and(|url| self.contains(url.host))
    }
}

fn is_below(host: &str, suffix: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let suffix = suffix.trim_matches('.');
    let Some(above) = host.len().checked_sub(suffix.len()) else { return false };
    !suffix.is_empty() && fold::ends_with(host, suffix) && (above == 0 || host.as_bytes()[above - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_match_whole_labels_and_networks_match_addresses() {
        let hosts = InternalHosts {
            host_suffixes: vec![".svc.cluster.local".into(), String::new()],
            cidrs: vec!["10.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")],
        };
        for inside in ["a.b.SVC.cluster.local", "svc.cluster.local", "a.svc.cluster.local.", "10.1.2.3", "fd00::1"] {
            assert!(hosts.contains(inside), "{inside}");
        }
        for outside in ["evilsvc.cluster.local", "cluster.local", "p1.vgr.se", "11.0.0.1", "10.0.0.1.vgr.se", ""] {
            assert!(!hosts.contains(outside), "{outside}");
        }
        assert!(hosts.contains_url("http://[fd00::1]:80/x") && !hosts.contains_url("fd00::1"));
    }
}
