//! How many refused handshakes are logged. Anyone who reaches the port can cause one, so lines are limited per peer and in
//! all; what is left out is counted and told once a minute.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// For how long counts are kept.
const WINDOW: Duration = Duration::from_secs(60);
/// Lines per peer and window.
const PER_PEER: u64 = 5;
/// Lines per window.
const IN_ALL: u64 = 300;
/// Peers that are told apart per window; all others count as one, under [`OTHERS`].
const MAX_PEERS: usize = 4096;
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What has been seen in the running window.
#[derive(Debug)]
pub(super) struct Limiter {
    began: Instant,
    logged: u64,
    peers: HashMap<IpAddr, Peer>,
}

#[derive(Debug, Default)]
struct Peer {
    logged: u64,
    suppressed: u64,
}

/// What was left out of a window.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    /// Refusals that were not logged.
    pub(super) count: u64,
    /// Of how many peers, at least.
    pub(super) peers: usize,
    /// The peer with most of them: an IPv4 address or an IPv6 network.
    pub(super) busiest: String,
    /// How many those were.
    pub(super) busiest_count: u64,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, logged: 0, peers: HashMap::new() }
    }

    /// Whether a refusal of `address` is logged.
    pub(super) fn allow(&mut self, address: IpAddr) -> bool {
        let mut key = network(address);
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&key) {
            key = OTHERS;
        }
        let peer = self.peers.entry(key).or_default();
        let allowed = self.logged < IN_ALL && peer.logged < PER_PEER;
        if allowed {
            peer.logged += 1;
            self.logged += 1;
        } else {
            peer.suppressed += 1;
        }
        allowed
    }

    /// Begins the next window if this one is over, or if `closing`; returns what was left out of it, if anything was.
    pub(super) fn turn(&mut self, now: Instant, closing: bool) -> Option<Suppressed> {
        if !closing && now.saturating_duration_since(self.began) < WINDOW {
            return None;
        }
        let over = std::mem::replace(self, Self::new(now));
        let left_out = || over.peers.iter().filter(|(_, peer)| peer.suppressed > 0);
        let (address, busiest) = left_out().max_by_key(|(address, peer)| (peer.suppressed, **address))?;
        Some(Suppressed {
            count: left_out().map(|(_, peer)| peer.suppressed).sum(),
            peers: left_out().count(),
            busiest: show(*address),
            busiest_count: busiest.suppressed,
        })
    }
}

/// What is limited as one: an IPv4 address, or an IPv6 network of 64 bits, all of which one host can usually use.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

fn show(address: IpAddr) -> String {
    match address {
        OTHERS => "various".to_owned(),
        IpAddr::V6(v6) => format!("{v6}/64"),
        IpAddr::V4(v4) => v4.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn a_peer_gets_its_lines_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let allowed = (0..20).filter(|_| limiter.allow(ip("192.0.2.1"))).count() as u64;
        assert_eq!(allowed, PER_PEER);
        assert!(limiter.allow(ip("192.0.2.2")), "another peer has its own");
        assert_eq!(limiter.turn(start + WINDOW - Duration::from_millis(1), false), None);
        let left_out = limiter.turn(start + WINDOW, false).expect("some were left out");
        let expected = Suppressed { count: 15, peers: 1, busiest: "192.0.2.1".into(), busiest_count: 15 };
        assert_eq!(left_out, expected);
        assert!(limiter.allow(ip("192.0.2.1")), "a new window");
        assert_eq!(limiter.turn(start + WINDOW * 3, false), None, "nothing was left out");
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let mut limiter = Limiter::new(Instant::now());
        let allowed = (0..20).filter(|n| limiter.allow(ip(&format!("2001:db8::{n:x}")))).count() as u64;
        assert_eq!(allowed, PER_PEER);
        assert_eq!(limiter.turn(Instant::now(), true).map(|s| s.busiest).as_deref(), Some("2001:db8::/64"));
    }

    #[test]
    fn lines_and_memory_are_bounded_whatever_comes() {
        let mut limiter = Limiter::new(Instant::now());
        let peers = (0..20_000u32).map(|n| IpAddr::from(n.to_be_bytes()));
        let allowed = peers.filter(|peer| limiter.allow(*peer)).count() as u64;
        assert_eq!(allowed, IN_ALL);
        assert!(limiter.peers.len() <= MAX_PEERS + 1);
        let left_out = limiter.turn(Instant::now(), true).expect("most were left out");
        assert_eq!((left_out.count, left_out.busiest.as_str()), (20_000 - IN_ALL, "various"));
    }
}
