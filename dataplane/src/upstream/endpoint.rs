//! One endpoint of a route: its URL taken apart once, how many calls it has in flight in this pod, and until when it is
//! passed over because it refused a connection.

use crate::telemetry::record::EndpointName;
use hyper::Uri;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Above this many endpoints those that no table holds any more are forgotten.
const FORGET_ABOVE: usize = 10_000;

/// An endpoint of a producer.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// What it is called in logs and faults.
    pub name: Arc<EndpointName>,
    /// Whether it is reached over TLS.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: Arc<str>,
    pub port: u16,
    /// The `Host` header: the port only where it is not the scheme's own.
    pub authority: String,
    /// Path and query of the route's URL.
    pub path_and_query: String,
    in_flight: AtomicU32,
    skipped_until: AtomicU64,
}

/// The right to one call in flight at an endpoint; given back on drop.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Endpoint>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let tls = match uri.scheme_str()? {
            s if s.eq_ignore_ascii_case("https") => true,
            s if s.eq_ignore_ascii_case("http") => false,
            _ => return None,
        };
        let written = uri.host()?;
        let usual = if tls { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        let authority = if port == usual { written.to_owned() } else { format!("{written}:{port}") };
        Some(Self {
            name: Arc::new(EndpointName::new(url)),
            tls,
            host: written.trim_start_matches('[').trim_end_matches(']').into(),
            port,
            authority,
            path_and_query: uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
            in_flight: AtomicU32::new(0),
            skipped_until: AtomicU64::new(0),
        })
    }

    /// Takes one of the endpoint's `limit` places, if one is free.
    pub(crate) fn acquire(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        let took = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1));
        took.is_ok().then(|| Permit(self.clone()))
    }

    /// Whether the endpoint refused a connection a moment ago.
    pub(crate) fn is_skipped(&self) -> bool {
        let until = self.skipped_until.load(Ordering::Relaxed);
        until != 0 && until > millis_since_start()
    }

    /// Remembers a refused connection for so long (rules §7).
    pub(crate) fn skip(&self, time: Duration) {
        let until = millis_since_start() + time.as_millis() as u64;
        self.skipped_until.store(until, Ordering::Relaxed);
    }

    /// Remembers that a connection was made.
    pub(crate) fn unskip(&self) {
        if self.skipped_until.load(Ordering::Relaxed) != 0 {
            self.skipped_until.store(0, Ordering::Relaxed);
        }
    }
}

fn millis_since_start() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// All endpoints that this pod has called, by URL.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<String, Arc<Endpoint>>>);

impl Registry {
    /// The endpoint of `url`; `None` if the URL cannot be called.
    pub(crate) fn get(&self, url: &str) -> Option<Arc<Endpoint>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known.get(url) {
            return Some(endpoint.clone());
        }
        if known.len() >= FORGET_ABOVE {
            known.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        }
        let endpoint = Arc::new(Endpoint::parse(url)?);
        known.insert(url.to_owned(), endpoint.clone());
        Some(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let e = Endpoint::parse("https://p1.example/journal?x=1").expect("valid");
        assert_eq!((e.tls, &*e.host, e.port), (true, "p1.example", 443));
        assert_eq!((e.authority.as_str(), e.path_and_query.as_str()), ("p1.example", "/journal?x=1"));
        let e = Endpoint::parse("HTTP://[::1]:8080").expect("valid");
        assert_eq!((e.tls, &*e.host, e.port), (false, "::1", 8080));
        assert_eq!((e.authority.as_str(), e.path_and_query.as_str()), ("[::1]:8080", "/"));
        assert!(Endpoint::parse("ftp://x/").is_none());
        assert!(Endpoint::parse("/only/a/path").is_none());
        assert!(Endpoint::parse("https://p1.example/with space").is_none());
    }

    #[test]
    fn the_limit_holds_and_places_come_back() {
        let endpoint = Registry::default().get("https://p/").expect("valid");
        let first = endpoint.acquire(1).expect("free");
        assert!(endpoint.acquire(1).is_none());
        drop(first);
        assert!(endpoint.acquire(1).is_some());
    }
}
